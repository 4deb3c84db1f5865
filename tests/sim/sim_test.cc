// Simulated days with many seeds: what must hold in every one of them, and the bars of CLOCK.md section 4.3.
// References that are false have false_reference_test.cc.
//
// NOONMARK_LONG=1 runs thousands of seeds. A failing seed prints one command to replay it;
// NOONMARK_SEED=N runs that seed alone.
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "tests/sim/judging.h"

namespace sim {
namespace {

using hwclock::State;

// The cell is a steady state, so one run of 40 000 judged seconds is much; with an OCXO under a poor receiver
// it still holds a dozen independent errors only.
TEST(Simulated, S1_LockedItBeatsTheBestChronyAndIsNearTheOptimum) {
  for (const Cell& cell : cells()) {
    const Scenario scenario = locked(cell);
    SCOPED_TRACE(scenario.name);
    std::vector<double> all;
    for (const std::uint64_t seed : seeds(5, 100)) {
      SCOPED_TRACE(replay(seed));
      const Result result = run(scenario, seed);
      expect_honest(result);
      all.push_back(result.rms_ns);
    }
    if (is_replay()) continue;
    const bool is_ocxo100 = std::string(cell.oscillator.name) == "ocxo" && cell.pulse_ns == 100.0;
    EXPECT_LE(median(all), (is_ocxo100 ? 1.0 : 0.85) * cell.chrony_ns);
    EXPECT_LE(median(all), 1.15 * cell.optimum_ns);
  }
}

TEST(Simulated, S3_AColdStart50PpmOffIsLockedWithinAMinute) {
  Scenario scenario;
  scenario.oscillator = tcxo;
  scenario.seconds = 121;
  scenario.looks_s = {120};
  for (const std::uint64_t seed : seeds(50, 2000)) {
    SCOPED_TRACE(replay(seed));
    scenario.oscillator.offset_ppb = seed % 2 == 0 ? 50'000.0 : -50'000.0;
    const Result result = run(scenario, seed);
    expect_honest(result);
    EXPECT_GE(result.locked_at_s, 0);
    EXPECT_LE(result.locked_at_s, 60);
    ASSERT_EQ(result.looks.size(), 1U);
    EXPECT_LT(std::fabs(result.looks[0].error_ns), 1'000.0);
  }
}

TEST(Simulated, S4_AnAgingOcxoIsWithinFourMicrosecondsADayAfterTheLastPulse) {
  const Scenario scenario = holdover(aging_ocxo, 43'200, 86'400);
  std::vector<double> after_a_day;
  std::vector<double> bounds;
  for (const std::uint64_t seed : seeds(12, 300)) {
    SCOPED_TRACE(replay(seed));
    const Result result = run(scenario, seed);
    expect_honest(result);
    ASSERT_EQ(result.looks.size(), 3U);
    EXPECT_EQ(result.looks[2].state, State::holdover);
    after_a_day.push_back(result.looks[2].error_ns);
    bounds.push_back(result.looks[2].bound_ns);
  }
  if (is_replay()) return;
  EXPECT_LE(rms(after_a_day), 4'000.0);
  EXPECT_LE(median(bounds), 10.0 * rms(after_a_day));
}

TEST(Simulated, I10_TheBoundHoldsThroughAnyHoldover) {
  for (const OscillatorModel& oscillator : {cheap_xo, good_xo, tcxo, ocxo, aging_ocxo, rubidium}) {
    const Scenario scenario = holdover(oscillator, 10'000, 86'400);
    SCOPED_TRACE(scenario.name);
    std::uint64_t beyond = 0;
    std::uint64_t runs = 0;
    for (const std::uint64_t seed : seeds(6, 1000)) {
      const Result result = run(scenario, seed);
      ++runs;
      if (result.violations == 0) continue;
      ++beyond;
      std::printf("beyond the bound from second %lld on; %s\n",
                  static_cast<long long>(result.first_violation_s), replay(seed).c_str());
    }
    EXPECT_LE(static_cast<double>(beyond), 1e-3 * static_cast<double>(runs));
  }
}

TEST(Simulated, S5_TheBoundIsHonestAndTightWhateverHappens) {
  for (const Scenario& scenario : hardships()) {
    SCOPED_TRACE(scenario.name);
    std::vector<double> errors;
    std::vector<double> bounds;
    for (const std::uint64_t seed : seeds(4, 1000)) {
      SCOPED_TRACE(replay(seed));
      const Result result = run(scenario, seed);
      expect_honest(result);
      EXPECT_GT(result.promised, 0U);
      errors.push_back(result.rms_ns);
      bounds.push_back(result.median_bound_ns);
    }
    // Six hours of a quiet clock hold few independent errors, so this is asked of all seeds together.
    if (!is_replay()) {
      EXPECT_LE(median(bounds), 10.0 * rms(errors));
    }
  }
}

TEST(Simulated, S2_OutliersCostNothing) {
  Scenario calm = traced(tcxo, 20'000, {});
  calm.judged_from_s = 2'000;
  Scenario rough = calm;
  rough.receiver.outlier_chance = 0.04;
  rough.receiver.outlier_ns = 100'000.0;
  for (const std::uint64_t seed : seeds(10, 1000)) {
    SCOPED_TRACE(replay(seed));
    const Result without = run(calm, seed);
    const Result with = run(rough, seed);
    expect_honest(with);
    EXPECT_LE(with.rms_ns, 1.1 * without.rms_ns);
    EXPECT_LE(with.max_ns, 6.0 * with.rms_ns);
  }
}

TEST(Simulated, S6_AHoldoverEndsAtItsLimitAndTheWayBackIsNoStepForWhomItPromised) {
  constexpr std::int64_t silent_from_s = 4'000;
  for (const std::uint64_t seed : seeds(20, 1000)) {
    SCOPED_TRACE(replay(seed));
    Scenario scenario = traced(tcxo, 9'000, {{Fault::outage, silent_from_s, 8'000}});
    const bool is_by_error = seed % 2 == 0;
    scenario.policy.holdover_error_max_ns = is_by_error ? 2'000 : 1'000'000;
    scenario.policy.holdover_s_max = is_by_error ? 86'400 : 900;
    const Result result = run(scenario, seed);
    expect_honest(result);  // no step while it promised, and none back
    const std::int64_t end_s = first_in(result, silent_from_s, State::alarm);
    ASSERT_GT(end_s, silent_from_s);
    const auto sample_of = [&](std::int64_t second) {
      return *std::find_if(result.trace.begin(), result.trace.end(),
                           [second](const Sample& one) { return one.second == second; });
    };
    const Sample last = sample_of(end_s - 1);
    const Sample after = sample_of(end_s);
    EXPECT_EQ(last.stratum, 1U);
    EXPECT_EQ(last.reference_id, scenario.policy.reference_id);
    EXPECT_EQ(after.leap, 3U);
    EXPECT_EQ(after.stratum, 0U);
    EXPECT_EQ(after.reference_id, 0U);
    if (is_by_error) {
      EXPECT_LT(last.bound_ns,
                2'005.0);  // the limit is on the estimate, the bound is that of the served line
      EXPECT_GE(after.bound_ns, 0.99 * 2'000.0);
    } else {
      EXPECT_NEAR(static_cast<double>(end_s), static_cast<double>(silent_from_s - 1 + 900), 1.0);
    }
    // It locks again, and is right when it says so.
    const std::int64_t again_s = first_in(result, 8'000, State::locked);
    ASSERT_GT(again_s, 0);
    EXPECT_LT(again_s, 8'120);
    EXPECT_LT(largest_error_ns(result, again_s, 9'000), 1'000.0);
    EXPECT_LE(result.steepest_ppb, 120'000.0);  // the slew's limit, and what the oscillator is off by
  }
}

// tests/sim begins on 2027-01-15 at 07:59:23 UTC.
TEST(Simulated, S10_ALeapSecondIsAnnouncedForADayHiddenWhileItLastsAndThenExact) {
  constexpr std::int64_t midnight_s = 86'400 + 57'637;  // of the next day but one, from the beginning
  for (const std::uint64_t seed : seeds(4, 100)) {
    for (const std::int32_t change_s : {1, -1}) {
      SCOPED_TRACE(replay(seed) + " change " + std::to_string(change_s));
      Scenario scenario = traced(tcxo, midnight_s + 3'600, {});
      scenario.leap_at_s = midnight_s + change_s;
      scenario.leap_change_s = change_s;
      // Holdover through a leap second is as good as locked through it.
      if (seed % 2 == 0) scenario.events = {{Fault::outage, midnight_s - 60, midnight_s + 60}};
      const Result result = run(scenario, seed);
      expect_honest(result);
      EXPECT_LT(result.max_ns, 3'000.0);
      for (const Sample& sample : result.trace) {
        if (sample.second < 120) continue;
        const std::int64_t to_go_s = scenario.leap_at_s - sample.second;
        // A sample lies a twentieth of a second behind its second's beginning.
        const bool is_hidden = to_go_s <= (change_s == 1 ? 2 : 1) && to_go_s > -1;
        const bool is_told = !is_hidden && to_go_s > 0 && to_go_s <= 86'400 + change_s;
        const std::uint32_t expected = is_hidden ? 3U : is_told ? (change_s == 1 ? 1U : 2U) : 0U;
        ASSERT_EQ(sample.leap, expected) << "second " << sample.second << ", " << to_go_s << " to go";
        if (to_go_s <= -1 && seed % 2 == 1) {
          ASSERT_LT(std::fabs(sample.error_ns), 60.0);
        }
      }
    }
  }
}

// 2036-02-07 06:28:16 the NTP era ends, 2038-01-19 03:14:08 the seconds of 32 bits do.
TEST(Simulated, S11_TheEndsOfErasPassUnnoticed) {
  constexpr std::int64_t ends_tai_s[] = {2'085'978'496 + 37, 2'147'483'648 + 37, 4'294'967'296 + 37};
  for (const std::int64_t end_tai_s : ends_tai_s) {
    for (const std::uint64_t seed : seeds(2, 100)) {
      SCOPED_TRACE(replay(seed));
      Scenario scenario = traced(tcxo, 3'600, {{Fault::outage, 1'750, 1'850}});
      scenario.tai_start_s = end_tai_s - 1'800;
      const Result result = run(scenario, seed);
      expect_honest(result);
      EXPECT_LT(largest_error_ns(result, 600, 1'750), 100.0);
      EXPECT_EQ(first_in(result, 600, State::alarm), -1);
      EXPECT_LT(largest_error_ns(result, 1'900, 3'600), 100.0);
    }
  }
}

// Missing pulses, stray edges, the wrong edge: none is taken for a second.
TEST(Simulated, I05_StrayMissingAndTrailingEdgesAreNoSeconds) {
  for (const std::uint64_t seed : seeds(10, 1000)) {
    SCOPED_TRACE(replay(seed));
    Scenario scenario = traced(tcxo, 7'200, {{Fault::trailing_edge, 5'000, 5'100, 0.1}});
    scenario.receiver.missing_chance = 0.1;
    const Result missing = run(scenario, seed);
    expect_honest(missing);
    EXPECT_LT(largest_error_ns(missing, 1'000, 5'000), 100.0);
    EXPECT_GE(first_in(missing, 5'000, State::holdover), 5'000);
    scenario.receiver.missing_chance = 0.0;
    scenario.receiver.extra_chance = 0.2;
    scenario.events = {};
    const Result stray = run(scenario, seed);
    expect_honest(stray);
    EXPECT_LT(largest_error_ns(stray, 1'500, 7'200), 100.0);
    EXPECT_GE(first_in(stray, 0, State::locked), 0);
  }
}

// It really was the oscillator: a crystal that was knocked. To us it looks like a reference dragged off, so
// it costs an alarm; but after that the clock must find its way, rate and all.
TEST(Simulated, AnOscillatorThatJumpsIsLockedAgainAfterTheAlarm) {
  for (const std::uint64_t seed : seeds(4, 300)) {
    for (const double jump_ppb : {1.0, 100.0, -5'000.0}) {
      SCOPED_TRACE(replay(seed) + " jump " + std::to_string(jump_ppb));
      const Scenario scenario = traced(ocxo, 4 * 3'600, {{Fault::rate_jump, 7'200, 4 * 3'600, jump_ppb}});
      const Result result = run(scenario, seed);
      EXPECT_EQ(result.went_back, 0U);
      EXPECT_EQ(result.promised_steps, 0U);
      EXPECT_GE(first_in(result, 7'200, State::alarm), 7'200);
      EXPECT_EQ(result.trace.back().state, State::locked);
      EXPECT_LT(largest_error_ns(result, 3 * 3'600, 4 * 3'600), 100.0);
      std::uint64_t locked_s = 0;
      for (const Sample& sample : result.trace) {
        if (sample.second >= 3 * 3'600 && sample.state == State::locked) ++locked_s;
      }
      EXPECT_GE(locked_s, 3'590U);
    }
  }
}

// The model knows white noise, walk and drift; real oscillators flicker and jump too.
TEST(Simulated, S5_TheBoundHoldsForAnOscillatorThatFlickers) {
  for (const std::uint64_t seed : seeds(6, 300)) {
    SCOPED_TRACE(replay(seed));
    Scenario scenario = traced(ocxo, 6 * 3'600, {{Fault::outage, 4 * 3'600, 5 * 3'600}});
    scenario.oscillator.flicker_ppb = 0.005;
    expect_honest(run(scenario, seed));
    scenario.oscillator = tcxo;
    scenario.oscillator.flicker_ppb = 0.5;
    expect_honest(run(scenario, seed));
  }
}

// Faults by chance, one on the other: two days of them, and a clock that has to survive them all.
TEST(Simulated, I14_InAnyOrderOfFaultsTimeIsMonotoneAndTheBoundTrue) {
  constexpr std::int64_t lie_s_max = 500;
  for (const std::uint64_t seed : seeds(20, 2000)) {
    SCOPED_TRACE(replay(seed));
    std::mt19937_64 random(seed);
    const auto below = [&](std::uint64_t end) { return random() % end; };
    Scenario scenario;
    const OscillatorModel oscillators[] = {cheap_xo, good_xo, tcxo, ocxo, aging_ocxo, rubidium};
    scenario.oscillator = oscillators[below(6)];
    scenario.oscillator.offset_ppb = static_cast<double>(below(100'000)) - 50'000.0;
    scenario.receiver.sawtooth_ns = static_cast<double>(below(15));
    scenario.policy.pulse_sigma_ns = 10.0;
    scenario.seconds = 2 * 86'400;
    for (int i = 0; i < 20; ++i) {
      constexpr Fault faults[] = {Fault::outage, Fault::no_message, Fault::wrong_second, Fault::double_edge};
      const Fault fault = faults[below(4)];
      const auto begin_s = static_cast<std::int64_t>(below(2 * 86'400));
      const auto length_s = static_cast<std::int64_t>(1 + below(below(2) == 0 ? 20 : 4'000));
      // A receiver that lies from the first second on, or for longer than an alarm waits, is believed: only
      // an upstream could know better.
      const bool is_lie = fault == Fault::wrong_second;
      if (is_lie && (begin_s < 3'600 || length_s > lie_s_max)) continue;
      scenario.events.push_back({fault, begin_s, begin_s + length_s, 1.0});
    }
    const Result result = run(scenario, seed);
    expect_honest(result);
    EXPECT_GT(result.seconds_in[static_cast<std::size_t>(State::locked)], 40'000U);
  }
}

TEST(Simulator, TheSameSeedGivesTheSameDay) {
  const Scenario scenario = holdover(tcxo, 2'000, 3'600);
  const Result one = run(scenario, 5);
  const Result same = run(scenario, 5);
  const Result other = run(scenario, 6);
  ASSERT_EQ(one.looks.size(), 1U);
  EXPECT_EQ(one.looks[0].error_ns, same.looks[0].error_ns);
  EXPECT_NE(one.looks[0].error_ns, other.looks[0].error_ns);
}

// An engine that lies must be caught, or the tests above say nothing.
TEST(Simulator, ABoundThatIsTooSmallIsSeen) {
  Scenario scenario = locked(cells()[6]);
  scenario.seconds = 4'000;
  scenario.judged_from_s = 1'000;
  scenario.receiver.wander_ns = 300.0;  // which nobody declared
  EXPECT_GT(run(scenario, 1).violations, 0U);
}

}  // namespace
}  // namespace sim
