// The states, one transition at a time. Whole days, faults and figures are in tests/sim.

#include "hwclock/discipline.h"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "hwclock/tsc_fit.h"

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 1'000'000'000;
constexpr std::int64_t start_s = 1'800'000'000;

// A perfect oscillator and a receiver that is off by a nanosecond, one way and the other.
class Lab {
 public:
  explicit Lab(const DisciplinePolicy& policy = {}) : clock(std::make_unique<Discipline>(hz, policy)) {
    clock->set_leap({.tai_minus_utc_s = 37});
  }
  const ClockState& second(bool has_pulse = true, double off_ns = 0.0, std::int64_t told_off_s = 0) {
    ++seconds;
    tick += hz;
    if (has_pulse) {
      const auto edge = tick + static_cast<std::uint64_t>(std::llround(off_ns + (seconds % 2 == 0 ? 1 : -1)));
      clock->take_pulse(edge, 0.0);
      clock->take_time_of_day({tick + hz / 8, start_s + seconds + told_off_s});
    }
    state = clock->publish(tick + hz / 2);
    EXPECT_TRUE(is_valid(state));
    return state;
  }
  bool until(State wanted, int seconds_max, bool has_pulse = true, double off_ns = 0.0) {
    for (int i = 0; i < seconds_max; ++i) {
      if (second(has_pulse, off_ns).state == wanted) return true;
    }
    return false;
  }
  [[nodiscard]] double error_ns() const {
    const std::int64_t utc_ns = (start_s + seconds - 37) * std::int64_t{1'000'000'000} + 500'000'000;
    return static_cast<double>(static_cast<std::int64_t>(ntp_at(state, tick + hz / 2) - ntp_of_utc(utc_ns))) *
           1e9 / 0x1p32;
  }

  std::unique_ptr<Discipline> clock;
  ClockState state{};
  std::uint64_t tick = 5 * hz;
  std::int64_t seconds = 0;
};

DisciplinePolicy short_holdover() {
  DisciplinePolicy policy;
  policy.holdover_s_max = 100;
  policy.dispute_s_max = 60;
  return policy;
}

TEST(Discipline, H17_WithoutAPulseItKnowsNothingAndSaysSo) {
  Lab lab;
  EXPECT_FALSE(lab.until(State::locked, 30, false));
  EXPECT_EQ(lab.state.state, State::unsync);
  EXPECT_EQ(lab.state.leap, 3U);
  EXPECT_EQ(lab.state.stratum, 0U);
  EXPECT_FALSE(is_believable(lab.state, lab.state.valid_until + 1));
}

TEST(Discipline, LocksWithinAMinuteThroughWarmup) {
  Lab lab;
  ASSERT_TRUE(lab.until(State::warmup, 10));
  EXPECT_EQ(lab.state.leap, 3U) << "numbered is not yet good";
  ASSERT_TRUE(lab.until(State::locked, 50));
  EXPECT_EQ(lab.state.leap, 0U);
  EXPECT_EQ(lab.state.stratum, 1U);
  EXPECT_EQ(lab.state.reference_id, 0x47505300U);
  EXPECT_EQ(lab.state.source, Source::pps);
  EXPECT_EQ(lab.state.root_delay_ns, 200U) << "twice what is not calibrated";
  EXPECT_EQ(lab.state.tai_minus_utc_s, 37);
  EXPECT_LT(std::fabs(lab.error_ns()), 20.0);
}

TEST(Discipline, HoldsOverWithAGrowingBoundAStandingReferenceTimeAndLocksAgain) {
  Lab lab;
  ASSERT_TRUE(lab.until(State::locked, 60));
  for (int i = 0; i < 60; ++i) lab.second();
  const std::uint64_t locked_error_ns = dispersion_ns_at(lab.state, lab.tick + hz / 2);
  lab.second(false);
  lab.second(false);
  EXPECT_EQ(lab.second(false).state, State::locked) << "three pulses may be missing";
  EXPECT_EQ(lab.second(false).state, State::holdover);
  EXPECT_EQ(lab.state.stratum, 1U);
  const std::uint64_t reference = lab.state.reference_ntp;
  for (int i = 0; i < 3600; ++i) lab.second(false);
  EXPECT_EQ(lab.state.reference_ntp, reference);
  EXPECT_GT(dispersion_ns_at(lab.state, lab.tick + hz / 2), 4 * locked_error_ns);
  const std::uint64_t steps = lab.state.step_count;
  EXPECT_TRUE(lab.until(State::locked, 5));
  EXPECT_EQ(lab.state.step_count, steps);
  EXPECT_GT(lab.state.reference_ntp, reference);
}

TEST(Discipline, H03_WhatIsPublishedCoversTheHoldoverThatNobodyPublishesAnyMore) {
  Lab lab;
  for (int i = 0; i < 300; ++i) lab.second();
  const ClockState last = lab.state;
  for (int i = 0; i < 5000; ++i) {
    const ClockState& now = lab.second(false);
    const std::uint64_t tick = lab.tick + hz / 2;
    if (!is_believable(last, tick)) break;
    ASSERT_GE(dispersion_ns_at(last, tick) + 1, dispersion_ns_at(now, tick)) << i;
  }
}

TEST(Discipline, G15_HoldoverEndsByTimeInAlarm) {
  Lab lab(short_holdover());
  ASSERT_TRUE(lab.until(State::locked, 60));
  ASSERT_TRUE(lab.until(State::alarm, 105, false));
  EXPECT_EQ(lab.state.leap, 3U);
  EXPECT_EQ(lab.state.stratum, 0U);
  EXPECT_TRUE(lab.until(State::locked, 60)) << "and pulses end the alarm, through warmup";
}

TEST(Discipline, G15_HoldoverEndsByErrorInAlarm) {
  DisciplinePolicy policy;
  policy.holdover_error_max_ns = 20'000;
  Lab lab(policy);
  ASSERT_TRUE(lab.until(State::locked, 60));
  ASSERT_TRUE(lab.until(State::alarm, 80'000, false));
  EXPECT_LT(lab.seconds, 80'000);
  EXPECT_EQ(lab.state.leap, 3U);
}

TEST(Discipline, I13_WhoIsContradictedByUpstreamsHoldsOverThenRaisesAlarmAndNeverSteps) {
  Lab lab(short_holdover());
  ASSERT_TRUE(lab.until(State::locked, 60));
  const std::uint64_t steps = lab.state.step_count;
  lab.clock->take_testimony(true, 7e6, lab.tick);
  ASSERT_TRUE(lab.until(State::holdover, 2));
  EXPECT_EQ(lab.state.leap, 0U);
  EXPECT_GE(dispersion_ns_at(lab.state, lab.tick + hz / 2), 7'000'000U) << "either side may be right";
  ASSERT_GT(7e6, static_cast<double>(short_holdover().holdover_error_max_ns)) << "beyond our own limit";
  EXPECT_TRUE(is_believable(lab.state, lab.tick + 2 * hz)) << "what is called holdover is served as one";
  EXPECT_FALSE(is_believable(lab.state, lab.tick + 62 * hz)) << "but not for longer than it is disputed";
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(lab.second().state, State::holdover) << "no pulse is followed meanwhile";
    ASSERT_TRUE(is_believable(lab.state, lab.tick + hz));
  }
  ASSERT_TRUE(lab.until(State::alarm, 100));
  EXPECT_EQ(lab.state.leap, 3U);
  EXPECT_EQ(lab.state.step_count, steps);
  for (int i = 0; i < 100; ++i) {
    const State state = lab.second().state;
    ASSERT_TRUE(state != State::locked && state != State::holdover) << i;
  }
  lab.clock->take_testimony(false, 0.0, lab.tick);
  EXPECT_TRUE(lab.until(State::locked, 100));
}

TEST(Discipline, I13_WhatItBelievesOfItselfCoversWhatTheInputAdmits) {
  Lab lab;
  ASSERT_TRUE(lab.until(State::locked, 60));
  const double before_ns = lab.clock->error_ns(lab.tick);
  lab.clock->set_window_error(5'000.0);
  EXPECT_NEAR(lab.clock->error_ns(lab.tick) - before_ns, 5'000.0, 0.001);
  const double half_delay_ns = static_cast<double>(lab.second().root_delay_ns) / 2.0;
  EXPECT_GE(lab.clock->error_ns(lab.tick + hz / 2), half_delay_ns) << "witnesses hear of all that is served";
}

TEST(Discipline, I13_AContradictionThatEndsInTimeLeavesNothingBehind) {
  Lab lab(short_holdover());
  ASSERT_TRUE(lab.until(State::locked, 60));
  lab.clock->take_testimony(true, 7e6, lab.tick);
  ASSERT_TRUE(lab.until(State::holdover, 2));
  lab.clock->take_testimony(false, 0.0, lab.tick);
  ASSERT_TRUE(lab.until(State::locked, 5));
  EXPECT_LT(dispersion_ns_at(lab.state, lab.tick), 1'000'000U);
}

TEST(Discipline, I04_AStepOfTheReferenceIsHeldOverThenAlarmedThenTakenAnew) {
  Lab lab(short_holdover());
  ASSERT_TRUE(lab.until(State::locked, 60));
  for (int i = 0; i < 100; ++i) lab.second();
  const std::uint64_t steps = lab.state.step_count;
  ASSERT_TRUE(lab.until(State::holdover, 6, true, 1e6));
  EXPECT_LT(std::fabs(lab.error_ns()), 50.0);
  ASSERT_TRUE(lab.until(State::alarm, 70, true, 1e6));
  EXPECT_EQ(lab.state.leap, 3U);
  EXPECT_EQ(lab.state.step_count, steps);
  ASSERT_TRUE(lab.until(State::locked, 200, true, 1e6)) << "it never locks out for ever";
  EXPECT_EQ(lab.state.step_count, steps + 1) << "told, and while leap was 3";
  EXPECT_NEAR(lab.error_ns(), -1e6, 100.0);
}

TEST(Discipline, AWarmupThatFallsSilentForAMinuteBeginsAnew) {
  Lab lab;
  ASSERT_TRUE(lab.until(State::warmup, 20));
  for (int i = 0; i < 58; ++i) ASSERT_EQ(lab.second(false).state, State::warmup) << i;
  ASSERT_TRUE(lab.until(State::unsync, 5, false));
}

TEST(Discipline, I04_AfterASpentHoldoverAStrangeReferenceIsWatchedForHalfAMinute) {
  Lab lab(short_holdover());
  ASSERT_TRUE(lab.until(State::locked, 60));
  ASSERT_TRUE(lab.until(State::alarm, 110, false));
  for (int i = 0; i < 28; ++i) ASSERT_EQ(lab.second(true, 1e8).state, State::alarm) << i;
  ASSERT_TRUE(lab.until(State::locked, 200, true, 1e8));
}

TEST(Discipline, I06_AReceiverThatChangesItsMindOnTheSecondRaisesTheAlarm) {
  Lab lab;
  ASSERT_TRUE(lab.until(State::locked, 60));
  lab.second(true, 0.0, 1);
  EXPECT_EQ(lab.second(true, 0.0, 1).state, State::locked);
  EXPECT_LT(std::fabs(lab.error_ns()), 20.0);
  EXPECT_EQ(lab.second(true, 0.0, 1).state, State::alarm);
  EXPECT_EQ(lab.state.leap, 3U);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(lab.second(true, 0.0, 1).state, State::alarm);
  const std::uint64_t steps = lab.state.step_count;
  ASSERT_TRUE(lab.until(State::locked, 60)) << "it came back to reason";
  EXPECT_EQ(lab.state.step_count, steps);
  EXPECT_LT(std::fabs(lab.error_ns()), 20.0);
}

// A cold receiver that did not know the leap seconds, say: then it was we who had the wrong second.
TEST(Discipline, AReceiverThatStaysWithAnotherSecondIsBelievedAfterALongAlarm) {
  Lab lab(short_holdover());
  ASSERT_TRUE(lab.until(State::locked, 60));
  for (int i = 0; i < 200; ++i) {
    const State before = lab.state.state;
    const std::uint64_t steps = lab.state.step_count;
    lab.second(true, 0.0, -1);
    if (lab.state.step_count != steps) {
      EXPECT_EQ(lab.state.leap, 3U) << static_cast<int>(before);
    }
  }
  EXPECT_EQ(lab.state.state, State::locked);
  EXPECT_NEAR(lab.error_ns(), -1e9, 20.0);
}

TEST(Discipline, I09_ThroughALeapSecondItIsLeap3AndThenExactlyASecondLess) {
  Lab lab;
  constexpr std::int64_t day_end_s = 57'638;  // of UTC, in seconds since start_s
  lab.seconds = day_end_s - 200;
  lab.clock->set_leap({.tai_minus_utc_s = 37, .change_s = 1, .change_tai_s = start_s + day_end_s});
  ASSERT_TRUE(lab.until(State::locked, 60));
  EXPECT_EQ(lab.state.leap, 1U);
  while (lab.seconds < day_end_s - 2) lab.second();
  EXPECT_EQ(lab.state.leap, 3U);
  while (lab.seconds < day_end_s + 1) lab.second();
  EXPECT_EQ(lab.state.leap, 0U);
  EXPECT_EQ(lab.state.state, State::locked);
  EXPECT_EQ(lab.state.tai_minus_utc_s, 38);
  EXPECT_NEAR(lab.error_ns(), -1e9, 20.0) << "error_ns() counts on with the old offset";
}

// A receiver that says of a sudden that UTC is another second: it may be right, but nobody announced it.
TEST(Discipline, S10_AnOffsetThatNoPlanForesawIsAnAlarmAndNoSilentStep) {
  Lab lab;
  ASSERT_TRUE(lab.until(State::locked, 60));
  const std::uint64_t steps = lab.state.step_count;
  lab.clock->set_leap({.tai_minus_utc_s = 38});
  EXPECT_EQ(lab.second().state, State::alarm);
  EXPECT_EQ(lab.state.leap, 3U);
  EXPECT_EQ(lab.state.step_count, steps + 1) << "told, and while leap is 3";
  ASSERT_TRUE(lab.until(State::locked, 60)) << "it stays with it";
  EXPECT_NEAR(lab.error_ns(), -1e9, 20.0);
}

// As after a leap second that nobody looked at for a while: the table has done with it.
TEST(Discipline, I09_APlanThatHasComeToPassIsALeapHoweverLateItIsSeen) {
  Lab lab;
  constexpr std::int64_t day_end_s = 57'638;
  lab.seconds = day_end_s - 200;
  lab.clock->set_leap({.tai_minus_utc_s = 37, .change_s = 1, .change_tai_s = start_s + day_end_s});
  ASSERT_TRUE(lab.until(State::locked, 60));
  while (lab.seconds < day_end_s - 5) lab.second();
  lab.tick += 20 * hz;
  lab.seconds += 20;
  lab.clock->set_leap({.tai_minus_utc_s = 38});
  EXPECT_NE(lab.second().state, State::alarm);
  EXPECT_EQ(lab.state.leap, 0U);
  EXPECT_NEAR(lab.error_ns(), -1e9, 1000.0);
}

}  // namespace
}  // namespace hwclock
