// The filter's arithmetic: time may be cut in pieces, and no covariance becomes impossible.

#include "hwclock/oscillator.h"

#include <cmath>
#include <gtest/gtest.h>

namespace hwclock {
namespace {

constexpr OscillatorNoise noisy{.white_fm = 6.25, .walk_fm = 4e-4, .walk_drift = 1e-12};

bool is_possible(const Covariance& c) {
  const double minor = c.pp * c.rr - c.pr * c.pr;
  const double whole = c.pp * (c.rr * c.dd - c.rd * c.rd) - c.pr * (c.pr * c.dd - c.rd * c.pd) +
                       c.pd * (c.pr * c.rd - c.rr * c.pd);
  return c.pp > 0 && c.rr > 0 && c.dd > 0 && minor > 0 && whole > 0;
}

TEST(Oscillator, TimePassesTheSameInOnePieceAsInMany) {
  Motion whole{3.0, 20.0, 1e-4};
  Covariance whole_covariance{.pp = 25.0, .pr = 0.1, .pd = 1e-6, .rr = 0.01, .rd = 1e-7, .dd = 1e-10};
  Motion pieces = whole;
  Covariance pieces_covariance = whole_covariance;
  advance(whole, whole_covariance, 1000.0, noisy);
  for (int i = 0; i < 1000; ++i) advance(pieces, pieces_covariance, 1.0, noisy);
  EXPECT_NEAR(whole.phase_ns, 3.0 + 20.0 * 1000.0 + 0.5 * 1e-4 * 1e6, 1e-6);
  EXPECT_NEAR(pieces.phase_ns, whole.phase_ns, 1e-6);
  EXPECT_NEAR(pieces.rate_ppb, whole.rate_ppb, 1e-12);
  const auto near = [](double a, double b) { EXPECT_NEAR(a / b, 1.0, 1e-9); };
  near(pieces_covariance.pp, whole_covariance.pp);
  near(pieces_covariance.pr, whole_covariance.pr);
  near(pieces_covariance.pd, whole_covariance.pd);
  near(pieces_covariance.rr, whole_covariance.rr);
  near(pieces_covariance.rd, whole_covariance.rd);
  near(pieces_covariance.dd, whole_covariance.dd);
}

TEST(Oscillator, WhatIsSaidOfTheFutureIsWhatComes) {
  Motion motion{-7.0, 3.0, 2e-3};
  Covariance covariance{.pp = 9.0, .pr = 0.2, .pd = 1e-5, .rr = 0.04, .rd = 1e-5, .dd = 1e-7};
  const double phase_ns = phase_after(motion, 77.0);
  const double variance_ns2 = phase_variance_after(covariance, 77.0, noisy);
  advance(motion, covariance, 77.0, noisy);
  EXPECT_DOUBLE_EQ(motion.phase_ns, phase_ns);
  EXPECT_DOUBLE_EQ(covariance.pp, variance_ns2);
}

TEST(Oscillator, AMeasurementIsWeighedByItsVariance) {
  Motion motion;
  Covariance covariance{.pp = 300.0, .rr = 1.0, .dd = 1e-9};
  absorb(motion, covariance, 100.0, 100.0);
  EXPECT_DOUBLE_EQ(motion.phase_ns, 75.0);
  EXPECT_DOUBLE_EQ(covariance.pp, 75.0);  // 1 / (1/300 + 1/100)
}

// From 100 ppm to a part in 10^13 and on for ten million seconds: rounding never makes a variance negative.
TEST(Oscillator, TheCovarianceStaysPossible) {
  const OscillatorNoise quiet{.white_fm = 1e-4, .walk_fm = 1e-8, .walk_drift = 1e-18};
  Motion motion;
  Covariance covariance{.pp = 100.0, .rr = 1e10, .dd = 1e-10};
  for (int i = 0; i < 10'000'000; ++i) {
    advance(motion, covariance, 1.0, quiet);
    absorb(motion, covariance, 0.0, 100.0);
    if (i % 1009 != 0) continue;
    ASSERT_TRUE(is_possible(covariance)) << "after " << i << " s";
  }
  EXPECT_LT(std::sqrt(covariance.pp), 1.0);
}

}  // namespace
}  // namespace hwclock
