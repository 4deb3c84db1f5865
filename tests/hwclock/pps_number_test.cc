// Which second a pulse begins, and what must not change the answer.

#include "hwclock/pps_number.h"

#include <gtest/gtest.h>

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 1'000'000'000;
constexpr std::int64_t first_s = 1'800'000'000;

class Pulses {
 public:
  // One second: the pulse, then what the receiver says of it after `delay_s`.
  Numbered second(double delay_s = 0.12, std::int64_t told_off_s = 0) {
    const Numbered numbered = pulse();
    number.take(TimeOfDay{tick + static_cast<std::uint64_t>(delay_s * hz), first_s + seconds + told_off_s});
    return numbered;
  }
  Numbered pulse() {
    ++seconds;
    tick += hz;
    const TaiTime own{(first_s + seconds) * std::int64_t{1'000'000'000} + own_error_ns};
    return number.take(Pulse{tick}, own_is_good ? &own : nullptr);
  }
  std::int64_t seconds_off(double delay_s = 0.12, std::int64_t told_off_s = 0) {
    const Numbered numbered = second(delay_s, told_off_s);
    return numbered.tai_s - (first_s + seconds);
  }
  Numbered until_numbered() {
    for (int i = 0; i < 20; ++i) {
      const Numbered numbered = second();
      if (numbered.is_numbered) return numbered;
    }
    return {};
  }

  PpsNumber number{hz};
  std::uint64_t tick = 0;
  std::int64_t seconds = 0;
  bool own_is_good = false;
  std::int64_t own_error_ns = 0;
};

TEST(PpsNumber, NumbersTheSixthPulseAfterFiveThatAgree) {
  Pulses pulses;
  for (int i = 0; i < PpsNumber::pulses_wanted; ++i) ASSERT_FALSE(pulses.second().is_numbered) << i;
  const Numbered numbered = pulses.second();
  EXPECT_TRUE(numbered.is_numbered);
  EXPECT_TRUE(numbered.begins_anew);
  EXPECT_EQ(numbered.tai_s, first_s + pulses.seconds);
  const Numbered next = pulses.second();
  EXPECT_TRUE(next.is_numbered);
  EXPECT_FALSE(next.begins_anew);
  EXPECT_EQ(next.tai_s, first_s + pulses.seconds);
}

TEST(PpsNumber, I05_AMessageHalfASecondLateNumbersNothing) {
  Pulses pulses;
  for (int i = 0; i < 60; ++i) ASSERT_FALSE(pulses.second(0.5).is_numbered);
  EXPECT_EQ(pulses.number.doubt(), NumberingDoubt::ambiguous_delay);
}

TEST(PpsNumber, OneDisagreementBeginsTheCountAnew) {
  Pulses pulses;
  for (int i = 0; i < 4; ++i) ASSERT_FALSE(pulses.second().is_numbered);
  ASSERT_FALSE(pulses.second(0.12, 1).is_numbered);
  for (int i = 0; i < PpsNumber::pulses_wanted; ++i) ASSERT_FALSE(pulses.second().is_numbered) << i;
  EXPECT_EQ(pulses.seconds_off(), 0);
}

TEST(PpsNumber, AnUnsteadyDelayNumbersNothing) {
  Pulses pulses;
  for (int i = 0; i < 60; ++i) ASSERT_FALSE(pulses.second(i % 2 == 0 ? 0.05 : 0.35).is_numbered);
}

TEST(PpsNumber, I05_TenPulsesASecondNumberNothing) {
  Pulses pulses;
  for (int i = 0; i < 200; ++i) {
    pulses.tick -= hz - hz / 10;
    ASSERT_FALSE(pulses.second(0.02).is_numbered);
  }
  EXPECT_EQ(pulses.number.doubt(), NumberingDoubt::period);
}

TEST(PpsNumber, I06_OnceNumberedAMessageASecondLateChangesNothingAndIsReported) {
  Pulses pulses;
  ASSERT_TRUE(pulses.until_numbered().is_numbered);
  pulses.own_is_good = true;
  for (int i = 0; i < 15; ++i) pulses.second();
  EXPECT_EQ(pulses.number.mode(), NumberingMode::tracking);
  for (int i = 0; i < PpsNumber::disagreements_max; ++i) {
    EXPECT_FALSE(pulses.number.is_contradicted());
    EXPECT_EQ(pulses.seconds_off(0.12, -1), 0);
  }
  EXPECT_TRUE(pulses.number.is_contradicted());
  EXPECT_EQ(pulses.number.contradiction_s(), -1);
}

TEST(PpsNumber, TwoWrongMessagesInARowAreNoContradiction) {
  Pulses pulses;
  ASSERT_TRUE(pulses.until_numbered().is_numbered);
  for (int i = 0; i < 30; ++i) pulses.second(0.12, i % 3 == 0 ? 0 : 1);
  EXPECT_FALSE(pulses.number.is_contradicted());
}

TEST(PpsNumber, MissingPulsesAreCountedOverAndDoubleOnesAreNot) {
  Pulses pulses;
  ASSERT_TRUE(pulses.until_numbered().is_numbered);
  pulses.tick += 3 * hz;
  pulses.seconds += 3;
  EXPECT_EQ(pulses.seconds_off(), 0);
  EXPECT_FALSE(pulses.number.take(Pulse{pulses.tick + hz / 50}, nullptr).is_numbered);
  EXPECT_EQ(pulses.seconds_off(), 0);
}

TEST(PpsNumber, AnEdgeBetweenTwoSecondsIsNoSecond) {
  Pulses pulses;
  ASSERT_TRUE(pulses.until_numbered().is_numbered);
  pulses.own_is_good = true;
  pulses.own_error_ns = 450'000'000;
  EXPECT_FALSE(pulses.second().is_numbered);
  pulses.own_error_ns = 0;
  EXPECT_TRUE(pulses.second().is_numbered);
}

TEST(PpsNumber, ALongSilenceWithoutAClockOfOurOwnEndsTheNumbering) {
  Pulses pulses;
  ASSERT_TRUE(pulses.until_numbered().is_numbered);
  pulses.tick += 100 * hz;
  pulses.seconds += 100;
  EXPECT_FALSE(pulses.second().is_numbered);
  EXPECT_EQ(pulses.number.mode(), NumberingMode::reset);
  const Numbered again = pulses.until_numbered();
  EXPECT_TRUE(again.begins_anew);
  EXPECT_EQ(again.tai_s, first_s + pulses.seconds);
}

}  // namespace
}  // namespace hwclock
