// What the estimator learns from measurements, and what it refuses to.

#include "hwclock/estimator.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 2'600'000'000;

// A reference once a second, measured by the ticks of an oscillator. The model of CLOCK.md section 4.2.
class Bench {
 public:
  Bench(double white_ns, double walk_ppb, double sigma_ns, double said_sigma_ns)
      : estimator(std::make_unique<Estimator>(hz, said_sigma_ns)),
        white_ns_(white_ns),
        walk_ppb_(walk_ppb),
        sigma_ns_(sigma_ns),
        said_sigma_ns_(said_sigma_ns) {}

  Taken second(double off_ns = 0.0, bool is_measured = true) {
    rate_ppb += walk_ppb_ * normal_(random_) + drift_ppb_s;
    phase_ns += rate_ppb + white_ns_ * normal_(random_);
    ticks += hz;
    elapsed_ns += 1'000'000'000;
    if (!is_measured) return Taken::refused;
    return estimator->take(measurement(off_ns + sigma_ns_ * normal_(random_)));
  }
  [[nodiscard]] Measurement measurement(double noise_ns) const {
    const double whole_ns = std::floor(phase_ns);
    return {ticks,
            {start_ns + elapsed_ns + static_cast<std::int64_t>(whole_ns)},
            phase_ns - whole_ns + noise_ns,
            said_sigma_ns_};
  }
  [[nodiscard]] double error_ns() const {
    const Estimate now = estimator->at(ticks);
    return static_cast<double>(now.time.ns - start_ns - elapsed_ns) + now.fraction_ns - phase_ns;
  }
  [[nodiscard]] double sigmas_off() const {
    return std::fabs(error_ns()) / std::sqrt(estimator->at(ticks).variance_ns2);
  }

  static constexpr std::int64_t start_ns = 2'100'000'000'000'000'000;  // 2036
  std::unique_ptr<Estimator> estimator;
  std::uint64_t ticks = 17;
  std::int64_t elapsed_ns = 0;
  double phase_ns = 0.0;
  double rate_ppb = 40'000.0;
  double drift_ppb_s = 0.0;

 private:
  double white_ns_;
  double walk_ppb_;
  double sigma_ns_;
  double said_sigma_ns_;
  std::mt19937_64 random_{7};
  std::normal_distribution<double> normal_;
};

TEST(Estimator, FindsPhaseAndRateOfAClockThatIs40PpmOff) {
  Bench tcxo(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 120; ++i) tcxo.second();
  EXPECT_LT(std::fabs(tcxo.error_ns()), 50.0);
  EXPECT_LT(tcxo.sigmas_off(), 5.0);
  EXPECT_NEAR(tcxo.estimator->ns_per_tick(tcxo.ticks) * 2.6, 1.0 + tcxo.rate_ppb * 1e-9, 10e-9);
}

TEST(Estimator, LearnsHowNoisyTheOscillatorIs) {
  Bench tcxo(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 20'000; ++i) tcxo.second();
  EXPECT_NEAR(std::sqrt(tcxo.estimator->noise().white_fm), 2.5, 0.8);
  EXPECT_NEAR(std::log(std::sqrt(tcxo.estimator->noise().walk_fm) / 0.02), 0.0, std::log(2.0));
  EXPECT_LT(tcxo.estimator->running_filters(), 100U);
}

TEST(Estimator, LearnsAnewWhenTheOscillatorChanges) {
  Bench clock(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 5'000; ++i) clock.second();
  Bench worse(2.5, 1.0, 10.0, 10.0);
  worse.estimator = std::move(clock.estimator);
  worse.ticks = clock.ticks;
  worse.elapsed_ns = clock.elapsed_ns;
  worse.phase_ns = clock.phase_ns;
  worse.rate_ppb = clock.rate_ppb;
  for (int i = 0; i < 5'000; ++i) worse.second();
  EXPECT_GT(std::sqrt(worse.estimator->noise().walk_fm), 0.3);
  EXPECT_LT(worse.sigmas_off(), 5.0);
}

TEST(Estimator, AReferenceThatSaysTenTimesTooLittleOrTooMuchIsSeenThrough) {
  for (const double said_ns : {1.0, 100.0}) {
    Bench clock(0.01, 1e-4, 10.0, said_ns);
    for (int i = 0; i < 4'000; ++i) clock.second();
    EXPECT_NEAR(std::sqrt(clock.estimator->measurement_scale()) * said_ns, 10.0, 3.0);
    EXPECT_LT(clock.sigmas_off(), 5.0);
  }
}

TEST(Estimator, AnOutlierChangesNothing) {
  Bench clock(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 300; ++i) clock.second();
  const double rate = clock.estimator->ns_per_tick(clock.ticks);
  EXPECT_EQ(clock.second(100'000.0), Taken::outlier);
  EXPECT_NEAR(clock.estimator->innovation_ns(), 100'000.0, 100.0);
  EXPECT_EQ(clock.estimator->ns_per_tick(clock.ticks), rate);
  EXPECT_EQ(clock.estimator->outliers_in_a_row(), 1U);
  EXPECT_EQ(clock.second(), Taken::accepted);
  EXPECT_EQ(clock.estimator->outliers_in_a_row(), 0U);
}

// What is dropped depends on what is expected, not on how often it came: a lie does not become true.
TEST(Estimator, I04_AStepIsNeverFollowedUntilSomebodyDecides) {
  Bench clock(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 1'000; ++i) clock.second();
  for (int i = 0; i < 600; ++i) ASSERT_EQ(clock.second(1e6), Taken::outlier) << i;
  EXPECT_LT(clock.sigmas_off(), 5.0);
  clock.estimator->reopen(1e6, 0.0);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(clock.second(1e6), Taken::accepted);
  EXPECT_NEAR(clock.error_ns(), 1e6, 100.0);
}

// One nanosecond a second is a tenth of a pulse's noise: no single pulse shows it.
TEST(Estimator, S7_ADragThatPassesEveryGateIsSeenByItsLean) {
  for (const double way : {1.0, -1.0}) {
    Bench ocxo(0.01, 1e-4, 10.0, 10.0);
    for (int i = 0; i < 7'200; ++i) ASSERT_EQ(ocxo.second(), Taken::accepted) << i;
    int dragged_s = 0;
    while (dragged_s < 60 && ocxo.second(way * ++dragged_s) == Taken::accepted) continue;
    EXPECT_LT(dragged_s, 40);
    for (; dragged_s < 200; ++dragged_s) ASSERT_EQ(ocxo.second(way * dragged_s), Taken::outlier) << dragged_s;
    EXPECT_LT(std::fabs(ocxo.error_ns()), 5.0);
    int back_s = 0;
    while (back_s < 60 && ocxo.second() != Taken::accepted) ++back_s;
    EXPECT_LT(back_s, 10) << "it leans no more";
  }
}

// What the oscillator may have done itself in the meantime is not held against the reference for ever: as
// soon as the gate would let it pass, after some four minutes here, it is let pass.
TEST(Estimator, ADragEndsWhenTheOscillatorMightHaveDoneIt) {
  Bench crystal(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 2'000; ++i) crystal.second();
  int dragged_s = 0;
  while (dragged_s < 60 && crystal.second(10.0 * ++dragged_s) == Taken::accepted) continue;
  ASSERT_LT(dragged_s, 20);
  int outliers = 0;
  while (outliers < 1'000 && crystal.second(200.0) == Taken::outlier) ++outliers;
  EXPECT_GT(outliers, 60);
  EXPECT_LT(outliers, 350);
}

// Two hours of pulses with 10 ns of noise cannot tell a walk of 3e-5 ppb a second from none.
TEST(Estimator, S5_QuietHoursDoNotProveAnOscillatorQuieterThanTheyCanShow) {
  Bench perfect(0.0, 0.0, 10.0, 10.0);
  for (int i = 0; i < 7'200; ++i) perfect.second();
  EXPECT_GT(std::sqrt(perfect.estimator->variance_after(3'600.0)), 2.0);
  EXPECT_LT(std::sqrt(perfect.estimator->variance_after(3'600.0)), 20.0);
}

TEST(Estimator, AReopenedRateFollowsAnOscillatorThatWasKnocked) {
  Bench ocxo(0.01, 1e-4, 10.0, 10.0);
  for (int i = 0; i < 2'000; ++i) ocxo.second();
  ocxo.rate_ppb += 100.0;
  for (int i = 0; i < 20; ++i) ocxo.second();
  ASSERT_GT(ocxo.estimator->outliers_in_a_row(), 10U);
  ocxo.estimator->reopen(1e6, 1e3);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(ocxo.second(), Taken::accepted) << i;
  EXPECT_NEAR(ocxo.error_ns(), 0.0, 20.0);
  EXPECT_LT(ocxo.sigmas_off(), 4.0);
}

TEST(Estimator, DriftIsAdmittedWhereThereIsOneAndOnlyThere) {
  constexpr double half_ppb_a_day = 0.5 / 86'400;
  for (const double drift : {0.0, half_ppb_a_day}) {
    Bench ocxo(0.01, 1e-4, 10.0, 10.0);
    ocxo.drift_ppb_s = drift;
    for (int i = 0; i < 43'200; ++i) ocxo.second();
    EXPECT_NEAR(ocxo.estimator->drift_ppb_s(), drift, 0.25 * half_ppb_a_day);
  }
}

TEST(Estimator, I10_TheErrorAfterADayWithoutReferenceIsTheOneForetold) {
  Bench clock(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 20'000; ++i) clock.second();
  for (int i = 0; i < 86'400; ++i) clock.second(0.0, false);
  EXPECT_LT(clock.sigmas_off(), 4.0);
  EXPECT_GT(std::fabs(clock.error_ns()), 1'000.0) << "or this shows nothing";
  EXPECT_EQ(clock.second(), Taken::accepted) << "a true second after a gap is no outlier";
  EXPECT_LT(std::fabs(clock.error_ns()), 100.0);
}

TEST(Estimator, WhatIsNoMeasurementIsRefused) {
  Bench clock(2.5, 0.02, 10.0, 10.0);
  for (int i = 0; i < 10; ++i) clock.second();
  const Measurement good = clock.measurement(0.0);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(clock.estimator->take(good), Taken::refused) << "of the same tick";
  const auto later = [&](double correction_ns, double sigma_ns) {
    Measurement changed = good;
    changed.tick += hz;
    changed.correction_ns = correction_ns;
    changed.sigma_ns = sigma_ns;
    return clock.estimator->take(changed);
  };
  EXPECT_EQ(later(nan, 10.0), Taken::refused);
  EXPECT_EQ(later(infinity, 10.0), Taken::refused);
  EXPECT_EQ(later(0.0, nan), Taken::refused);
  EXPECT_EQ(later(0.0, infinity), Taken::refused);
  EXPECT_EQ(later(0.0, 0.0), Taken::refused);
  EXPECT_EQ(later(0.0, -1.0), Taken::refused);
  EXPECT_EQ(clock.second(), Taken::accepted);
  EXPECT_TRUE(std::isfinite(clock.error_ns()));
}

}  // namespace
}  // namespace hwclock
