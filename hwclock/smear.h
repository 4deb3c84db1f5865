// A leap second spread over hours, for the addresses whose clients cannot bear one (RFC 8633 section 3.7.1).
//
// Smeared time is UTC as served plus an offset: 0 before the window, the leap second's loss or gain behind
// it, and no step anywhere, also where UTC itself steps. Who asks a smeared address is never told of a leap.
// Linear: from noon to noon around it, 11.6 ppm, as the large clouds do. Quadratic: 62 500 s from the leap
// on, 32 ppm at most, as chrony's `smoothtime 400 0.001024 leaponly`. A client of both kinds of address, or
// of another smear, sees two clocks. Pure.
#pragma once

#include <cstdint>

#include "hwclock/clock_state.h"
#include "hwclock/leap.h"

namespace hwclock {

enum class SmearKind : std::uint32_t { none = 0, linear = 1, quadratic = 2 };

// Nanoseconds that smeared time is ahead of UTC at `time`, where TAI minus UTC is still, or again, that of
// `plan`; `has_changed`: UTC has made its step. 0 for a plan that is none.
[[nodiscard]] double smear_offset_ns(SmearKind kind, const LeapPlan& plan, TaiTime time,
                                     bool has_changed) noexcept;

// TAI at `tick` by the state's own line, in the era that this was written in or the next one.
[[nodiscard]] TaiTime tai_at(const ClockState& state, std::uint64_t tick) noexcept;

class Smear {
 public:
  // A line is only good as long as the rate is: who does not hear of the next one in time knows nothing.
  static constexpr double line_s_max = 10.0;

  explicit Smear(SmearKind kind) noexcept : kind_(kind) {}

  // Goes on with the change that an earlier process was smearing.
  void resume(const ServedSmear& left_behind) noexcept;

  // The plan at `now`; one whose change is over still counts in its window. A change whose window has begun
  // is kept to the window's end, whatever plans say later; one that is taken back within its window makes
  // smeared time unknown until UTC has not stepped.
  void take(const LeapPlan& plan, TaiTime now) noexcept;

  // Sets `state.smear` for what the state says at `tick`.
  void publish(std::uint64_t tick, ClockState& state) const noexcept;

 private:
  SmearKind kind_;
  LeapPlan change_;  // change_s 0: none
  bool is_taken_back_ = false;
};

}  // namespace hwclock
