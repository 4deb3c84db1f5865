// What we dare to say of the time: from pulses, times of day and the passing of ticks to a ClockState.
//
// UNSYNC: no second has a number. WARMUP: numbered, not yet good enough; leap 3. LOCKED: pulses agree with
// the oscillator. HOLDOVER: they do not come, or no longer agree; the error grows by what was learned of the
// oscillator, until it or the time passes its limit. FALLBACK: then an upstream, if there is one, says how
// far off we are at most. ALARM: nobody does, or the reference contradicts us for too long; leap 3. The
// served line steps in UNSYNC, WARMUP and ALARM only, where leap is 3; anywhere else it slews. Rules:
// CLOCK.md sections 2.5 and 2.7; RFC 5905 section 7.3 for the fields.
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

// Another server's view, already filtered: our clock minus the true time is `offset_ns`, give or take.
struct UpstreamView {
  std::int64_t offset_ns = 0;
  std::uint64_t distance_ns = 0;  // root distance
  std::uint32_t stratum = 0;      // 0: none is selectable
  std::uint32_t reference_id = 0;
};

class Discipline {
 public:
  Discipline(std::uint64_t tick_hz, const DisciplinePolicy& policy) noexcept;

  // A pulse was seen at `tick`; it was `correction_ns` late (the receiver's sawtooth, delays). A pulse that
  // cannot be numbered teaches nothing.
  void take_pulse(std::uint64_t tick, double correction_ns) noexcept;
  void take_time_of_day(const TimeOfDay& time_of_day) noexcept { number_.take(time_of_day); }
  void take_upstream(const UpstreamView& view) noexcept;
  void set_leap(const LeapPlan& plan) noexcept { leap_ = plan; }

  // Call about 8 times a second, with ticks that do not go back.
  [[nodiscard]] ClockState publish(std::uint64_t tick) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const Estimator& estimator() const noexcept { return estimator_; }
  [[nodiscard]] const PpsNumber& number() const noexcept { return number_; }

 private:
  struct Forecast {
    double rate_ppb;  // of the bound, at most, until ...
    double seconds;   // ... it or the holdover ends
  };

  [[nodiscard]] double seconds_between(std::uint64_t earlier, std::uint64_t later) const noexcept;
  [[nodiscard]] double sigmas() const noexcept;
  [[nodiscard]] double error_after(double seconds) const noexcept;
  [[nodiscard]] double dispute_ns(std::uint64_t tick) const noexcept;
  [[nodiscard]] Forecast forecast(double error_ns, double rate_error_ppb, double age_s) const noexcept;
  [[nodiscard]] Target target_at(std::uint64_t tick, std::int32_t tai_minus_utc_s) const noexcept;
  void change_to(State state, std::uint64_t tick) noexcept;
  void judge(std::uint64_t tick, double error_ns) noexcept;
  void judge_pulse(Taken taken, std::uint64_t tick) noexcept;

  double tick_hz_;
  DisciplinePolicy policy_;
  Estimator estimator_;
  PpsNumber number_;
  ServedLine served_;
  LeapPlan leap_;
  UpstreamView upstream_;

  State state_ = State::unsync;
  std::uint64_t state_since_ = 0;
  std::uint64_t accepted_since_ = 0;  // pulses, since the state began
  std::uint64_t outliers_in_a_row_ = 0;
  double disputed_ns_ = 0.0;            // the most that the reference was off by in this row of outliers
  double yielded_ns_ = 0.0;             // and in one that ended in its favour ...
  std::uint64_t dispute_end_tick_ = 0;  // ... here; counts for dispute_s_max more
  std::uint64_t last_accepted_tick_ = 0;
  std::uint64_t last_pulse_tick_ = 0;
  std::int32_t served_tai_minus_utc_s_ = 0;
  std::uint64_t reference_ntp_ = 0;  // stands still in holdover, so that people see how stale it is
};

}  // namespace hwclock
