#include "hwclock/clock_state.h"

#include <algorithm>

namespace hwclock {
namespace {

// A restored snapshot puts the TSC back by minutes or more; cores of one machine differ by far less than
// this.
constexpr std::uint64_t jump_back_s = 1;

// The rate must be the TSC's, within a tenth: mult * tsc_hz is 2^32 units a second, times 2^60.
bool is_rate(std::uint64_t mult, std::uint64_t tsc_hz) noexcept {
  const auto units_per_s = static_cast<long double>(mult) * static_cast<long double>(tsc_hz);
  constexpr long double expected = 0x1p92L;
  return units_per_s >= 0.9L * expected && units_per_s <= 1.1L * expected;
}

}  // namespace

void set_source_name(ClockState& state, std::string_view name) noexcept {
  const std::size_t bytes = std::min(name.size(), sizeof state.source_name - 1);
  std::copy_n(name.begin(), bytes, state.source_name);
  state.source_name[bytes] = '\0';
}

bool is_valid(const ClockState& state) noexcept {
  if (state.mult == 0 || state.tsc_hz < 1'000'000 || state.leap > 3 || state.stratum > 15) return false;
  if (static_cast<std::uint32_t>(state.state) > static_cast<std::uint32_t>(State::local)) return false;
  if (static_cast<std::uint32_t>(state.source) > static_cast<std::uint32_t>(Source::upstream)) return false;
  // Beyond 292 years, and as a signed number an error below zero, which would be served as none.
  if (state.root_delay_ns > INT64_MAX || state.dispersion0_ns > INT64_MAX) return false;
  if (state.precision < -63 || state.precision > 6) return false;
  if (state.leap != 3 && state.stratum == 0) return false;  // a synchronised clock has a stratum
  if (state.root_delay_ns > INT64_MAX) return false;  // would turn negative, and a delay of 0 on the wire
  if (!is_rate(state.mult, state.tsc_hz)) return false;
  if (state.smear.valid_until != 0 && !is_rate(state.smear.line.mult, state.tsc_hz)) return false;
  if (state.mono.line.mult != 0 && !is_rate(state.mono.line.mult, state.tsc_hz)) return false;
  if (state.smear.off_ns > INT64_MAX - state.dispersion0_ns) return false;
  return state.source_name[sizeof state.source_name - 1] == '\0';
}

std::uint64_t dispersion_ns_at(const ClockState& state, std::uint64_t tsc) noexcept {
  const auto ticks = static_cast<std::int64_t>(tsc - state.tsc0);
  if (ticks <= 0) return state.dispersion0_ns;
  // elapsed * rate: ticks / hz seconds at rate ppb is ticks * rate / hz nanoseconds, rounded up.
  const auto grown = (static_cast<Int128>(ticks) * static_cast<Int128>(state.dispersion_rate_ppb) +
                      static_cast<Int128>(state.tsc_hz) - 1) /
                     static_cast<Int128>(state.tsc_hz);
  constexpr auto most = static_cast<Int128>(INT64_MAX);
  const Int128 total = static_cast<Int128>(state.dispersion0_ns) + grown;
  return static_cast<std::uint64_t>(total > most ? most : total);
}

bool is_believable(const ClockState& state, std::uint64_t tsc) noexcept {
  if (static_cast<std::int64_t>(tsc - state.valid_until) > 0) return false;
  return static_cast<std::int64_t>(state.tsc0 - tsc) <= static_cast<std::int64_t>(jump_back_s * state.tsc_hz);
}

ClockState held_over(const ClockState& promise, std::uint64_t tick) noexcept {
  ClockState state = promise;
  state.tsc0 = tick;
  state.ntp0 = ntp_at(promise, tick);
  state.dispersion0_ns = dispersion_ns_at(promise, tick);
  if (state.state == State::locked) state.state = State::holdover;
  return state;
}

}  // namespace hwclock
