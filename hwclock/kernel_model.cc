#include "hwclock/kernel_model.h"

#include <algorithm>
#include <cmath>

#include "hwclock/served_line.h"

namespace hwclock {
namespace {

constexpr std::uint32_t leap_unsynchronised = 3;

std::uint32_t leap_on_the_wire(KernelLeap leap) noexcept {
  if (leap == KernelLeap::insert) return 1;
  return leap == KernelLeap::remove ? 2 : 0;
}

// Ticks until `room_ns` of error are used up at `rate_ppb`, rounded down.
std::uint64_t ticks_until(std::uint64_t room_ns, std::uint64_t rate_ppb, std::uint64_t tsc_hz) noexcept {
  const Int128 ticks =
      static_cast<Int128>(room_ns) * static_cast<Int128>(tsc_hz) / static_cast<Int128>(rate_ppb);
  return static_cast<std::uint64_t>(std::min(ticks, static_cast<Int128>(INT64_MAX / 2)));
}

}  // namespace

std::int32_t precision_of(double width_ns) noexcept {
  const double log2_s = std::ceil(std::log2(std::max(width_ns, 0.25) / 1e9));
  return static_cast<std::int32_t>(std::min(log2_s, 0.0));
}

Verdict KernelModel::verdict_of(const KernelReport& report, std::uint64_t error_ns) const noexcept {
  if (policy_.source != Source::local) {
    if (!report.is_synchronised) return Verdict::kernel_unsynchronised;
    if (report.leap == KernelLeap::in_progress) return Verdict::leap_in_progress;
  }
  if (error_ns >= policy_.error_max_ns) return Verdict::error_too_large;
  return policy_.source == Source::local ? Verdict::declared : Verdict::synchronised;
}

Judgement KernelModel::judge(const Fitted& fitted, std::uint64_t tsc_hz,
                             const KernelReport& report) noexcept {
  const bool is_local = policy_.source == Source::local;
  const std::uint64_t error_ns = fitted.error_ns + (is_local ? 0 : report.max_error_ns);
  const Verdict verdict = verdict_of(report, error_ns);
  const bool is_good = verdict == Verdict::synchronised || verdict == Verdict::declared;

  // Last corrected (P41): a local clock by this very reading, the kernel's when its daemon last spoke. While
  // nobody is believed it stands still, so that people see how stale it is.
  const bool has_news =
      is_local || !was_good_ || fitted.stepped || report.max_error_ns < max_error_before_ns_;
  if (is_good && has_news) reference_ntp_ = ntp_at(fitted.line, fitted.read_tsc);
  was_good_ = is_good;
  max_error_before_ns_ = report.max_error_ns;

  ClockState state{};
  state.tsc0 = fitted.line.tsc0;
  state.ntp0 = fitted.line.ntp0;
  state.mult = fitted.line.mult;
  state.tsc_hz = tsc_hz;
  state.reference_ntp = reference_ntp_;
  state.dispersion0_ns = error_ns;
  state.dispersion_rate_ppb = policy_.drift_ppb + fitted.rate_error_ppb;
  state.step_count = fitted.step_count;
  if (fitted.settled_ns_per_tick > 0.0) state.mono.line.mult = mult_of(fitted.settled_ns_per_tick);
  state.source = policy_.source;
  state.precision = precision_;
  state.tai_minus_utc_s = report.tai_minus_utc_s;
  set_source_name(state, is_local ? "local (declared, not synced)" : "system (the kernel's clock)");
  state.valid_until = state.tsc0;
  if (!is_good) {
    state.state = State::unsync;
    state.leap = leap_unsynchronised;
    return {state, verdict, error_ns};
  }
  state.state = is_local ? State::local : State::locked;
  state.valid_until += ticks_until(policy_.error_max_ns - error_ns, state.dispersion_rate_ppb, tsc_hz);
  state.leap = is_local ? 0 : leap_on_the_wire(report.leap);
  state.stratum = policy_.stratum;
  state.reference_id = is_local || policy_.stratum == 1 ? policy_.reference_id : reference_id_this_host;
  return {state, verdict, error_ns};
}

}  // namespace hwclock
