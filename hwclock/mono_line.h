// The line that is told to clients who ask for a rate (nts/mono_root.h): it runs at what the engine thinks
// the true rate to be, and nothing else ever moves it. A correction of the served line's phase does not; a
// change of the rate turns it where it is.
//
// Under one epoch, the difference between this line and the served one changes only by corrections; a client
// takes them out of what it measured before. So the epoch changes where that difference says something else:
// when the served time steps (a leap second is a step), when ticks go back, and, by the number that it begins
// with, when a new process knows nothing of the old one's line.
//
// Pure; kept to 2^-92 s, because it is turned 8 times a second for months.
#pragma once

#include <cstdint>

#include "hwclock/clock_state.h"

namespace hwclock {

class MonoLine {
 public:
  // `first_epoch`: random.
  explicit MonoLine(std::uint32_t first_epoch) noexcept : epoch_(first_epoch) {}

  // Call with each state before it is published. `state.mono.line.mult` is the engine's rate, or 0 while it
  // knows none; all of `state.mono` is then what to publish as of `tick`.
  void follow(ClockState& state, std::uint64_t tick) noexcept;

 private:
  void begin(const ClockState& state, std::uint64_t tick) noexcept;

  bool has_line_ = false;
  std::uint32_t epoch_;
  std::uint64_t step_count_ = 0;  // of the served line
  std::uint64_t tick_ = 0;        // where the line stands ...
  std::uint64_t units_ = 0;       // ... in 2^-32 s ...
  std::uint64_t rest_ = 0;        // ... and 2^-92 s
  std::uint64_t mult_ = 0;
};

}  // namespace hwclock
