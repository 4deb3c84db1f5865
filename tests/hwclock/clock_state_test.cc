#include "hwclock/clock_state.h"

#include <cmath>
#include <gtest/gtest.h>

namespace {

using hwclock::ClockState;

constexpr std::uint64_t hz = 2'600'000'000;

ClockState good_state() {
  ClockState state{};
  state.tsc0 = 1'000'000'000'000;
  state.ntp0 = 0xe000000000000000;
  state.mult = static_cast<std::uint64_t>(std::llround(0x1p92L / static_cast<long double>(hz)));
  state.tsc_hz = hz;
  state.valid_until = state.tsc0 + 100 * hz;
  state.dispersion0_ns = 1000;
  state.dispersion_rate_ppb = 15'000;
  state.state = hwclock::State::local;
  state.source = hwclock::Source::local;
  state.stratum = 10;
  state.precision = -25;
  return state;
}

TEST(ClockState, IsValidOnlyWithEveryFieldInRange) {
  EXPECT_TRUE(hwclock::is_valid(good_state()));
  const auto broken = [](auto change) {
    ClockState state = good_state();
    change(state);
    return !hwclock::is_valid(state);
  };
  EXPECT_TRUE(broken([](ClockState& s) { s.mult = 0; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.mult *= 2; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.tsc_hz = 0; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.leap = 4; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.stratum = 16; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.stratum = 0; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.precision = 7; }));
  EXPECT_FALSE(broken([](ClockState& s) { s.precision = 6; }));
  EXPECT_FALSE(broken([](ClockState& s) { s.precision = -63; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.precision = -64; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.root_delay_ns = std::uint64_t{1} << 63; })) << "no int64 holds it";
  EXPECT_FALSE(broken([](ClockState& s) { s.root_delay_ns = INT64_MAX; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.state = static_cast<hwclock::State>(7); }));
  EXPECT_TRUE(broken([](ClockState& s) { s.source = static_cast<hwclock::Source>(99); }));
  // Found by the fuzz target clock_page: both were served as no error at all.
  EXPECT_TRUE(broken([](ClockState& s) { s.root_delay_ns = 1ULL << 63; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.dispersion0_ns = 1ULL << 63; }));
  EXPECT_FALSE(broken([](ClockState& s) { s.dispersion0_ns = (1ULL << 63) - 1; }));
  EXPECT_TRUE(broken([](ClockState& s) { s.source_name[31] = 'x'; }));
  EXPECT_FALSE(broken([](ClockState& s) { s.stratum = 0, s.leap = 3; })) << "unsynchronised has no stratum";
}

TEST(ClockState, OneMultiplyIsRightWithinANanosecondOverHours) {
  const ClockState state = good_state();
  for (const std::int64_t seconds : {-10, 0, 1, 60, 3600, 86400}) {
    const std::uint64_t tsc = state.tsc0 + static_cast<std::uint64_t>(seconds) * hz;
    const auto units = static_cast<std::int64_t>(hwclock::ntp_at(state, tsc) - state.ntp0);
    EXPECT_NEAR(static_cast<double>(units - (seconds << 32)), 0.0, 4.3) << seconds;  // 4.3 units are 1 ns
  }
}

TEST(ClockState, B12_DispersionGrowsAtTheDeclaredRateAndNeverShrinks) {
  const ClockState state = good_state();
  EXPECT_EQ(hwclock::dispersion_ns_at(state, state.tsc0), 1000U);
  EXPECT_EQ(hwclock::dispersion_ns_at(state, state.tsc0 - hz), 1000U);
  EXPECT_EQ(hwclock::dispersion_ns_at(state, state.tsc0 + hz), 16'000U);
  EXPECT_EQ(hwclock::dispersion_ns_at(state, state.tsc0 + 1), 1001U) << "rounded up";
}

TEST(ClockState, H03_IsBelievedUntilValidUntilAndNotOneTickLonger) {
  const ClockState state = good_state();
  EXPECT_TRUE(hwclock::is_believable(state, state.tsc0));
  EXPECT_TRUE(hwclock::is_believable(state, state.valid_until));
  EXPECT_FALSE(hwclock::is_believable(state, state.valid_until + 1));
}

TEST(ClockState, ATscThatJumpedBackVoidsIt) {
  const ClockState state = good_state();
  EXPECT_TRUE(hwclock::is_believable(state, state.tsc0 - hz));
  EXPECT_FALSE(hwclock::is_believable(state, state.tsc0 - hz - 1));
}

}  // namespace
