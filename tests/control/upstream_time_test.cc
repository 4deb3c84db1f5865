// What a majority of servers announces of a leap second.

#include "control/upstream_time.h"

#include <gtest/gtest.h>

#include "hwclock/calendar.h"

namespace control {
namespace {

hwclock::UpstreamPanel panel_of(std::initializer_list<std::uint32_t> leaps) {
  hwclock::UpstreamPanel panel(leaps.size());
  std::size_t i = 0;
  for (const std::uint32_t leap : leaps) {
    hwclock::UpstreamMember& member = panel.member(i++);
    member.has_news = true;
    member.reach = 1;
    member.leap = leap;
  }
  return panel;
}

const std::int64_t june_30 = *hwclock::utc_seconds_of({2028, 6, 30, 12, 0, 0});
const std::int64_t december_31 = *hwclock::utc_seconds_of({2028, 12, 31, 23, 59, 0});

TEST(AnnouncedLeap, AMajorityOfThoseThatAnswerIsBelieved) {
  const auto plan = announced_leap(panel_of({1, 1, 0}), june_30, 37);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->tai_minus_utc_s, 37);
  EXPECT_EQ(plan->change_s, 1);
  EXPECT_EQ(plan->change_tai_s, *hwclock::utc_seconds_of({2028, 7, 1, 0, 0, 0}) + 38);
  EXPECT_EQ(announced_leap(panel_of({2, 2, 2}), december_31, 37)->change_s, -1);
  EXPECT_FALSE(announced_leap(panel_of({1, 0}), june_30, 37)) << "half is none";
  EXPECT_FALSE(announced_leap(panel_of({1, 2}), june_30, 37));
  EXPECT_FALSE(announced_leap(panel_of({}), june_30, 37));
  hwclock::UpstreamPanel gone = panel_of({1, 0});
  gone.member(1).reach = 0;
  EXPECT_TRUE(announced_leap(gone, june_30, 37));
}

TEST(AnnouncedLeap, I09_OnlyTheLastDaysOfJuneAndDecemberMayEndWithOne) {
  for (const hwclock::CivilTime& day :
       {hwclock::CivilTime{2028, 6, 29, 12, 0, 0}, hwclock::CivilTime{2028, 3, 31, 12, 0, 0},
        hwclock::CivilTime{2028, 7, 1, 0, 0, 0}, hwclock::CivilTime{2028, 12, 30, 23, 59, 59}}) {
    EXPECT_FALSE(announced_leap(panel_of({1, 1, 1}), *hwclock::utc_seconds_of(day), 37))
        << day.month << "/" << day.day;
  }
}

TEST(UpstreamPolicy, IsWhatTheConfigurationSays) {
  Config::Clock clock;
  clock.upstream_max_error_us = 5'000;
  clock.drift_ppb = 100;
  const hwclock::UpstreamClockPolicy policy = upstream_policy(clock, -20);
  EXPECT_EQ(policy.error_ns_max, 5'000'000U);
  EXPECT_EQ(policy.drift_ppb, 100U);
  EXPECT_EQ(policy.precision, -20);
}

}  // namespace
}  // namespace control
