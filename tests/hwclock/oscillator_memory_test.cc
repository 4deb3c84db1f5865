// What a memory of the oscillator may hold, and what an estimator makes of it.

#include "hwclock/oscillator_memory.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>

#include "hwclock/discipline.h"
#include "hwclock/estimator.h"

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 2'600'000'000;
constexpr double sigma_ns = 100.0;

// An oscillator that runs on while the process that reads it comes and goes.
class Machine {
 public:
  // Seconds that nobody looks at.
  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) second();
  }
  void teach(Estimator& estimator, int seconds) {
    for (int i = 0; i < seconds; ++i) {
      second();
      estimator.take(measurement());
    }
  }
  [[nodiscard]] Measurement measurement() {
    const double whole_ns = std::floor(phase_ns);
    return {ticks,
            {at_ns + static_cast<std::int64_t>(whole_ns)},
            phase_ns - whole_ns + noise(sigma_ns),
            sigma_ns};
  }
  [[nodiscard]] double error_ns(const Estimator& estimator) const {
    const Estimate now = estimator.at(ticks);
    return static_cast<double>(now.time.ns - at_ns) + now.fraction_ns - phase_ns;
  }

  double rate_ppb = 40'000.0;
  double drift_ppb_s = 0.0;
  double walk_ppb = 1e-4;  // an OCXO
  std::int64_t at_ns = 2'100'000'000'000'000'000;
  std::uint64_t ticks = 17;
  double phase_ns = 0.0;

 private:
  void second() {
    rate_ppb += walk_ppb * normal_(random_) + drift_ppb_s;
    phase_ns += rate_ppb;
    ticks += hz;
    at_ns += 1'000'000'000;
  }
  double noise(double sigma) { return sigma * normal_(random_); }

  std::mt19937_64 random_{7};
  std::normal_distribution<double> normal_;
};

std::unique_ptr<Estimator> fresh(std::uint64_t tick_hz = hz, double sigma = sigma_ns) {
  return std::make_unique<Estimator>(tick_hz, sigma);
}

OscillatorMemory learned_in(Machine& machine, int seconds = 4000) {
  const auto estimator = fresh();
  machine.teach(*estimator, seconds);
  OscillatorMemory memory;
  memory.machine.fill(0xa5);
  memory.boot.fill(0x5a);
  estimator->remember(memory);
  return memory;
}

TEST(OscillatorMemory, SaysAfterOctetsWhatItSaidBefore) {
  Machine machine;
  const OscillatorMemory before = learned_in(machine);
  OscillatorMemory after;
  ASSERT_EQ(decode_memory(encode_memory(before), after), "");
  EXPECT_EQ(after.machine, before.machine);
  EXPECT_EQ(after.boot, before.boot);
  EXPECT_EQ(after.tai_ns, before.tai_ns);
  EXPECT_EQ(after.filter_count, before.filter_count);
  EXPECT_EQ(encode_memory(after), encode_memory(before));
}

TEST(OscillatorMemory, NoPrefixAndNoChangedOctetIsBelieved) {
  Machine machine;
  const std::vector<std::uint8_t> whole = encode_memory(learned_in(machine));
  ASSERT_LT(whole.size(), memory_bytes_max);
  OscillatorMemory memory;
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += bytes < 200 ? 1 : 101) {
    EXPECT_NE(decode_memory(std::span(whole).first(bytes), memory), "") << bytes;
  }
  for (std::size_t at = 0; at < whole.size(); at += at < 200 ? 1 : 101) {
    std::vector<std::uint8_t> changed = whole;
    changed[at] ^= 0x10;
    EXPECT_NE(decode_memory(changed, memory), "") << at;
  }
  std::vector<std::uint8_t> longer = whole;
  longer.push_back(0);
  EXPECT_NE(decode_memory(longer, memory), "");
}

TEST(OscillatorMemory, WhatNoOscillatorDoesIsRefusedThoughItsChecksumIsRight) {
  Machine machine;
  const OscillatorMemory good = learned_in(machine);
  OscillatorMemory memory;
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity(), -1e300, 1e300}) {
    for (double RememberedFilter::*number :
         {&RememberedFilter::rate_ppb, &RememberedFilter::drift_ppb_s, &RememberedFilter::rate_variance,
          &RememberedFilter::rate_drift, &RememberedFilter::drift_variance, &RememberedFilter::log_evidence,
          &RememberedFilter::squares}) {
      OscillatorMemory broken = good;
      broken.filters[broken.filter_count - 1].*number = bad;
      EXPECT_EQ(decode_memory(encode_memory(broken), memory), "it says what no oscillator does") << bad;
    }
    for (double OscillatorMemory::*number :
         {&OscillatorMemory::ns_per_tick, &OscillatorMemory::sigma_ns, &OscillatorMemory::samples}) {
      OscillatorMemory broken = good;
      broken.*number = bad;
      EXPECT_EQ(decode_memory(encode_memory(broken), memory), "it says what no oscillator does") << bad;
    }
  }
  OscillatorMemory broken = good;
  broken.filters[0].rate_variance = 0.0;
  EXPECT_NE(decode_memory(encode_memory(broken), memory), "");
  broken = good;
  broken.filter_count = 0;
  EXPECT_NE(decode_memory(encode_memory(broken), memory), "");
  broken = good;
  broken.filters[1].index = broken.filters[0].index;
  EXPECT_NE(decode_memory(encode_memory(broken), memory), "");
  broken = good;
  broken.filters[broken.filter_count - 1].index = OscillatorMemory::filters_max;
  EXPECT_NE(decode_memory(encode_memory(broken), memory), "");
  broken = good;
  broken.best = OscillatorMemory::filters_max;
  EXPECT_NE(decode_memory(encode_memory(broken), memory), "");
}

TEST(RecalledEstimator, HoldsOverSoonAsWellAsOneThatHasLearnedForHours) {
  Machine machine;
  machine.drift_ppb_s = 0.5 / 86'400.0;
  const OscillatorMemory memory = learned_in(machine, 20'000);
  machine.pass(600);
  const auto recalled = fresh();
  const auto ignorant = fresh();
  ASSERT_TRUE(recalled->recall(memory, 1.0));
  for (int i = 0; i < 300; ++i) {
    machine.pass(1);
    const Measurement one = machine.measurement();
    recalled->take(one);
    ignorant->take(one);
  }
  EXPECT_EQ(recalled->memory_fate(), MemoryFate::confirmed);
  EXPECT_LT(recalled->variance_after(3600.0), ignorant->variance_after(3600.0) / 4.0);
  machine.pass(3600);
  EXPECT_LT(std::fabs(machine.error_ns(*recalled)), 4.0 * std::sqrt(recalled->variance_after(3600.0)));
}

TEST(RecalledEstimator, KnowsARateTheLessTheLongerItWasAway) {
  Machine machine;
  machine.walk_ppb = 0.02;  // a TCXO
  const OscillatorMemory memory = learned_in(machine);
  double before = 0.0;
  for (const int days : {0, 1, 20}) {
    const auto estimator = fresh();
    ASSERT_TRUE(estimator->recall(memory, 1.0));
    machine.at_ns = memory.tai_ns + (std::int64_t{86'400} * days + 60) * 1'000'000'000;
    machine.pass(1);
    ASSERT_EQ(estimator->take(machine.measurement()), Taken::accepted);
    EXPECT_EQ(estimator->memory_fate(), MemoryFate::on_trial);
    const double variance = estimator->variance_after(100.0);
    EXPECT_GT(variance, 1.5 * before) << days;
    before = variance;
  }
}

TEST(RecalledEstimator, WhatIsTooOldOrFromLaterIsLeftAlone) {
  Machine machine;
  const OscillatorMemory memory = learned_in(machine);
  for (const auto& [days, fate] :
       {std::pair{31, MemoryFate::too_old}, std::pair{-1, MemoryFate::from_later}}) {
    const auto estimator = fresh();
    const auto ignorant = fresh();
    ASSERT_TRUE(estimator->recall(memory, 1.0));
    EXPECT_EQ(estimator->memory_fate(), MemoryFate::waiting);
    machine.at_ns = memory.tai_ns + std::int64_t{86'400'000'000'000} * days;
    machine.pass(1);
    const Measurement one = machine.measurement();
    estimator->take(one);
    ignorant->take(one);
    EXPECT_EQ(estimator->memory_fate(), fate);
    EXPECT_EQ(estimator->variance_after(10.0), ignorant->variance_after(10.0));
  }
}

TEST(RecalledEstimator, AMemoryThatTheFirstPulsesRefuteCostsNothingButThose) {
  Machine machine;
  const OscillatorMemory memory = learned_in(machine);
  machine.rate_ppb += 30'000.0;  // another oscillator
  const auto estimator = fresh();
  ASSERT_TRUE(estimator->recall(memory, 20.0));
  machine.teach(*estimator, 5);
  EXPECT_EQ(estimator->memory_fate(), MemoryFate::refuted);
  machine.teach(*estimator, 60);
  EXPECT_EQ(estimator->outliers_in_a_row(), 0U);
  EXPECT_LT(std::fabs(machine.error_ns(*estimator)), 4.0 * sigma_ns);
}

TEST(RecalledEstimator, ACounterThatTicksOtherwiseAndAnotherReferenceAreRefused) {
  Machine machine;
  const OscillatorMemory memory = learned_in(machine);
  EXPECT_FALSE(fresh(3'000'000'000)->recall(memory, 1.0));
  EXPECT_FALSE(fresh(hz, 2.0 * sigma_ns)->recall(memory, 1.0));
  // The same counter, measured a little otherwise at each start.
  EXPECT_TRUE(fresh(hz + 500)->recall(memory, 1.0));
}

TEST(RecalledEstimator, NothingIsRememberedOfAMinuteOrOfAMemoryOnTrial) {
  Machine machine;
  const auto estimator = fresh();
  machine.teach(*estimator, 59);
  EXPECT_FALSE(estimator->has_learned());
  machine.teach(*estimator, 1);
  EXPECT_TRUE(estimator->has_learned());
}

std::uint64_t pulses_to_lock(Machine& machine, const OscillatorMemory* memory) {
  DisciplinePolicy policy;
  policy.pulse_sigma_ns = sigma_ns;
  policy.lock_error_max_ns = 100'000;
  const auto discipline = std::make_unique<Discipline>(hz, policy);
  if (memory != nullptr) {
    EXPECT_TRUE(discipline->recall(*memory, 20.0));
  }
  for (std::uint64_t pulses = 1; pulses < 200; ++pulses) {
    machine.pass(1);
    const Measurement one = machine.measurement();
    discipline->take_sample(one.tick, one.reference);
    static_cast<void>(discipline->publish(one.tick));
    // The first of them begins the warm-up.
    if (discipline->state() == State::locked) return pulses;
  }
  return 0;
}

TEST(RecalledDiscipline, LocksAfterAThirdOfTheWarmUpUnlessTheMemoryWasWrong) {
  Machine machine;
  const OscillatorMemory memory = learned_in(machine);
  EXPECT_EQ(pulses_to_lock(machine, nullptr), 31U);
  EXPECT_EQ(pulses_to_lock(machine, &memory), 11U);
  machine.rate_ppb -= 30'000.0;
  EXPECT_GE(pulses_to_lock(machine, &memory), 31U);
}

}  // namespace
}  // namespace hwclock
