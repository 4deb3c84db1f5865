// Pulses through a NIC's clock: what its readings cost is in the bound, and whoever sets it moves nothing.
#include <gtest/gtest.h>

#include "tests/sim/judging.h"

namespace sim {
namespace {

const Scenario& scenario_of(const std::vector<Scenario>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Scenario& one) { return one.name == name; });
  if (found == all.end()) throw std::runtime_error("no scenario is called " + name);
  return *found;
}

TEST(Simulated, I07_TheBoundHoldsForPulsesThatANicsClockStamps) {
  for (const Scenario& scenario : nic_clocks()) {
    SCOPED_TRACE(scenario.name);
    for (const std::uint64_t seed : seeds(5, 1000)) {
      SCOPED_TRACE(replay(seed));
      const Result result = run(scenario, seed);
      expect_honest(result);
      EXPECT_GE(result.locked_at_s, 0);
      EXPECT_LE(result.locked_at_s, 120);
      EXPECT_GT(result.promised, 8U * 10'000);
    }
  }
}

// A register latched in the middle of its reading errs to neither side; one that is latched at an end is off
// by nearly half a reading for ever, which the bound knows and nobody can take out without a second opinion.
TEST(Simulated, I07_AnAsymmetricReadingIsAConstantErrorWithinTheWindow) {
  const std::vector<Scenario> all = nic_clocks();
  for (const std::uint64_t seed : seeds(3, 300)) {
    SCOPED_TRACE(replay(seed));
    const Result middle = run(scenario_of(all, "tcxo/nic"), seed);
    const Result early = run(scenario_of(all, "tcxo/nic-latched-early"), seed);
    EXPECT_LT(middle.rms_ns, 60.0);
    EXPECT_NEAR(early.rms_ns, 0.4 * 830.0, 60.0) << "four tenths of the narrowest of five readings";
    EXPECT_GT(early.median_bound_ns, 400.0);
  }
}

TEST(Simulated, I07_ANicsClockThatIsSetIsSeenAndMovesNothing) {
  const std::vector<Scenario> all = nic_clocks();
  for (const std::uint64_t seed : seeds(3, 300)) {
    SCOPED_TRACE(replay(seed));
    const Result result = run(scenario_of(all, "tcxo/nic-set"), seed);
    expect_honest(result);
    EXPECT_GE(result.nic_steps, 1U);
    EXPECT_LT(result.max_ns, 1'000.0);
    EXPECT_EQ(result.seconds_in[static_cast<std::size_t>(State::alarm)], 0U);
  }
}

// The line that field 0xF323 tells has the oscillator's true rate as the engine knows it, whatever is
// corrected: over a span it lacks the corrections of phase. Those of a Kalman filter are independent, each
// the gain times the innovation: sigma P / sqrt(P + R), where P is the variance of what it predicts and R the
// pulse's. What the engine itself is off by at either end comes on top, as if it were of one mind with them.
TEST(Simulated, TheMonotonicLineIsTrueInItsRate) {
  constexpr double span_s = 256.0;
  for (const Cell& cell : cells()) {
    if (cell.pulse_ns != 100.0) continue;
    Scenario scenario = locked(cell);
    scenario.seconds = 20'000;
    scenario.judged_from_s = 4'000;
    SCOPED_TRACE(scenario.name);
    const double variance = cell.optimum_ns * cell.optimum_ns;
    const double correction_ns = variance / std::sqrt(variance + cell.pulse_ns * cell.pulse_ns);
    const double sigma_ns = std::sqrt(span_s) * correction_ns + std::sqrt(2.0) * cell.optimum_ns;
    for (const std::uint64_t seed : seeds(2, 100)) {
      SCOPED_TRACE(replay(seed));
      const Result result = run(scenario, seed);
      EXPECT_EQ(result.mono_epochs, 1U);
      EXPECT_LT(result.mono_off_ppb, 4.0 * sigma_ns / span_s);
      EXPECT_GT(result.mono_off_ppb, 0.0);
    }
  }
}

TEST(Simulated, S10_ALeapSecondBeginsAnEpochOfTheMonotonicLine) {
  Scenario scenario = traced(tcxo, 60'000, {});
  scenario.leap_at_s = 57'638;
  scenario.judged_from_s = 600;
  const Result result = run(scenario, 1);
  EXPECT_EQ(result.mono_epochs, 2U);
  EXPECT_LT(result.mono_off_ppb, 10.0);
}

}  // namespace
}  // namespace sim
