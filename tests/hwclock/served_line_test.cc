// The served line: it reaches its target, never goes back, and steps only when told to.

#include "hwclock/served_line.h"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 2'600'000'000;
constexpr double ns_per_tick = 1e9 / hz;
constexpr double units_per_ns = 0x1p32 / 1e9;

Target target(std::uint64_t tick, double off_ns) {
  const double ns = static_cast<double>(tick) * ns_per_tick + off_ns;
  return {tick, (std::uint64_t{0xe0000000} << 32) + static_cast<std::uint64_t>(ns * units_per_ns), 0.0,
          ns_per_tick};
}

TEST(ServedLine, BendsToItsTargetWithinSeconds) {
  ServedLine line(hz);
  line.step_to(target(hz, 0.0));
  std::uint64_t tick = hz;
  double off_ns = 0.0;
  for (int i = 0; i < 24; ++i) {
    tick += hz / 8;
    off_ns = line.bend_to(target(tick, 5'000.0));
    if (i == 0) {
      EXPECT_NEAR(off_ns, 5'000.0, 1.0);
    }
  }
  EXPECT_NEAR(off_ns, 0.0, 1.0);
  EXPECT_EQ(line.step_count(), 0U);
}

TEST(ServedLine, NeverTurnsFasterThanItsLimit) {
  ServedLine line(hz);
  line.step_to(target(hz, 0.0));
  line.bend_to(target(2 * hz, 1e9));
  EXPECT_NEAR(line.rate_off_ppb(target(2 * hz, 0.0)), ServedLine::slew_max_ppb, 1.0);
}

TEST(ServedLine, B11_NoReaderSeesTimeGoBack) {
  std::mt19937_64 random(1);
  ServedLine line(hz);
  line.step_to(target(hz, 0.0));
  std::uint64_t tick = hz;
  for (int i = 0; i < 10'000; ++i) {
    const Line before = line.line();
    tick += hz / 8;
    line.bend_to(target(tick, std::uniform_real_distribution(-1e6, 1e6)(random)));
    for (const std::uint64_t later : {std::uint64_t{0}, hz / 5000, hz / 1001}) {
      const auto moved =
          static_cast<std::int64_t>(ntp_at(line.line(), tick + later) - ntp_at(before, tick + later));
      ASSERT_GE(moved, 0) << i;
    }
  }
}

TEST(ServedLine, B11_ARenewedLineIsTheSameOneAUnitAhead) {
  ServedLine line(hz);
  line.step_to(target(hz, 0.0));
  const Line before = line.line();
  line.renew(7 * hz);
  EXPECT_EQ(line.line().tsc0, 7 * hz);
  for (std::uint64_t tick = 7 * hz; tick < 7 * hz + 1'000; ++tick) {
    line.resume(before, 0, tick);
    line.renew(tick);
    for (std::uint64_t later = tick; later < tick + 5; ++later) {
      const auto moved = static_cast<std::int64_t>(ntp_at(line.line(), later) - ntp_at(before, later));
      ASSERT_GE(moved, 0);
      ASSERT_LE(moved, 1);
    }
  }
  EXPECT_EQ(line.step_count(), 0U);
}

// Fifty thousand clocks from 268 MHz to 6 GHz, ten seconds each, against exact arithmetic.
TEST(ServedLine, S13_AReadingIsExactToAUnitOfTheWireForTenSeconds) {
  std::mt19937_64 random(13);
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t clock_hz = 268'435'456 + random() % 5'731'564'544;
    const Line line{random() % (std::uint64_t{1} << 60), random(),
                    mult_of(1e9 / static_cast<double>(clock_hz))};
    const std::uint64_t ticks = random() % (10 * clock_hz);
    const auto units =
        static_cast<std::uint64_t>((static_cast<Int128>(ticks) << 32) / static_cast<Int128>(clock_hz));
    const auto off = static_cast<std::int64_t>(ntp_at(line, line.tsc0 + ticks) - (line.ntp0 + units));
    ASSERT_LE(std::abs(off), 1) << "clock_hz " << clock_hz << ", ticks " << ticks;
  }
}

TEST(ServedLine, AStepAfterAnotherProcessIsCountedOnItsCount) {
  ServedLine line(hz);
  line.resume({hz, 5, mult_of(ns_per_tick)}, 7, hz);
  EXPECT_EQ(line.step_count(), 7U);
  line.step_to(target(2 * hz, 0.0));
  EXPECT_EQ(line.step_count(), 8U);
}

TEST(ServedLine, AStepIsCountedUnlessItIsTheBeginning) {
  ServedLine line(hz);
  EXPECT_FALSE(line.has_line());
  line.step_to(target(hz, 0.0));
  EXPECT_EQ(line.step_count(), 0U);
  line.step_to(target(2 * hz, -1e9));
  EXPECT_EQ(line.step_count(), 1U);
  EXPECT_NEAR(line.off_ns(target(2 * hz, -1e9)), 0.0, 1.0);
}

}  // namespace
}  // namespace hwclock
