// A receiver that is heard by way of gpsd: the same doubts, the same repair, and leap seconds that gpsd says.

#include <gtest/gtest.h>

#include "hwclock/calendar.h"
#include "hwclock/receiver.h"

namespace hwclock {
namespace {

constexpr std::uint64_t tick_hz = 1'000'000'000;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t noon_utc_s = 1'795'521'600;  // 2026-11-24 12:00:00
constexpr std::int32_t tai_minus_utc_s = 37;

struct Heard {
  LeapTable leaps = LeapTable::compiled();
  Receiver receiver{tick_hz, leaps, written_utc_s, 100.0};
  std::optional<TimeOfDay> fix(std::int64_t utc_ns, std::uint64_t tick = 10, std::int32_t leap_s = 0) {
    return receiver.take(GpsdFix{"/dev/ttyS0", true, utc_ns, std::nullopt, leap_s}, tick);
  }
  std::optional<TimeOfDay> offset(std::int64_t utc_ns, std::uint64_t tick = 10) {
    return receiver.take(GpsdOffset{"/dev/ttyS0", utc_ns, 0}, tick);
  }
  void lose_fix(std::uint64_t tick = 10) { static_cast<void>(receiver.take(GpsdFix{}, tick)); }
};

TEST(ReceiverByGpsd, AFixAndWhenItsMessageCameAreTimesOfDay) {
  Heard heard;
  EXPECT_EQ(heard.receiver.doubt(0), ReceiverDoubt::silent);
  EXPECT_FALSE(heard.offset(noon_utc_s * ns_per_s)) << "nobody has said that there is a fix";
  const auto told = heard.fix(noon_utc_s * ns_per_s, 500);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tai_s, noon_utc_s + tai_minus_utc_s);
  EXPECT_EQ(told->tick, 500U);
  const auto again = heard.offset((noon_utc_s + 1) * ns_per_s + 402'000'000, 900);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->tai_s, noon_utc_s + 1 + tai_minus_utc_s) << "gpsd adds what such receivers take";
  EXPECT_EQ(again->tick, 900U);
}

TEST(ReceiverByGpsd, I02_FixLostAndFoundAThousandTimesIsSaidEachTime) {
  Heard heard;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    heard.lose_fix(i * 10);
    ASSERT_EQ(heard.receiver.doubt(i * 10), ReceiverDoubt::no_fix);
    ASSERT_FALSE(heard.offset(noon_utc_s * ns_per_s, i * 10));
    ASSERT_TRUE(heard.fix(noon_utc_s * ns_per_s, i * 10 + 5));
    ASSERT_EQ(heard.receiver.doubt(i * 10 + 5), ReceiverDoubt::none);
  }
  EXPECT_EQ(heard.receiver.doubt(10'005 + 30 * tick_hz), ReceiverDoubt::none);
  EXPECT_EQ(heard.receiver.doubt(10'006 + 30 * tick_hz), ReceiverDoubt::silent);
}

TEST(ReceiverByGpsd, ASolutionBetweenTwoSecondsNumbersNoPulse) {
  Heard heard;
  EXPECT_FALSE(heard.fix(noon_utc_s * ns_per_s + 200'000'000));
  const auto told = heard.fix(noon_utc_s * ns_per_s - 1'000'000);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tai_s, noon_utc_s + tai_minus_utc_s) << "a little before the whole second is that second";
}

TEST(ReceiverByGpsd, I03_AWeekNumberThatRolledOverIsRepairedAndADateThatCannotBeIsRefused) {
  Heard heard;
  const std::int64_t rolled_ns = (noon_utc_s - rollover_s) * ns_per_s;
  const auto told = heard.fix(rolled_ns);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tai_s, noon_utc_s + tai_minus_utc_s);
  EXPECT_EQ(heard.receiver.rollovers_repaired(), 1U);
  const auto message = heard.offset(rolled_ns);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->tai_s, told->tai_s);
  for (const std::int64_t off_s : {-30 * 86'400, 3'650 * 86'400}) {  // before this program; ten years on
    EXPECT_TRUE(heard.fix(noon_utc_s * ns_per_s));
    EXPECT_FALSE(heard.offset((noon_utc_s + off_s) * ns_per_s)) << off_s;
    EXPECT_FALSE(heard.fix((noon_utc_s + off_s) * ns_per_s)) << off_s;
    EXPECT_EQ(heard.receiver.doubt(10), ReceiverDoubt::impossible) << off_s;
  }
}

TEST(ReceiverByGpsd, I09_LeapSecondsAreBelievedWhenTheyHaveBeenSaidForAWhile) {
  Heard heard;
  const auto plan = [&] { return heard.receiver.plan_with(heard.leaps.plan_at(noon_utc_s), noon_utc_s); };
  for (int i = 0; i < 29; ++i) static_cast<void>(heard.fix(noon_utc_s * ns_per_s, 10, 19));
  EXPECT_EQ(plan().tai_minus_utc_s, 37);
  static_cast<void>(heard.fix(noon_utc_s * ns_per_s, 10, 17));
  for (int i = 0; i < 29; ++i) static_cast<void>(heard.fix(noon_utc_s * ns_per_s, 10, 19));
  EXPECT_EQ(plan().tai_minus_utc_s, 37) << "not in a row";
  EXPECT_EQ(heard.fix(noon_utc_s * ns_per_s, 10, 0)->tai_s, noon_utc_s + 37);
  static_cast<void>(heard.fix(noon_utc_s * ns_per_s, 10, 19));
  EXPECT_EQ(plan().tai_minus_utc_s, 38);
  EXPECT_EQ(heard.fix(noon_utc_s * ns_per_s)->tai_s, noon_utc_s + 38)
      << "and seconds are counted with what UTC is made of again: else it were a second off";
}

TEST(ReceiverByGpsd, I09_LeapSecondsThatAreNoNewsTakeNoAnnouncementAway) {
  Heard heard;
  for (int i = 0; i < 60; ++i) static_cast<void>(heard.fix(noon_utc_s * ns_per_s, 10, 18));
  ASSERT_TRUE(heard.receiver.leap());
  const LeapPlan announced{37, 1, noon_utc_s + 43'200 + 38};
  EXPECT_EQ(heard.receiver.plan_with(announced, noon_utc_s).change_s, 1) << "gpsd does not say what comes";
}

TEST(ReceiverByGpsd, I09_AnOffsetThatIsBelievedLateTakesNoChangeBackThatTheTableMade) {
  Heard heard;
  for (int i = 0; i < 60; ++i) static_cast<void>(heard.fix(noon_utc_s * ns_per_s, 10, 18));
  const LeapPlan after{38, 0, 0};
  for (int i = 0; i < 20; ++i) static_cast<void>(heard.fix((noon_utc_s + 43'200 + i) * ns_per_s, 10, 19));
  EXPECT_EQ(heard.receiver.plan_with(after, noon_utc_s + 43'220).tai_minus_utc_s, 38);
}

TEST(ReceiverByGpsd, I12_OneThatStandsStillAndJumpsIsDoubted) {
  Heard heard;
  const auto at = [&](double latitude_deg) {
    static_cast<void>(heard.receiver.take(
        GpsdFix{"/dev/ttyS0", true, noon_utc_s * ns_per_s, Place{latitude_deg, 0.0, 5.0}, 0}, 10));
  };
  for (int i = 0; i < 5; ++i) at(51.4779);
  EXPECT_EQ(heard.receiver.doubt(10), ReceiverDoubt::none);
  for (int i = 0; i < 3; ++i) at(51.4879);
  EXPECT_EQ(heard.receiver.doubt(10), ReceiverDoubt::moved);
}

TEST(ReceiverByGpsd, SatellitesAreCounted) {
  Heard heard;
  heard.receiver.take(GpsdSky{"/dev/ttyS0", 11});
  EXPECT_EQ(heard.receiver.satellites(), 11);
}

}  // namespace
}  // namespace hwclock
