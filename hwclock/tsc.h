// The time stamp counter: what it must be, and how control reads it.
//
// Served time is this counter times a number, so it must tick at one rate in every power state. Intel SDM
// volume 3, "Invariant TSC"; AMD APM volume 3, CPUID Fn8000_0007.
#pragma once

#include <cpuid.h>
#include <cstdint>
#include <x86intrin.h>

namespace hwclock {

// For whoever refuses to start without one.
inline constexpr char no_invariant_tsc[] =
    "this CPU has no invariant TSC, so time cannot be served from it; in a virtual machine, let the "
    "hypervisor pass the invtsc flag";

[[nodiscard]] inline bool has_invariant_tsc() noexcept {
  constexpr unsigned power_leaf = 0x80000007;
  constexpr unsigned invariant_tsc_bit = 1U << 8;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(power_leaf, &eax, &ebx, &ecx, &edx) != 0 && (edx & invariant_tsc_bit) != 0;
}

// Not before what stands before it, not after what stands behind it. The packet path does without the fences:
// tens of ticks matter to a calibration, not to a stamp.
[[nodiscard]] inline std::uint64_t read_tsc_in_order() noexcept {
  _mm_lfence();
  const std::uint64_t tsc = __rdtsc();
  _mm_lfence();
  return tsc;
}

}  // namespace hwclock
