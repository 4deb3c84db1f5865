// The served line against a simulated kernel clock: how near, never back, and what a step is.

#include "hwclock/tsc_fit.h"

#include <gtest/gtest.h>

#include "tests/hwclock/simulated_clock.h"

namespace hwclock {
namespace {

constexpr double interval_s = 0.125;
constexpr std::uint64_t hz = SimulatedClock::tsc_hz;

std::int64_t line_minus_clock_ns(const Line& line, const SimulatedClock& clock) {
  const auto units = static_cast<std::int64_t>(ntp_at(line, clock.tsc()) - ntp_of_utc(clock.utc_ns()));
  return std::llround(static_cast<double>(units) / (0x1p32 / 1e9));
}

// A clock role's life: a reading every eighth of a second.
struct Life {
  explicit Life(std::uint64_t guessed_hz = hz) : fit(guessed_hz), last(fit.take(clock.read())) {}

  const Fitted& read_after(double seconds) {
    clock.advance(seconds);
    return last = fit.take(clock.read());
  }
  // Gives the worst error of the line on the way, just before each reading.
  std::int64_t worst_error_ns(double seconds) {
    std::int64_t worst = 0;
    for (double passed = 0; passed < seconds; passed += interval_s) {
      clock.advance(interval_s);
      worst = std::max(worst, std::abs(line_minus_clock_ns(last.line, clock)));
      last = fit.take(clock.read());
    }
    return worst;
  }

  SimulatedClock clock;
  TscFit fit;
  Fitted last;
};

TEST(TscFit, UtcBecomesNtpAcrossTheEras) {
  EXPECT_EQ(ntp_of_utc(0), std::uint64_t{2'208'988'800} << 32);
  EXPECT_EQ(ntp_of_utc(500'000'000) & 0xffffffff, 0x80000000U);
  EXPECT_EQ(ntp_of_utc(-2'208'988'800'000'000'000), 0U);
  EXPECT_EQ(ntp_of_utc(-1), (std::uint64_t{2'208'988'799} << 32) + 0xfffffffb);
  EXPECT_EQ(ntp_of_utc(2'085'978'496'000'000'000), 0U) << "2036-02-07 06:28:16";
}

TEST(TscFit, MeasuresTheTscByAClockThatNobodySlews) {
  const Reading first{1000, 1, 5'000'000'000};
  EXPECT_EQ(tsc_hz_between(first, {1000 + hz / 10, 1, 5'100'000'000}), hz);
  EXPECT_EQ(tsc_hz_between(first, {1000 + 100'000 * hz, 1, 100'005'000'000'000}), hz) << "after a day";
  EXPECT_EQ(tsc_hz_between(first, {999, 1, 5'100'000'000}), 0U);
  EXPECT_EQ(tsc_hz_between(first, {2000, 1, 5'000'000'000}), 0U);
}

TEST(TscFit, TracksASteadyClockWithinTensOfNanosecondsForADay) {
  Life life(hz - hz / 20'000);
  life.clock.rate_ppb = 37'000;  // what chrony has found out about this crystal
  life.worst_error_ns(30);
  EXPECT_LT(life.worst_error_ns(86'400), 100);
  EXPECT_EQ(life.last.step_count, 0U);
  EXPECT_LT(life.last.error_ns, 200U);
  EXPECT_LT(life.last.rate_error_ppb, 1000U);
}

TEST(TscFit, FollowsASlewOf500PpmWithinAMicrosecondOnceItHasSeenIt) {
  Life life;
  life.worst_error_ns(10);
  for (const double rate_ppb : {500'000.0, -500'000.0, 0.0}) {
    SCOPED_TRACE(rate_ppb);
    life.clock.rate_ppb = rate_ppb;
    EXPECT_LT(life.worst_error_ns(3), 200'000) << "an eighth of a second at 1000 ppm, and a little";
    life.worst_error_ns(5);
    EXPECT_LT(life.worst_error_ns(60), 1000);
  }
  EXPECT_EQ(life.last.step_count, 0U);
}

TEST(TscFit, ItsErrorBoundHoldsAtEveryReadingWhateverTheClockDoes) {
  Life life;
  std::uniform_real_distribution rate_ppb(-500'000.0, 500'000.0);
  for (int i = 0; i < 100'000; ++i) {
    if (i % 50 == 0) life.clock.rate_ppb = rate_ppb(life.clock.random);
    // Steps up to 20 ms: some are absorbed, some are followed.
    if (i % 777 == 0) life.clock.step(static_cast<std::int64_t>(rate_ppb(life.clock.random) * 40));
    life.read_after(interval_s);
    ASSERT_LE(std::abs(line_minus_clock_ns(life.last.line, life.clock)),
              static_cast<std::int64_t>(life.last.error_ns) + 3)
        << i << ": more than the simulation's own rounding";
  }
  EXPECT_GT(life.last.step_count, 10U);
}

// Cores change over to a new line some time after its reading; each reads whatever it has at any tick.
TEST(TscFit, B11_ServedTimeNeverGoesBackAcrossSmallCorrections) {
  Life life;
  auto& random = life.clock.random;
  std::uniform_real_distribution rate_ppb(-500'000.0, 500'000.0);
  std::uniform_int_distribution<std::uint64_t> publication_ticks(0, hz / 2000);  // up to half a millisecond
  std::uniform_int_distribution<std::uint64_t> tick(1, 20);
  for (int i = 0; i < 200'000; ++i) {
    if (i % 40 == 0) life.clock.rate_ppb = rate_ppb(random);
    // Small steps are absorbed too.
    if (i % 500 == 0) life.clock.step(static_cast<std::int64_t>(rate_ppb(random) * 10));
    const Line line = life.last.line;
    const std::uint64_t before = ntp_at(line, life.clock.tsc());
    const Line next = life.read_after(interval_s).line;
    std::uint64_t tsc = life.clock.tsc() + publication_ticks(random);
    std::uint64_t served = ntp_at(line, tsc);  // the last time that this core reads the old line
    ASSERT_GT(served, before) << i;
    for (int reads = 0; reads < 4; ++reads) {
      tsc += tick(random);
      const std::uint64_t now = ntp_at(next, tsc);
      ASSERT_GE(now, served) << i << ": back by " << served - now << " units";
      served = now;
    }
  }
  EXPECT_EQ(life.last.step_count, 0U);
}

TEST(TscFit, I08_AClockThatWasSetIsFollowedAtOnceAndCounted) {
  constexpr std::int64_t s = 1'000'000'000;
  constexpr std::int64_t year = 365 * 86'400 * s;
  for (const std::int64_t step_ns : {s / 90, -s / 90, s, -s, 3600 * s, -3600 * s, 68 * year, -50 * year}) {
    SCOPED_TRACE(step_ns);
    Life life;
    life.worst_error_ns(5);
    life.clock.step(step_ns);
    life.read_after(interval_s);
    EXPECT_TRUE(life.last.stepped);
    EXPECT_EQ(life.last.step_count, 1U);
    EXPECT_NEAR(static_cast<double>(life.last.offset_ns), static_cast<double>(step_ns), 1e4);
    EXPECT_LT(std::abs(line_minus_clock_ns(life.last.line, life.clock)), 20'000);
    EXPECT_LT(life.worst_error_ns(5), 20'000);
    EXPECT_FALSE(life.last.stepped);
    EXPECT_EQ(life.last.step_count, 1U);
  }
}

TEST(TscFit, ADifferenceBelowTheStepLimitIsSlewedAwayWithinSeconds) {
  for (const std::int64_t difference_ns : {9'000'000, -9'000'000}) {
    SCOPED_TRACE(difference_ns);
    Life life;
    life.worst_error_ns(5);
    life.clock.step(difference_ns);
    life.worst_error_ns(10);
    EXPECT_LT(life.worst_error_ns(5), 1000);
    EXPECT_EQ(life.last.step_count, 0U);
  }
}

TEST(TscFit, ATscThatWentBackIsAStep) {
  Life life;
  life.worst_error_ns(5);
  life.clock.jump_tsc(-static_cast<std::int64_t>(60 * hz));
  life.read_after(interval_s);
  EXPECT_TRUE(life.last.stepped);
  EXPECT_LT(std::abs(line_minus_clock_ns(life.last.line, life.clock)), 20'000);
}

TEST(TscFit, AResumedLineGoesOnSmoothlyAndAFarOneIsAStep) {
  Life life;
  life.worst_error_ns(5);
  life.clock.advance(30);  // nobody published
  life.clock.step(2'000'000);
  const std::uint64_t served = ntp_at(life.last.line, life.clock.tsc());
  TscFit near(hz);
  near.resume(life.last.line, 7);
  const Fitted fitted = near.take(life.clock.read());
  EXPECT_FALSE(fitted.stepped);
  EXPECT_EQ(fitted.step_count, 7U);
  EXPECT_EQ(ntp_at(fitted.line, life.clock.tsc()), served + 1);
  EXPECT_GE(fitted.error_ns, 1'900'000U) << "it is not there yet, and says so";

  life.clock.step(20'000'000);
  TscFit far(hz);
  far.resume(life.last.line, 7);
  EXPECT_EQ(far.take(life.clock.read()).step_count, 8U);
}

TEST(TscFit, APrimedFitKnowsTheRateBeforeItTouchesTheLine) {
  Life life;
  life.clock.rate_ppb = 400'000;
  TscFit primed(hz);
  TscFit unprimed(hz);
  primed.prime(life.clock.read());
  life.clock.advance(0.15);
  const Reading reading = life.clock.read();
  const Line with = primed.take(reading).line;
  const Line without = unprimed.take(reading).line;
  life.clock.advance(interval_s);
  EXPECT_LT(std::abs(line_minus_clock_ns(with, life.clock)), 200);
  EXPECT_GT(std::abs(line_minus_clock_ns(without, life.clock)), 10'000);
}

// While the line is being bent its rate is wrong on purpose; a holdover from here would run away with it.
TEST(TscFit, ARateBentForACorrectionCountsAsRateError) {
  Life life;
  life.worst_error_ns(60);
  EXPECT_LT(life.last.rate_error_ppb, 1000U);
  life.clock.rate_ppb = 300'000;
  life.worst_error_ns(1);
  EXPECT_GT(life.last.rate_error_ppb, 200'000U);
}

}  // namespace
}  // namespace hwclock
