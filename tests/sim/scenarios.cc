#include "tests/sim/scenarios.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace sim {
namespace {

constexpr std::array<Cell, 12> table{{
    {cheap_xo, 10, 13.5, 9.7},
    {cheap_xo, 100, 52, 40},
    {cheap_xo, 1000, 297, 215},
    {good_xo, 10, 8.0, 5.8},
    {good_xo, 100, 29.4, 22.9},
    {good_xo, 1000, 191, 120},
    {tcxo, 10, 7.7, 5.4},
    {tcxo, 100, 27.6, 18.0},
    {tcxo, 1000, 129, 83},
    {ocxo, 10, 1.03, 0.68},
    {ocxo, 100, 4.2, 3.8},
    {ocxo, 1000, 58, 21},
}};

// What differs in what it asks of the engine: the others have shown the same figures as one of these.
constexpr std::array<std::string_view, 9> in_headline{"xo/calm",        "ocxo/calm",      "xo/outage-1h",
                                                      "tcxo/outage-1h", "ocxo/outage-1h", "tcxo/outliers",
                                                      "xo/step-1us",    "tcxo/wander",    "tcxo/warm-room"};

// Pulses are calibrated here: what is left is what the model says of them.
Scenario calibrated(const OscillatorModel& oscillator, double pulse_ns) {
  Scenario scenario;
  scenario.name = oscillator.name;
  scenario.oscillator = oscillator;
  scenario.receiver.sigma_ns = pulse_ns;
  scenario.policy.pulse_sigma_ns = pulse_ns;
  scenario.policy.reference_error_ns = 0.0;
  return scenario;
}

}  // namespace

std::span<const Cell> cells() { return table; }

Scenario locked(const Cell& cell) {
  Scenario scenario = calibrated(cell.oscillator, cell.pulse_ns);
  scenario.name.append("/").append(std::to_string(static_cast<int>(cell.pulse_ns))).append("ns");
  scenario.seconds = 60'000;
  scenario.judged_from_s = 20'000;
  return scenario;
}

Scenario holdover(const OscillatorModel& oscillator, std::int64_t lock_s, std::int64_t hold_s) {
  Scenario scenario = calibrated(oscillator, 10.0);
  scenario.name += "/holdover";
  scenario.seconds = lock_s + hold_s;
  scenario.judged_from_s = lock_s;
  scenario.policy.holdover_error_max_ns = 1'000'000'000;
  scenario.policy.holdover_s_max = static_cast<std::uint64_t>(hold_s) + 60;
  scenario.events = {{Fault::outage, lock_s, lock_s + hold_s + 1}};
  for (const std::int64_t hours : {1, 4, 24, 168}) {
    if (hours * 3600 <= hold_s) scenario.looks_s.push_back(lock_s + hours * 3600);
  }
  return scenario;
}

std::vector<Drag> drags() {
  struct Row {
    OscillatorModel oscillator;
    double ns_per_s;
    std::int64_t seen_s_max;
  };
  constexpr Row rows[] = {
      {cheap_xo, 1000.0, 60}, {tcxo, 3.0, 0},    {tcxo, 10.0, 60},   {tcxo, 100.0, 60},
      {tcxo, 1000.0, 60},     {ocxo, 0.1, 0},    {ocxo, 0.3, 0},     {ocxo, 1.0, 60},
      {ocxo, 10.0, 60},       {ocxo, 100.0, 60}, {rubidium, 0.1, 0}, {rubidium, 1.0, 60},
  };
  std::vector<Drag> all;
  for (const Row& row : rows) {
    Scenario scenario = calibrated(row.oscillator, 10.0);
    char name[32];
    std::snprintf(name, sizeof name, "/drag-%g", row.ns_per_s);
    scenario.name += name;
    scenario.seconds = drag_begin_s + drag_s;
    scenario.events = {{Fault::ramp, drag_begin_s, drag_begin_s + drag_s, row.ns_per_s}};
    scenario.keeps_trace = true;
    all.push_back({std::move(scenario), row.ns_per_s, row.seen_s_max});
  }
  return all;
}

std::vector<Scenario> nic_clocks() {
  std::vector<Scenario> all;
  const auto add = [&](const char* name, const OscillatorModel& oscillator, double latch_part,
                       std::vector<Event> events) -> Scenario& {
    Scenario scenario = calibrated(oscillator, 10.0);
    scenario.name.append("/").append(name);
    scenario.seconds = 3 * 3600;
    scenario.nic.is_used = true;
    scenario.nic.latch_part = latch_part;
    scenario.events = std::move(events);
    all.push_back(std::move(scenario));
    return all.back();
  };
  add("nic", tcxo, 0.5, {});
  add("nic", ocxo, 0.5, {});
  add("nic-latched-early", tcxo, 0.1, {});
  add("nic-latched-late", ocxo, 0.9, {});
  add("nic-outage", tcxo, 0.5, {{Fault::outage, 3600, 5400}});
  add("nic-set", tcxo, 0.5, {{Fault::nic_set, 3600, 3601, 1e6}, {Fault::nic_set, 5400, 5401, -3e9}});
  add("nic-double-edge", tcxo, 0.5, {{Fault::double_edge, 3600, 5400}});
  add("nic-busy", tcxo, 0.3, {}).nic.slow_chance = 0.5;
  return all;
}

std::vector<Scenario> hardships() {
  constexpr std::int64_t hours = 3600;
  std::vector<Scenario> all;
  const auto add = [&](const char* name, const OscillatorModel& oscillator,
                       std::vector<Event> events) -> Scenario& {
    Scenario scenario = calibrated(oscillator, 10.0);
    scenario.name.append("/").append(name);
    scenario.seconds = 6 * hours;
    scenario.events = std::move(events);
    all.push_back(std::move(scenario));
    return all.back();
  };
  for (const OscillatorModel& oscillator : {cheap_xo, good_xo, tcxo, ocxo, aging_ocxo})
    add("calm", oscillator, {});
  for (const OscillatorModel& oscillator : {cheap_xo, tcxo, ocxo}) {
    add("outage-1h", oscillator, {{Fault::outage, 2 * hours, 3 * hours}});
    add("outages", oscillator,
        {{Fault::outage, 1800, 1830}, {Fault::outage, 4000, 4600}, {Fault::outage, 9000, 9005}});
    Scenario& outliers = add("outliers", oscillator, {});
    outliers.receiver.outlier_chance = 0.04;
    outliers.receiver.outlier_ns = 100'000.0;
    add("step-1us", oscillator, {{Fault::step, 7200, 7500, 1'000.0}});
    add("step-1ms", oscillator, {{Fault::step, 7200, 7500, 1e6}});
    add("wrong-second", oscillator, {{Fault::wrong_second, 7200, 7230, 1.0}});
    add("double-edge", oscillator, {{Fault::double_edge, 7200, 7300}});
  }
  for (const OscillatorModel& oscillator : {tcxo, ocxo}) {
    Scenario& sawtooth = add("sawtooth", oscillator, {});
    sawtooth.receiver.sawtooth_ns = 12.0;
    // A wander of hours is no noise to a filter; it is a constant error that changes, and is declared as one.
    Scenario& wander = add("wander", oscillator, {{Fault::outage, 4 * hours, 5 * hours}});
    wander.receiver.wander_ns = 3.0;
    wander.policy.reference_error_ns = 12.0;
  }
  Scenario& warm = add("warm-room", tcxo, {{Fault::outage, 4 * hours, 5 * hours}});
  warm.oscillator.day_ppb = 100.0;
  Scenario& leap = add("leap", tcxo, {});
  // tests/sim/simulator.cc begins at 1 800 000 000 TAI, 1 799 999 963 UTC; that day ends 57 637 s later.
  leap.seconds = 60'000;
  leap.leap_at_s = 57'638;
  for (Scenario& scenario : all) {
    scenario.is_in_headline =
        std::find(in_headline.begin(), in_headline.end(), scenario.name) != in_headline.end();
  }
  return all;
}

}  // namespace sim
