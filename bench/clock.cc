// How well the clock engine keeps simulated time, beside others' figures. bench/clock --help says what.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/clock_draw.h"
#include "tests/sim/scenarios.h"

namespace {

constexpr const char* help =
    R"(usage: bench/clock [--seeds N] [--threads N] [s1] [s4] [s5] [s7] [nic] [SCENARIO...]
       bench/clock list
       bench/clock draw SCENARIO [--seed N] [--from SECOND] [--to SECOND] --out FILE.svg
       bench/clock headline

Runs the engine of hwclock/ against simulated oscillators and receivers (tests/sim); nothing here depends on
this machine's speed or clock, and a seed gives the same figures everywhere. Default: s1, s4, s5, s7 and nic
with 1 (OCXO: 5), 30, 20, 20 and 20 seeds, one thread a CPU. With --seeds 1000 it is a matter of hours.

  s1   twelve pairs of oscillator and pulse noise, locked: RMS error of served time, median over seeds, beside
       chrony 4.3 at its best poll (CLOCK.md section 4.2) and the Kalman optimum that knows the oscillator
  s4   12 h locked, then a day without pulses: RMS over seeds of error, and median of the bound
  s5   whatever may happen: samples beyond the advertised bound, and how tight the bound is. SCENARIO: this one
       only; `list` names them all
  s7   a reference that is dragged off for half an hour: how soon it is held over, and how far we went along
  nic  pulses that a NIC's clock stamps, its readings being slow or lopsided: as s5, but what the readings cost
       is in the bound, so it is as tight as they are
  draw true error and advertised bound over time, and the clock's state, as a picture (by gnuplot)

The last lines are name=value, as in bench/headline:
  clock_s1_worst_ratio     RMS over chrony's best, the worst of 11 cells
  clock_s1_ocxo100_ratio   the same, of the twelfth
  clock_s1_optimum_ratio   RMS over the optimum, the worst of 12
  clock_holdover_24h_us    RMS after a day, OCXO that ages by 0.5 ppb a day
  clock_bound_violations   share of samples beyond the bound, the worst scenario of s5
  clock_drag_seen_s        the longest that a drag which must be seen went unseen, s7
  clock_bound_tightness    median bound over RMS error, the worst scenario of s5
`headline` prints five of them and nothing else, clock_s1_optimum_ratio and clock_drag_seen_s not, from a fixed subset: the same seeds, and of the scenarios of s5 those that differ in what they ask of the engine (`list` marks them with *).
)";

struct Job {
  const sim::Scenario* scenario;
  std::uint64_t seed;
};

struct Options {
  std::uint64_t seeds = 0;  // 0: what is usual for each
  unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  bool is_brief = false;  // name=value alone
};

// The results in the order of `jobs`, whoever computes them.
std::vector<sim::Result> run_all(const std::vector<Job>& jobs, unsigned threads) {
  std::vector<sim::Result> results(jobs.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++)
      results[i] = sim::run(*jobs[i].scenario, jobs[i].seed);
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  others.clear();
  return results;
}

// `seeds` results a scenario, one scenario after another.
std::vector<sim::Result> run_seeds(const std::vector<sim::Scenario>& scenarios, std::uint64_t seeds,
                                   unsigned threads) {
  std::vector<Job> jobs;
  for (const sim::Scenario& scenario : scenarios) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) jobs.push_back({&scenario, seed});
  }
  return run_all(jobs, threads);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void measure_locked(const Options& options) {
  // A run of an OCXO holds a dozen independent errors only, of the others many.
  const auto seeds_of = [&](const sim::Cell& cell) -> std::uint64_t {
    if (options.seeds != 0) return options.seeds;
    return std::strcmp(cell.oscillator.name, "ocxo") == 0 ? 5 : 1;
  };
  std::vector<sim::Scenario> scenarios;
  for (const sim::Cell& cell : sim::cells()) scenarios.push_back(sim::locked(cell));
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    for (std::uint64_t seed = 1; seed <= seeds_of(sim::cells()[i]); ++seed)
      jobs.push_back({&scenarios[i], seed});
  }
  const std::vector<sim::Result> results = run_all(jobs, options.threads);
  double worst = 0.0;
  double worst_optimum = 0.0;
  double ocxo100 = 0.0;
  if (!options.is_brief)
    std::printf("%-16s %9s %9s %9s %9s %9s\n", "s1", "rms ns", "chrony", "ratio", "optimum", "ratio");
  auto result = results.begin();
  for (const sim::Cell& cell : sim::cells()) {
    std::vector<double> rms;
    for (std::uint64_t i = 0; i < seeds_of(cell); ++i) rms.push_back((result++)->rms_ns);
    const double ours = median(rms);
    const double ratio = ours / cell.chrony_ns;
    const double to_optimum = ours / cell.optimum_ns;
    if (!options.is_brief) {
      std::printf("%-16s %9.3f %9.2f %9.3f %9.2f %9.3f\n", sim::locked(cell).name.c_str(), ours,
                  cell.chrony_ns, ratio, cell.optimum_ns, to_optimum);
    }
    const bool is_ocxo100 = std::strcmp(cell.oscillator.name, "ocxo") == 0 && cell.pulse_ns == 100.0;
    if (is_ocxo100) {
      ocxo100 = ratio;
    } else {
      worst = std::max(worst, ratio);
    }
    worst_optimum = std::max(worst_optimum, to_optimum);
  }
  std::printf("clock_s1_worst_ratio=%.3f\nclock_s1_ocxo100_ratio=%.3f\n", worst, ocxo100);
  if (!options.is_brief) std::printf("clock_s1_optimum_ratio=%.3f\n", worst_optimum);
}

// RMS error and median bound over seeds, look by look; the last look's RMS is the figure.
void measure_holdover(const Options& options) {
  const std::uint64_t seeds = options.seeds != 0 ? options.seeds : 30;
  std::vector<sim::Scenario> scenarios;
  if (!options.is_brief) {
    for (const sim::OscillatorModel& oscillator : {sim::cheap_xo, sim::tcxo, sim::ocxo, sim::rubidium})
      scenarios.push_back(sim::holdover(oscillator, 43'200, 86'400));
    std::printf("%-20s  us rms (bound) after 1 h, 4 h, 24 h; runs ever beyond the bound, of %llu\n", "s4",
                static_cast<unsigned long long>(seeds));
  }
  scenarios.push_back(sim::holdover(sim::aging_ocxo, 43'200, 86'400));
  const std::vector<sim::Result> results = run_seeds(scenarios, seeds, options.threads);
  auto result = results.begin();
  double last_us = 0.0;
  for (const sim::Scenario& scenario : scenarios) {
    std::vector<double> squares(scenario.looks_s.size());
    std::vector<std::vector<double>> bounds(scenario.looks_s.size());
    int beyond = 0;
    for (std::uint64_t run = 0; run < seeds; ++run, ++result) {
      beyond += result->violations != 0 ? 1 : 0;
      for (std::size_t i = 0; i < result->looks.size(); ++i) {
        squares[i] += result->looks[i].error_ns * result->looks[i].error_ns;
        bounds[i].push_back(result->looks[i].bound_ns);
      }
    }
    if (!options.is_brief) std::printf("%-20s", scenario.name.c_str());
    for (std::size_t i = 0; i < squares.size(); ++i) {
      last_us = std::sqrt(squares[i] / static_cast<double>(seeds)) / 1e3;
      if (!options.is_brief) std::printf("  %10.3f (%10.3f)", last_us, median(bounds[i]) / 1e3);
    }
    if (!options.is_brief) std::printf("  %d\n", beyond);
  }
  std::printf("clock_holdover_24h_us=%.3f\n", last_us);
}

void measure_bound(const Options& options, const std::vector<sim::Scenario>& scenarios, const char* what,
                   bool has_figures) {
  const std::uint64_t seeds = options.seeds != 0 ? options.seeds : 20;
  const std::vector<sim::Result> results = run_seeds(scenarios, seeds, options.threads);
  double worst_share = 0.0;
  double worst_tightness = 0.0;
  if (!options.is_brief) {
    std::printf("%-24s %9s %9s %12s %9s %9s\n", what, "rms ns", "max ns", "bound ns", "tightness", "beyond");
  }
  auto result = results.begin();
  for (const sim::Scenario& scenario : scenarios) {
    double squares = 0.0;
    double most = 0.0;
    double promised = 0.0;
    double beyond = 0.0;
    std::vector<double> bounds;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed, ++result) {
      const auto samples = static_cast<double>(result->promised);
      squares += result->rms_ns * result->rms_ns * samples;
      promised += samples;
      beyond += static_cast<double>(result->violations);
      most = std::max(most, result->max_ns);
      bounds.push_back(result->median_bound_ns);
      if (result->violations != 0) {
        std::fprintf(stderr,
                     "%s, seed %llu: %llu samples beyond the bound; look: bench/clock draw %s --seed %llu "
                     "--from %lld --out FILE.svg\n",
                     scenario.name.c_str(), static_cast<unsigned long long>(seed),
                     static_cast<unsigned long long>(result->violations), scenario.name.c_str(),
                     static_cast<unsigned long long>(seed),
                     static_cast<long long>(result->first_violation_s));
      }
    }
    const double rms = std::sqrt(squares / promised);
    const double tightness = median(bounds) / rms;
    if (!options.is_brief) {
      std::printf("%-24s %9.2f %9.1f %12.2f %9.2f %9.1e\n", scenario.name.c_str(), rms, most, median(bounds),
                  tightness, beyond / promised);
    }
    worst_share = std::max(worst_share, beyond / promised);
    worst_tightness = std::max(worst_tightness, tightness);
  }
  if (has_figures)
    std::printf("clock_bound_violations=%.1e\nclock_bound_tightness=%.2f\n", worst_share, worst_tightness);
}

void measure_drags(const Options& options) {
  const std::uint64_t seeds = options.seeds != 0 ? options.seeds : 20;
  const std::vector<sim::Drag> drags = sim::drags();
  std::printf("%-16s %8s %8s %8s %9s %12s\n", "s7", "ns/s", "seen s", "at most", "unseen", "along ns");
  std::int64_t worst_s = 0;
  for (const sim::Drag& drag : drags) {  // one at a time: each run keeps a trace
    std::vector<double> seen_s;
    double along_ns = 0.0;
    std::uint64_t unseen = 0;
    for (std::uint64_t seed = 1; seed <= seeds; seed += options.threads) {
      std::vector<Job> jobs;
      for (std::uint64_t i = seed; i <= std::min<std::uint64_t>(seeds, seed + options.threads - 1); ++i)
        jobs.push_back({&drag.scenario, i});
      for (const sim::Result& result : run_all(jobs, options.threads)) {
        const auto held =
            std::find_if(result.trace.begin(), result.trace.end(), [](const sim::Sample& sample) {
              return sample.second >= sim::drag_begin_s && sample.state == hwclock::State::holdover;
            });
        for (auto sample = result.trace.begin(); sample != held; ++sample) {
          if (sample->second >= sim::drag_begin_s) along_ns = std::max(along_ns, std::fabs(sample->error_ns));
        }
        const bool is_seen = held != result.trace.end();
        unseen += is_seen ? 0 : 1;
        if (is_seen) seen_s.push_back(static_cast<double>(held->second - sim::drag_begin_s));
      }
    }
    const double most_s = seen_s.empty() ? 0.0 : *std::max_element(seen_s.begin(), seen_s.end());
    if (drag.seen_s_max != 0)
      worst_s = std::max(worst_s, unseen != 0 ? sim::drag_s : static_cast<std::int64_t>(most_s));
    std::printf("%-16s %8.1f %8.0f %8.0f %8.1f%% %12.1f\n", drag.scenario.name.c_str(), drag.ns_per_s,
                seen_s.empty() ? 0.0 : median(seen_s), most_s,
                100.0 * static_cast<double>(unseen) / static_cast<double>(seeds), along_ns);
  }
  std::printf("clock_drag_seen_s=%lld\n", static_cast<long long>(worst_s));
}

int refuse(const std::string& why) {
  std::fprintf(stderr, "clock: %s; bench/clock --help says what there is\n", why.c_str());
  return 2;
}

const sim::Scenario* find(const std::vector<sim::Scenario>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const sim::Scenario& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

// Everything that has a name, to be drawn.
std::vector<sim::Scenario> named_scenarios() {
  std::vector<sim::Scenario> all = sim::hardships();
  for (const sim::Cell& cell : sim::cells()) all.push_back(sim::locked(cell));
  for (const sim::Drag& drag : sim::drags()) all.push_back(drag.scenario);
  for (sim::Scenario& scenario : sim::nic_clocks()) all.push_back(std::move(scenario));
  for (const sim::OscillatorModel& oscillator :
       {sim::cheap_xo, sim::good_xo, sim::tcxo, sim::ocxo, sim::aging_ocxo, sim::rubidium}) {
    all.push_back(sim::holdover(oscillator, 43'200, 86'400));
  }
  return all;
}

int draw(const std::vector<std::string>& words) {
  const std::vector<sim::Scenario> all = named_scenarios();
  const sim::Scenario* scenario = nullptr;
  bench::Drawing drawing;
  std::uint64_t seed = 1;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--seed" && has_value) {
      seed = std::strtoull(words[++i].c_str(), nullptr, 10);
    } else if (words[i] == "--from" && has_value) {
      drawing.from_s = std::strtoll(words[++i].c_str(), nullptr, 10);
    } else if (words[i] == "--to" && has_value) {
      drawing.to_s = std::strtoll(words[++i].c_str(), nullptr, 10);
    } else if (words[i] == "--out" && has_value) {
      drawing.file = words[++i];
    } else if (scenario = find(all, words[i]); scenario == nullptr) {
      return refuse("no scenario is called " + words[i]);
    }
  }
  if (scenario == nullptr || drawing.file.empty()) return refuse("draw needs a SCENARIO and --out FILE.svg");
  sim::Scenario traced = *scenario;
  traced.keeps_trace = true;
  drawing.title = traced.name + ", seed " + std::to_string(seed);
  const std::string fault = bench::draw(drawing, sim::run(traced, seed).trace);
  return fault.empty() ? 0 : refuse(fault);
}

}  // namespace

int main(int count, char** words_of_main) {
  const std::vector<std::string> words(words_of_main + 1, words_of_main + count);
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    std::fputs(help, stdout);
    return 0;
  }
  if (!words.empty() && words[0] == "draw") return draw(words);
  const std::vector<sim::Scenario> hardships = sim::hardships();
  Options options;
  std::vector<std::string> what;
  std::vector<sim::Scenario> chosen;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--seeds" && has_value) {
      options.seeds = std::strtoull(words[++i].c_str(), nullptr, 10);
    } else if (words[i] == "--threads" && has_value) {
      options.threads = std::max(1U, static_cast<unsigned>(std::strtoul(words[++i].c_str(), nullptr, 10)));
    } else if (words[i] == "list") {
      for (const sim::Scenario& one : named_scenarios())
        std::printf("%s%s\n", one.name.c_str(), one.is_in_headline ? " *" : "");
      return 0;
    } else if (words[i] == "headline") {
      options.is_brief = true;
    } else if (words[i] == "s1" || words[i] == "s4" || words[i] == "s5" || words[i] == "s7" ||
               words[i] == "nic") {
      what.push_back(words[i]);
    } else if (const sim::Scenario* one = find(hardships, words[i]); one != nullptr) {
      chosen.push_back(*one);
    } else {
      return refuse("there is no " + words[i]);
    }
  }
  const bool is_everything = what.empty() && chosen.empty();
  const auto wants = [&](const char* name) {
    return is_everything || std::find(what.begin(), what.end(), name) != what.end();
  };
  if (wants("s1")) measure_locked(options);
  if (wants("s4")) measure_holdover(options);
  if (chosen.empty() && wants("s5")) {
    for (const sim::Scenario& one : hardships) {
      if (!options.is_brief || one.is_in_headline) chosen.push_back(one);
    }
  }
  if (!chosen.empty()) measure_bound(options, chosen, "s5", true);
  if (!options.is_brief && wants("s7")) measure_drags(options);
  if (!options.is_brief && wants("nic")) measure_bound(options, sim::nic_clocks(), "nic", false);
  return 0;
}
