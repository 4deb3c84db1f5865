// The line that is served: it follows a target without ever going back, and jumps only when told to.
//
// A target is where the true time is thought to be, and its rate. What the served line is off by goes into
// its rate, at most slew_max_ppb, until it is gone (TESTS.md B11). What is left is known, and belongs into
// the error that is advertised.
#pragma once

#include <cstdint>

#include "hwclock/clock_state.h"

namespace hwclock {

struct Target {
  std::uint64_t tick = 0;
  std::uint64_t ntp = 0;     // units of 2^-32 s, era dropped
  double fraction_ns = 0.0;  // beyond `ntp`, less than a unit or a few
  double ns_per_tick = 0.0;
};

class ServedLine {
 public:
  // A correction takes about so long; longer where slew_max_ppb forbids it, or where targets come rarely.
  static constexpr double correction_s = 0.25;
  static constexpr double slew_max_ppb = 100'000.0;  // chrony's default is 83333
  // For those who serve the line: while nothing is promised (leap 3), a difference beyond this is stepped.
  static constexpr double unpromised_step_ns = 1'000.0;

  explicit ServedLine(std::uint64_t tick_hz) noexcept : tick_hz_(static_cast<double>(tick_hz)) {}

  // Begins at the target, wherever the line was: a step, unless it is the first one.
  void step_to(const Target& target) noexcept;

  // Goes on with a line that somebody else served until now.
  void resume(const Line& line, std::uint64_t step_count, std::uint64_t tick) noexcept;

  // Bends the line to the target; readers may go over to it a millisecond later without seeing time go back.
  // Gives what is left, target minus line. Needs a line.
  double bend_to(const Target& target) noexcept;

  // Begins the line at `tick`, a unit of the wire ahead at most: the same line from a nearer point.
  void renew(std::uint64_t tick) noexcept;

  [[nodiscard]] bool has_line() const noexcept { return line_.mult != 0; }
  [[nodiscard]] const Line& line() const noexcept { return line_; }
  [[nodiscard]] std::uint64_t step_count() const noexcept { return step_count_; }

  // How far the line's rate is from the target's: what makes an error of it if nobody bends it again.
  [[nodiscard]] double rate_off_ppb(const Target& target) const noexcept;

  // Target minus line, at the target's tick.
  [[nodiscard]] double off_ns(const Target& target) const noexcept;

 private:
  double tick_hz_;
  Line line_;
  std::uint64_t target_tick_ = 0;  // of the last target
  std::uint64_t step_count_ = 0;
};

// Units of 2^-32 s a tick, times 2^60: ClockState::mult.
[[nodiscard]] std::uint64_t mult_of(double ns_per_tick) noexcept;

}  // namespace hwclock
