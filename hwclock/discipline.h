// What we dare to say of the time: from pulses, times of day and the passing of ticks to a ClockState.
//
// UNSYNC: no second has a number. WARMUP: numbered, not yet good enough; leap 3. LOCKED: pulses agree with
// the oscillator. HOLDOVER: they do not come, or no longer agree, or upstreams contradict them; the error
// grows by what was learned of the oscillator, until it or the time passes its limit. ALARM: it has passed,
// or somebody contradicts us for too long; leap 3. The served line steps in UNSYNC, WARMUP and ALARM only,
// where leap is 3; anywhere else it slews. (FALLBACK to upstreams is another engine's, upstream_clock.h:
// whoever owns both serves that one's time while this one has none.) Rules: CLOCK.md sections 2.5 and 2.7;
// RFC 5905 section 7.3 for the fields.
//
// Pure: pulses and ticks come in, a ClockState goes out; no clock is read here.
#pragma once

#include <cstdint>

#include "hwclock/clock_state.h"
#include "hwclock/estimator.h"
#include "hwclock/leap.h"
#include "hwclock/pps_number.h"
#include "hwclock/served_line.h"

namespace hwclock {

// What the operator decided, or knows of the receiver.
struct DisciplinePolicy {
  double pulse_sigma_ns = 20.0;       // one pulse, without its constant error
  double reference_error_ns = 100.0;  // what is constant and not calibrated: cable, receiver, input
  std::uint64_t lock_error_max_ns = 10'000;
  std::uint64_t holdover_error_max_ns = 1'000'000;
  std::uint64_t holdover_s_max = 86'400;
  std::uint64_t dispute_s_max = 600;        // holdover against a reference that goes on saying something else
  std::uint32_t reference_id = 0x47505300;  // GPS
  std::int32_t precision = -25;
};

class Discipline {
 public:
  Discipline(std::uint64_t tick_hz, const DisciplinePolicy& policy) noexcept;

  // A pulse was seen at `tick`; it was `correction_ns` late (the receiver's sawtooth, delays). A pulse that
  // cannot be numbered teaches nothing. `placing_ns`: sigma of the tick, beyond the policy's.
  void take_pulse(std::uint64_t tick, double correction_ns, double placing_ns = 0.0) noexcept;
  // A reference that names its seconds itself said that it was `reference` at `tick`.
  void take_sample(std::uint64_t tick, TaiTime reference, double placing_ns = 0.0) noexcept;
  // By how much ticks may be off to one side, all alike, as the input itself found; it joins what was
  // declared.
  void set_window_error(double ns) noexcept { window_error_ns_ = ns; }
  void take_time_of_day(const TimeOfDay& time_of_day) noexcept { number_.take(time_of_day); }
  // What independent servers say of our time: they contradict it beyond all bounds, and then it may be wrong
  // by as much as `wrong_by_ns`; or not. Stands until the next call.
  void take_testimony(bool contradicts, double wrong_by_ns, std::uint64_t tick) noexcept;
  // A change that no plan foresaw, while time is promised, is a contradiction: ALARM.
  void set_leap(const LeapPlan& plan) noexcept { leap_ = plan; }

  // What an earlier process served goes on: the line is bent to ours rather than left, unless it is too far
  // off for that.
  void continue_from(const Line& line, std::uint64_t step_count, std::uint64_t tick) noexcept;

  // What an earlier run learned of the oscillator (Estimator::recall); the warm-up is a third as long when
  // the first pulses agree with it.
  [[nodiscard]] bool recall(const OscillatorMemory& memory, double restart_sigma_ppb) {
    return estimator_.recall(memory, restart_sigma_ppb);
  }

  // Call about 8 times a second, with ticks that do not go back.
  [[nodiscard]] ClockState publish(std::uint64_t tick) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_contradicted() const noexcept { return is_contradicted_; }
  // How far we may be off at `tick` by our own judgement, whatever others say: half the root delay is in it.
  // Needs one accepted measurement.
  [[nodiscard]] double error_ns(std::uint64_t tick) const noexcept;
  [[nodiscard]] const Estimator& estimator() const noexcept { return estimator_; }
  [[nodiscard]] const PpsNumber& number() const noexcept { return number_; }
  // Pulses and samples that did not agree with the oscillator.
  [[nodiscard]] std::uint64_t outlier_count() const noexcept { return outlier_count_; }

 private:
  struct Forecast {
    double rate_ppb;  // of the bound, at most, until ...
    double seconds;   // ... it or the holdover ends
  };

  [[nodiscard]] double seconds_between(std::uint64_t earlier, std::uint64_t later) const noexcept;
  [[nodiscard]] double sigma_with(double placing_ns) const noexcept;
  [[nodiscard]] double sigmas() const noexcept;
  [[nodiscard]] double error_after(double seconds) const noexcept;
  [[nodiscard]] bool is_warm() const noexcept;
  [[nodiscard]] bool has_yielded(std::uint64_t tick) const noexcept;
  [[nodiscard]] double yielded_ns(std::uint64_t tick) const noexcept;
  [[nodiscard]] double yielded_rate_ppb(std::uint64_t tick) const noexcept;
  [[nodiscard]] double dispute_ns(std::uint64_t tick) const noexcept;
  [[nodiscard]] Forecast forecast(double error_ns, double rate_error_ppb, double age_s) const noexcept;
  [[nodiscard]] Target target_at(std::uint64_t tick, std::int32_t tai_minus_utc_s) const noexcept;
  void change_to(State state, std::uint64_t tick) noexcept;
  void judge(std::uint64_t tick, double error_ns) noexcept;
  [[nodiscard]] bool is_promised() const noexcept {
    return state_ == State::locked || state_ == State::holdover;
  }
  void give_in(std::uint64_t tick) noexcept;
  void judge_pulse(Taken taken, std::uint64_t tick) noexcept;

  double tick_hz_;
  DisciplinePolicy policy_;
  Estimator estimator_;
  PpsNumber number_;
  ServedLine served_;
  LeapPlan leap_;
  LeapPlan foreseen_leap_;        // what was planned when the time was published last
  bool is_contradicted_ = false;  // by upstreams
  double contradiction_ns_ = 0.0;
  std::uint64_t contradicted_since_ = 0;

  State state_ = State::unsync;
  std::uint64_t state_since_ = 0;
  std::uint64_t accepted_since_ = 0;  // pulses, since the state began
  std::uint64_t outliers_in_a_row_ = 0;
  std::uint64_t outlier_count_ = 0;
  double window_error_ns_ = 0.0;
  double disputed_ns_ = 0.0;            // the most that the reference was off by in this row of outliers
  double yielded_ns_ = 0.0;             // and in one that ended in its favour ...
  double yielded_rate_ppb_ = 0.0;       // and what our rate may have taken of it
  std::uint64_t dispute_end_tick_ = 0;  // ... here; counts for dispute_s_max more
  std::uint64_t last_accepted_tick_ = 0;
  std::uint64_t last_pulse_tick_ = 0;
  std::int32_t served_tai_minus_utc_s_ = 0;
  std::uint64_t reference_ntp_ = 0;  // stands still in holdover, so that people see how stale it is
};

}  // namespace hwclock
