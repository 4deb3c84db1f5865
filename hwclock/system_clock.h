// The edge to the kernel's clock: reads it, and what the kernel says of it. Never sets anything.
//
// clock_gettime(2), adjtimex(2) with modes = 0. The whole of hwclock's questions to the kernel is in
// system_clock.cc; everything else here is arithmetic on its answers.
#pragma once

#include <ctime>

#include "hwclock/kernel_model.h"
#include "hwclock/reading.h"

struct timex;

namespace hwclock {

// Reads `clock` several times and gives the reading with the narrowest bracket. Throws std::system_error.
[[nodiscard]] Reading read_clock(clockid_t clock);

// What the kernel says of CLOCK_REALTIME now. Throws std::system_error (a sandbox that forbids
// clock_adjtime).
[[nodiscard]] KernelReport read_kernel_report();

// The same, from adjtimex's return value and structure.
[[nodiscard]] KernelReport report_of(int clock_state, const timex& values) noexcept;

}  // namespace hwclock
