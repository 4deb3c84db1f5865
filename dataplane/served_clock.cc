#include "dataplane/served_clock.h"

#include <algorithm>

namespace dataplane {
namespace {

constexpr std::uint32_t leap_unsynchronised = 3;
constexpr int mult_shift = 60;
constexpr int ntp_fraction_bits = 32;
constexpr std::uint64_t jump_back_s = 1;  // as in hwclock: no core is this far behind another

std::uint32_t why_unsynchronised(const hwclock::ClockState& state, bool is_believable) noexcept {
  if (state.state == hwclock::State::alarm) return refid_alarm;
  if (state.leap != leap_unsynchronised && !is_believable) return refid_holdover_over;
  return refid_init;
}

}  // namespace

ServedClock::ServedClock(std::uint64_t tsc_hz, std::uint64_t now_tsc) noexcept {
  const auto units_per_second = static_cast<hwclock::Int128>(1) << (ntp_fraction_bits + mult_shift);
  state_.tsc0 = now_tsc;
  state_.tsc_hz = tsc_hz;
  state_.mult = static_cast<std::uint64_t>(units_per_second / static_cast<hwclock::Int128>(tsc_hz));
}

void ServedClock::take(const shm::ClockPage* page) noexcept {
  if (page == nullptr) return;
  if (page != page_) {
    page_ = page;
    seen_ = 0;  // another file counts its own generations
  }
  hwclock::ClockState state;
  std::uint64_t generation = 0;
  if (!page->clock.read(state, generation)) return;  // a write in progress: the next burst comes soon
  seen_ = generation;
  if (!hwclock::is_valid(state))
    return;  // what we have grows old honestly; what we do not understand does not
  state_ = state;
  has_state_ = true;
  is_void_ = false;
  latest_tsc_ = state.tsc0;
}

nts::ClockReading ServedClock::reading(std::uint64_t tsc) noexcept {
  nts::ClockReading reading;
  if (!has_state_) return reading;  // the default says unsynchronised, INIT

  const bool has_jumped_back =
      static_cast<std::int64_t>(latest_tsc_ - tsc) > static_cast<std::int64_t>(jump_back_s * state_.tsc_hz);
  is_void_ = is_void_ || has_jumped_back || !hwclock::is_believable(state_, tsc);
  latest_tsc_ = tsc;
  const bool is_believable = !is_void_;
  reading.precision = static_cast<std::int8_t>(state_.precision);
  const nts::NtpTime now = at(tsc);
  reading.reference = {state_.reference_ntp};
  if (difference(now, reading.reference) < 0) reading.reference = now;
  if (!is_believable || state_.leap == leap_unsynchronised || state_.stratum == 0) {
    reading.reference_id = why_unsynchronised(state_, is_believable);
    return reading;
  }
  reading.leap = static_cast<std::uint8_t>(state_.leap);
  reading.stratum = static_cast<std::uint8_t>(state_.stratum);
  reading.root_delay = nts::short_from_ns_rounded_up(static_cast<std::int64_t>(state_.root_delay_ns));
  reading.root_dispersion = nts::short_from_ns_rounded_up(dispersion_ns_at(tsc, 0));
  reading.reference_id = state_.reference_id;
  return reading;
}

std::int64_t ServedClock::dispersion_ns_at(std::uint64_t tsc, std::uint64_t more_ns) const noexcept {
  constexpr std::uint64_t most = INT64_MAX;
  const std::uint64_t own_ns = hwclock::dispersion_ns_at(state_, tsc);  // at most `most`
  return static_cast<std::int64_t>(own_ns + std::min(more_ns, most - own_ns));
}

nts::MonoRoot ServedClock::mono_root(std::uint64_t tsc) const noexcept {
  nts::MonoRoot root;
  const bool is_time = has_state_ && !is_void_ && state_.leap != leap_unsynchronised && state_.stratum != 0;
  if (!is_time) return root;
  root.root_delay = nts::fine_from_ns_rounded_up(static_cast<std::int64_t>(state_.root_delay_ns));
  root.root_dispersion = nts::fine_from_ns_rounded_up(dispersion_ns_at(tsc, 0));
  if (state_.mono.line.mult != 0) {
    root.received = {hwclock::ntp_at(state_.mono.line, tsc)};
    root.epoch = state_.mono.epoch;
  }
  return root;
}

nts::MonoRoot ServedClock::smeared_mono_root(std::uint64_t tsc) const noexcept {
  const hwclock::ServedSmear& smear = state_.smear;
  if (smear.valid_until == 0) return mono_root(tsc);
  nts::MonoRoot root;
  // Smeared addresses hear nothing of a leap second, so leap 3 is no reason here.
  if (!has_state_ || is_void_ || state_.stratum == 0) return root;
  if (static_cast<std::int64_t>(tsc - smear.valid_until) > 0) return root;
  root.root_delay = nts::fine_from_ns_rounded_up(static_cast<std::int64_t>(state_.root_delay_ns));
  root.root_dispersion = nts::fine_from_ns_rounded_up(dispersion_ns_at(tsc, smear.off_ns));
  return root;
}

nts::ClockReading ServedClock::smeared(const nts::ClockReading& reading, std::uint64_t tsc) const noexcept {
  const hwclock::ServedSmear& smear = state_.smear;
  nts::ClockReading smeared = reading;
  if (!has_state_ || is_void_ || state_.stratum == 0) return smeared;  // as unsynchronised as everybody is
  if (smear.valid_until == 0) {
    if (smeared.leap != leap_unsynchronised) smeared.leap = 0;
    return smeared;
  }
  smeared.reference.units += smeared_at(tsc).units - at(tsc).units;
  if (static_cast<std::int64_t>(tsc - smear.valid_until) > 0) {
    nts::ClockReading unknown;
    unknown.precision = reading.precision;
    unknown.reference = smeared.reference;
    unknown.reference_id = refid_holdover_over;
    return unknown;
  }
  smeared.leap = 0;  // also while UTC inserts its second, and says so
  smeared.stratum = static_cast<std::uint8_t>(state_.stratum);
  smeared.root_delay = nts::short_from_ns_rounded_up(static_cast<std::int64_t>(state_.root_delay_ns));
  smeared.root_dispersion = nts::short_from_ns_rounded_up(dispersion_ns_at(tsc, smear.off_ns));
  smeared.reference_id = smear.reference_id;
  return smeared;
}

}  // namespace dataplane
