#include "hwclock/system_clock.h"

#include <algorithm>
#include <cerrno>
#include <sys/timex.h>
#include <system_error>

#include "hwclock/tsc.h"

namespace hwclock {
namespace {

// An interrupt or a cold cache spoils one try, hardly nine of them.
constexpr int tries = 9;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t ns_per_us = 1000;

KernelLeap leap_of(int clock_state) noexcept {
  switch (clock_state) {
    case TIME_INS:
      return KernelLeap::insert;
    case TIME_DEL:
      return KernelLeap::remove;
    case TIME_OOP:
      return KernelLeap::in_progress;
    default:  // TIME_WAIT: it is over, although STA_INS or STA_DEL stands until somebody clears it
      return KernelLeap::none;
  }
}

}  // namespace

Reading read_clock(clockid_t clock) {
  Reading best;
  for (int i = 0; i < tries; ++i) {
    timespec time{};
    const std::uint64_t before = read_tsc_in_order();
    const int failed = ::clock_gettime(clock, &time);
    const std::uint64_t after = read_tsc_in_order();
    if (failed != 0) throw std::system_error(errno, std::generic_category(), "a clock cannot be read");
    const std::uint64_t half_width_ticks = std::max<std::uint64_t>(1, (after - before + 1) / 2);
    if (i != 0 && half_width_ticks >= best.half_width_ticks) continue;
    best = {before + (after - before) / 2, half_width_ticks, time.tv_sec * ns_per_s + time.tv_nsec};
  }
  return best;
}

KernelReport report_of(int clock_state, const timex& values) noexcept {
  KernelReport report;
  // TIME_ERROR is also a hardware fault or a lost PPS; all of them mean that the kernel gives no promise.
  report.is_synchronised = clock_state >= 0 && clock_state != TIME_ERROR && (values.status & STA_UNSYNC) == 0;
  report.leap = leap_of(clock_state);
  report.max_error_ns = static_cast<std::uint64_t>(std::max(values.maxerror, 0L)) * ns_per_us;
  report.tai_minus_utc_s = values.tai;
  return report;
}

KernelReport read_kernel_report() {
  timex values{};  // modes = 0: ask only
  const int clock_state = ::adjtimex(&values);
  if (clock_state < 0) {
    throw std::system_error(errno, std::generic_category(),
                            "the kernel does not say whether its clock is synchronised (adjtimex); see what "
                            "sandbox this runs in");
  }
  return report_of(clock_state, values);
}

}  // namespace hwclock
