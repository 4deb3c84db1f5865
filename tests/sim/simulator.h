// A day in a second: an oscillator, a receiver and what goes wrong with them, around the real engine.
//
// Deterministic: a seed and a scenario give the same run on every machine that has IEEE doubles. The model is
// that of CLOCK.md section 4.2, so that its figures for chrony may be compared: every second rate += walk *
// N, phase += rate + white * N, and a pulse is off by sigma * N. The engine sees ticks, pulses and messages
// only; the simulator alone knows the truth, and compares.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "hwclock/discipline.h"
#include "tests/sim/nic_clock.h"

namespace sim {

struct OscillatorModel {
  const char* name = "";
  double white_ns = 0.0;
  double walk_ppb = 0.0;
  double drift_ppb_s = 0.0;
  double offset_ppb = 20'000.0;
  double day_ppb = 0.0;      // amplitude of a daily swing, as of a room that warms and cools
  double flicker_ppb = 0.0;  // of each rung of a ladder of first-order processes, 10 s to 100 000 s
};

inline constexpr double half_ppb_a_day = 0.5 / 86'400.0;
inline constexpr OscillatorModel cheap_xo{.name = "xo", .white_ns = 5.0, .walk_ppb = 1.0};
inline constexpr OscillatorModel good_xo{.name = "good-xo", .white_ns = 2.5, .walk_ppb = 0.1};
inline constexpr OscillatorModel tcxo{.name = "tcxo", .white_ns = 2.5, .walk_ppb = 0.02};
inline constexpr OscillatorModel ocxo{.name = "ocxo", .white_ns = 0.01, .walk_ppb = 1e-4};
inline constexpr OscillatorModel aging_ocxo{
    .name = "aging-ocxo", .white_ns = 0.01, .walk_ppb = 1e-4, .drift_ppb_s = half_ppb_a_day};
inline constexpr OscillatorModel rubidium{
    .name = "rb", .white_ns = 0.01, .walk_ppb = 3e-6, .offset_ppb = 1.0};

struct ReceiverModel {
  double sigma_ns = 10.0;
  double sawtooth_ns = 0.0;  // amplitude; the receiver says it of every pulse, to a nanosecond
  double wander_ns = 0.0;    // slow and unseen: a first-order process of 3400 s
  double outlier_chance = 0.0;
  double outlier_ns = 0.0;
  double missing_chance = 0.0;    // no pulse
  double extra_chance = 0.0;      // one more edge, anywhere in the second
  double message_delay_s = 0.12;  // may be longer than a second: a line that carries too much
  double message_jitter_s = 0.0;  // and up to so much more
};

// What goes wrong, and when. Several may overlap.
enum class Fault : std::uint8_t {
  outage,
  no_message,
  step,           // of the pulses, ns
  ramp,           // of the pulses, ns/s
  wrong_second,   // told by the messages, s
  double_edge,    // a second edge after every pulse
  trailing_edge,  // the other edge of a pulse that is so many seconds long
  late_message,   // s, on top of the usual delay
  rate_jump,      // of the oscillator, ppb: it really does
  nic_set         // the NIC's clock, by so many ns, once
};

struct Event {
  Fault fault = Fault::outage;
  std::int64_t begin_s = 0;
  std::int64_t end_s = 0;
  double amount = 0.0;  // in the unit that the fault has
};

struct Scenario {
  std::string name;
  OscillatorModel oscillator;
  ReceiverModel receiver;
  NicModel nic;  // that stamps the pulses, if it is used
  hwclock::DisciplinePolicy policy;
  std::int64_t seconds = 86'400;
  std::int64_t judged_from_s = 0;  // errors before are not counted
  std::vector<Event> events;
  std::vector<std::int64_t> looks_s;  // when to note error and bound
  std::int64_t leap_at_s = 0;         // a leap second comes, or 0
  std::int32_t leap_change_s = 1;     // inserted, or -1: left out
  std::int64_t tai_start_s = 1'800'000'000;
  bool keeps_trace = false;
  bool is_in_headline = false;  // bench/headline has no time for all of them
};

struct Look {
  double error_ns = 0.0;
  double bound_ns = 0.0;
  hwclock::State state = hwclock::State::unsync;
  std::uint32_t leap = 3;
  std::uint32_t stratum = 0;
};

// The clock as a client meets it early in each second, promised or not.
struct Sample {
  std::int64_t second = 0;
  double error_ns = 0.0;
  double bound_ns = 0.0;
  hwclock::State state = hwclock::State::unsync;
  std::uint32_t leap = 3;
  std::uint32_t stratum = 0;
  std::uint32_t reference_id = 0;
};

struct Result {
  double rms_ns = 0.0;  // of the served time, while it was promised
  double max_ns = 0.0;
  double median_bound_ns = 0.0;
  std::uint64_t promised = 0;    // samples in which leap was not 3
  std::uint64_t violations = 0;  // of them, beyond the bound
  std::int64_t first_violation_s = -1;
  std::uint64_t went_back = 0;       // served time, without a step being told
  std::uint64_t promised_steps = 0;  // steps of a clock that had promised not to
  std::uint64_t invalid = 0;         // states that a reader would refuse
  std::int64_t locked_at_s = -1;
  std::array<std::uint64_t, 7> seconds_in{};  // by hwclock::State
  double steepest_ppb = 0.0;                  // of the line while it was promised, against the true rate
  double mono_off_ppb = 0.0;  // the line of field 0xF323: the most its mean rate over 256 s was off, promised
  std::uint64_t mono_epochs = 0;  // that were told
  std::uint64_t nic_steps = 0;    // of the NIC's clock, that were seen
  std::vector<Look> looks;
  std::vector<Sample> trace;  // if the scenario keeps one
};

[[nodiscard]] Result run(const Scenario& scenario, std::uint64_t seed);

}  // namespace sim
