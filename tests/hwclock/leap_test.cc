// Leap seconds: the table against known dates, and what is said around a change.

#include "hwclock/leap.h"

#include <gtest/gtest.h>

#include "hwclock/leap_table.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t utc_2017 = 1'483'228'800;  // 2017-01-01 00:00:00

TEST(Leap, I09_TheTableKnowsTheDaysAndTheCount) {
  EXPECT_EQ(LeapTable::compiled().plan_at(63'072'000).tai_minus_utc_s, 10) << "1972-01-01";
  EXPECT_EQ(LeapTable::compiled().plan_at(utc_2017 - 1).tai_minus_utc_s, 36);
  EXPECT_EQ(LeapTable::compiled().plan_at(utc_2017 - 1).change_tai_s, utc_2017 + 37);
  EXPECT_EQ(LeapTable::compiled().plan_at(utc_2017).tai_minus_utc_s, 37);
  EXPECT_EQ(LeapTable::compiled().plan_at(utc_2017).change_s, 0);
  EXPECT_EQ(LeapTable::compiled().plan_at(1'341'100'800 - 1).change_s, 1)
      << "2012-06-30, chrony's check of a table";
  EXPECT_EQ(LeapTable::compiled().plan_at(1'341'100'800).tai_minus_utc_s, 35);
}

TEST(Leap, I09_AnInsertionIsAnnouncedForItsDayAndHiddenWhileItLasts) {
  const LeapPlan plan = LeapTable::compiled().plan_at(utc_2017 - 1);
  const auto at = [&](std::int64_t before_change_s) {
    return leap_indicator_at(plan, TaiTime{(plan.change_tai_s - before_change_s) * ns_per_s});
  };
  EXPECT_EQ(at(86'402), 0U);
  EXPECT_EQ(at(86'401), 1U) << "the day has 86401 seconds";
  EXPECT_EQ(at(3), 1U);
  EXPECT_EQ(at(2), 3U) << "23:59:59";
  EXPECT_EQ(at(1), 3U) << "23:59:60";
  EXPECT_EQ(at(0), 3U);
  EXPECT_EQ(at(-1), 0U);
  EXPECT_EQ(tai_minus_utc_at(plan, TaiTime{plan.change_tai_s * ns_per_s - 1}), 36);
  EXPECT_EQ(tai_minus_utc_at(plan, TaiTime{plan.change_tai_s * ns_per_s}), 37);
}

TEST(Leap, I09_ADeletionIsAnnouncedAsOne) {
  const LeapPlan plan{.tai_minus_utc_s = 37, .change_s = -1, .change_tai_s = utc_2017 + 36};
  EXPECT_EQ(leap_indicator_at(plan, TaiTime{(plan.change_tai_s - 100) * ns_per_s}), 2U);
  EXPECT_EQ(tai_minus_utc_at(plan, TaiTime{plan.change_tai_s * ns_per_s}), 36);
}

TEST(Leap, I09_AFalseLeapInTheMiddleOfADayIsNotBelieved) {
  LeapPlan plan = LeapTable::compiled().plan_at(utc_2017 - 1);
  plan.change_tai_s += 3600;
  EXPECT_EQ(leap_indicator_at(plan, TaiTime{(plan.change_tai_s - 100) * ns_per_s}), 0U);
  EXPECT_EQ(tai_minus_utc_at(plan, TaiTime{(plan.change_tai_s + 100) * ns_per_s}), 36);
  plan.change_s = 2;
  EXPECT_EQ(leap_indicator_at(plan, TaiTime{plan.change_tai_s * ns_per_s}), 0U);
}

TEST(Leap, APromiseEndsBeforeSecondsAreNamedWrongly) {
  const std::int64_t midnight_s = 20'454 * 86'400;  // of UTC
  constexpr std::int64_t second = 1'000'000'000;
  for (const std::int32_t change_s : {1, -1}) {
    SCOPED_TRACE(change_s);
    const LeapPlan plan{37, change_s, midnight_s + 37 + change_s};
    const std::int64_t three_ns = (plan.change_tai_s - (change_s == 1 ? 2 : 1)) * second;
    ASSERT_EQ(leap_indicator_at(plan, {three_ns}), 3U);
    ASSERT_NE(leap_indicator_at(plan, {three_ns - 1}), 3U);
    EXPECT_EQ(ns_until_leap(plan, {three_ns - 1}), second / 2 + 1);
    EXPECT_EQ(ns_until_leap(plan, {three_ns - 100 * second}), 100 * second + second / 2);
    EXPECT_EQ(ns_until_leap(plan, {three_ns}), INT64_MAX);
  }
  EXPECT_EQ(ns_until_leap({37, 0, 0}, {0}), INT64_MAX);
}

}  // namespace
}  // namespace hwclock
