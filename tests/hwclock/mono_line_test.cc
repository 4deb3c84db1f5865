#include "hwclock/mono_line.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

#include "hwclock/served_line.h"

namespace {

using hwclock::ClockState;
using hwclock::MonoLine;

constexpr std::uint64_t hz = 2'300'000'000;
constexpr std::uint64_t eighth = hz / 8;
constexpr std::uint64_t start = 77 * hz;

// Served at another rate, as if a correction were just being made.
ClockState state_at(std::uint64_t tick, double ns_per_tick, std::uint64_t step_count = 0) {
  ClockState state{};
  state.tsc0 = tick;
  state.ntp0 = 0xee000000'00000000;
  state.tsc_hz = hz;
  state.mult = hwclock::mult_of(ns_per_tick * 1.0001);
  state.step_count = step_count;
  state.leap = 3;
  state.mono.line.mult = hwclock::mult_of(ns_per_tick);
  return state;
}

constexpr double nominal_ns = 1e9 / static_cast<double>(hz);

TEST(MonoLine, ThereIsNoneUntilAnEngineKnowsARate) {
  MonoLine mono(7);
  ClockState state = state_at(start, nominal_ns);
  state.mono.line.mult = 0;
  mono.follow(state, start);
  EXPECT_EQ(state.mono.line.mult, 0U);
  EXPECT_EQ(state.mono.epoch, 0U);
}

// Whatever the served line does meanwhile, a reader who changes from one publication to the next sees neither
// a step nor, over a day, any rate but the engine's.
TEST(MonoLine, TurnsWhereItIsAndKeepsTheEnginesRateForADay) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> wander(0.0, 20e-9);
  MonoLine mono(7);
  std::uint64_t tick = start;
  ClockState state = state_at(tick, nominal_ns);
  mono.follow(state, tick);
  ASSERT_TRUE(hwclock::is_valid(state));
  const std::uint64_t first = hwclock::ntp_at(state.mono.line, tick);
  long double expected_units = 0.0L;
  for (int i = 0; i < 8 * 86'400; ++i) {
    const hwclock::Line before = state.mono.line;
    tick += eighth;
    expected_units += static_cast<long double>(eighth) * static_cast<long double>(before.mult) / 0x1p60L;
    const std::uint64_t old_says = hwclock::ntp_at(before, tick);
    state = state_at(tick, nominal_ns * (1.0 + wander(random)));
    mono.follow(state, tick);
    ASSERT_EQ(state.mono.epoch, 7U);
    ASSERT_LE(std::abs(static_cast<std::int64_t>(hwclock::ntp_at(state.mono.line, tick) - old_says)), 1) << i;
  }
  const auto moved = static_cast<long double>(hwclock::ntp_at(state.mono.line, tick) - first);
  EXPECT_NEAR(static_cast<double>(moved - expected_units), 0.0, 2.0) << "units of 0.23 ns, in a day";
}

TEST(MonoLine, AServedStepBeginsAnEpochAndLeavesTheLineAlone) {
  MonoLine mono(0xffffffff);
  ClockState state = state_at(start, nominal_ns, 4);
  mono.follow(state, start);
  EXPECT_EQ(state.mono.epoch, 0xffffffffU);
  const std::uint64_t before = hwclock::ntp_at(state.mono.line, start + eighth);
  state = state_at(start + eighth, nominal_ns, 5);
  state.ntp0 -= std::uint64_t{1} << 32;  // a leap second
  mono.follow(state, start + eighth);
  EXPECT_EQ(state.mono.epoch, 0U) << "any other number will do";
  EXPECT_LE(std::abs(static_cast<std::int64_t>(hwclock::ntp_at(state.mono.line, start + eighth) - before)),
            1);
  state = state_at(start + 2 * eighth, nominal_ns, 5);
  mono.follow(state, start + 2 * eighth);
  EXPECT_EQ(state.mono.epoch, 0U);
}

TEST(MonoLine, TicksThatGoBackBeginAnotherLine) {
  MonoLine mono(1);
  ClockState state = state_at(start, nominal_ns);
  mono.follow(state, start);
  state = state_at(start - hz, nominal_ns);
  mono.follow(state, start - hz);
  EXPECT_EQ(state.mono.epoch, 2U);
  EXPECT_TRUE(hwclock::is_valid(state));
}

TEST(MonoLine, GoesOnAtTheLastRateWhileAnEngineKnowsNone) {
  MonoLine mono(1);
  ClockState state = state_at(start, nominal_ns);
  mono.follow(state, start);
  const std::uint64_t expected = hwclock::ntp_at(state.mono.line, start + hz);
  state = state_at(start + hz, nominal_ns);
  state.mono.line.mult = 0;
  mono.follow(state, start + hz);
  EXPECT_EQ(state.mono.epoch, 1U);
  EXPECT_LE(std::abs(static_cast<std::int64_t>(hwclock::ntp_at(state.mono.line, start + hz) - expected)), 1);
}

}  // namespace
