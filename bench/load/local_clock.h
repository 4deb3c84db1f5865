// The clock of a server without a clock role: this machine's own, as it is now, good for an hour.
#pragma once

#include <cstdint>
#include <ctime>

#include "hwclock/clock_state.h"
#include "hwclock/tsc.h"
#include "nts/ntp_time.h"

namespace bench::load {

[[nodiscard]] inline hwclock::ClockState local_clock(std::uint64_t tsc_hz) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  hwclock::ClockState state{};
  state.tsc0 = hwclock::read_tsc_in_order();
  state.ntp0 = nts::ntp_from_utc_ns(std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec).units;
  state.reference_ntp = state.ntp0;
  state.tsc_hz = tsc_hz;
  state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) /
                                          static_cast<hwclock::Int128>(tsc_hz));
  state.valid_until = state.tsc0 + 3600 * tsc_hz;
  state.dispersion_rate_ppb = 15000;
  state.state = hwclock::State::local;
  state.source = hwclock::Source::local;
  state.stratum = 10;
  state.precision = -25;
  return state;
}

}  // namespace bench::load
