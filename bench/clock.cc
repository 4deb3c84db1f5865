// How well the clock engine keeps simulated time, beside others' figures. bench/clock --help says what.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/sim/scenarios.h"

namespace {

constexpr const char* help = R"(usage: bench/clock [--seeds N] [s1] [s4] [s5]

Runs the engine of hwclock/ against simulated oscillators and receivers (tests/sim); nothing here depends on
this machine's speed or clock. Default: all three, with 1, 30 and 20 seeds.

  s1   twelve pairs of oscillator and pulse noise, locked: RMS error of served time, median over seeds, beside
       chrony 4.3 at its best poll (CLOCK.md section 4.2) and the Kalman optimum that knows the oscillator
  s4   12 h locked, then a day without pulses: RMS over seeds of error, and median of the bound
  s5   whatever may happen: samples beyond the advertised bound, and how tight the bound is

The last lines are name=value, as in bench/headline:
  clock_s1_worst_ratio     RMS over chrony's best, the worst of 11 cells
  clock_s1_ocxo100_ratio   the same, of the twelfth
  clock_s1_optimum_ratio   RMS over the optimum, the worst of 12
  clock_holdover_24h_us    RMS after a day, OCXO that ages by 0.5 ppb a day
  clock_bound_violations   share of samples beyond the bound, the worst scenario of s5
  clock_bound_tightness    median bound over RMS error, the worst scenario of s5
)";

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void measure_locked(std::uint64_t seeds) {
  double worst = 0.0;
  double worst_optimum = 0.0;
  double ocxo100 = 0.0;
  std::printf("%-16s %9s %9s %9s %9s %9s\n", "s1", "rms ns", "chrony", "ratio", "optimum", "ratio");
  for (const sim::Cell& cell : sim::cells()) {
    std::vector<double> rms;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
      rms.push_back(sim::run(sim::locked(cell), seed).rms_ns);
    const double ours = median(rms);
    const double ratio = ours / cell.chrony_ns;
    const double to_optimum = ours / cell.optimum_ns;
    std::printf("%-16s %9.3f %9.2f %9.3f %9.2f %9.3f\n", sim::locked(cell).name.c_str(), ours, cell.chrony_ns,
                ratio, cell.optimum_ns, to_optimum);
    const bool is_ocxo100 = std::strcmp(cell.oscillator.name, "ocxo") == 0 && cell.pulse_ns == 100.0;
    if (is_ocxo100) {
      ocxo100 = ratio;
    } else {
      worst = std::max(worst, ratio);
    }
    worst_optimum = std::max(worst_optimum, to_optimum);
  }
  std::printf("clock_s1_worst_ratio=%.3f\nclock_s1_ocxo100_ratio=%.3f\nclock_s1_optimum_ratio=%.3f\n", worst,
              ocxo100, worst_optimum);
}

// RMS error and median bound over seeds, look by look.
double measure_holdover_of(const sim::OscillatorModel& oscillator, std::uint64_t seeds) {
  const sim::Scenario scenario = sim::holdover(oscillator, 43'200, 86'400);
  std::vector<double> squares(scenario.looks_s.size());
  std::vector<std::vector<double>> bounds(scenario.looks_s.size());
  std::uint64_t beyond = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const sim::Result result = sim::run(scenario, seed);
    beyond += result.violations != 0 ? 1 : 0;
    for (std::size_t i = 0; i < result.looks.size(); ++i) {
      squares[i] += result.looks[i].error_ns * result.looks[i].error_ns;
      bounds[i].push_back(result.looks[i].bound_ns);
    }
  }
  std::printf("%-16s", oscillator.name);
  double last_us = 0.0;
  for (std::size_t i = 0; i < squares.size(); ++i) {
    last_us = std::sqrt(squares[i] / static_cast<double>(seeds)) / 1e3;
    std::printf("  %10.3f (%10.3f)", last_us, median(bounds[i]) / 1e3);
  }
  std::printf("  %llu\n", static_cast<unsigned long long>(beyond));
  return last_us;
}

void measure_holdover(std::uint64_t seeds, bool all) {
  std::printf("%-16s  us rms (bound) after 1 h, 4 h, 24 h; runs ever beyond the bound, of %llu\n", "s4",
              static_cast<unsigned long long>(seeds));
  if (all) {
    for (const sim::OscillatorModel& oscillator : {sim::cheap_xo, sim::tcxo, sim::ocxo, sim::rubidium}) {
      static_cast<void>(measure_holdover_of(oscillator, seeds));
    }
  }
  std::printf("clock_holdover_24h_us=%.3f\n", measure_holdover_of(sim::aging_ocxo, seeds));
}

void measure_bound(std::uint64_t seeds) {
  double worst_share = 0.0;
  double worst_tightness = 0.0;
  std::printf("%-24s %9s %9s %12s %9s %9s\n", "s5", "rms ns", "max ns", "bound ns", "tightness", "beyond");
  for (const sim::Scenario& scenario : sim::hardships()) {
    double squares = 0.0;
    double most = 0.0;
    double promised = 0.0;
    double beyond = 0.0;
    std::vector<double> bounds;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      const sim::Result result = sim::run(scenario, seed);
      const auto samples = static_cast<double>(result.promised);
      squares += result.rms_ns * result.rms_ns * samples;
      promised += samples;
      beyond += static_cast<double>(result.violations);
      most = std::max(most, result.max_ns);
      bounds.push_back(result.median_bound_ns);
    }
    const double rms = std::sqrt(squares / promised);
    const double tightness = median(bounds) / rms;
    std::printf("%-24s %9.2f %9.1f %12.2f %9.2f %9.1e\n", scenario.name.c_str(), rms, most, median(bounds),
                tightness, beyond / promised);
    worst_share = std::max(worst_share, beyond / promised);
    worst_tightness = std::max(worst_tightness, tightness);
  }
  std::printf("clock_bound_violations=%.1e\nclock_bound_tightness=%.2f\n", worst_share, worst_tightness);
}

}  // namespace

int main(int count, char** words) {
  std::uint64_t seeds = 0;
  std::vector<std::string> what;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--seeds" && i + 1 < count) {
      seeds = std::strtoull(words[++i], nullptr, 10);
    } else if (word == "s1" || word == "s4" || word == "s5") {
      what.push_back(word);
    } else {
      std::fputs(help, word == "--help" || word == "-h" ? stdout : stderr);
      return word == "--help" || word == "-h" ? 0 : 2;
    }
  }
  const auto wants = [&](const char* name) {
    return what.empty() || std::find(what.begin(), what.end(), name) != what.end();
  };
  if (wants("s1")) measure_locked(seeds != 0 ? seeds : 1);
  if (wants("s4")) measure_holdover(seeds != 0 ? seeds : 30, true);
  if (wants("s5")) measure_bound(seeds != 0 ? seeds : 20);
  return 0;
}
