#include "hwclock/discipline.h"

#include <algorithm>
#include <cmath>

#include "hwclock/tsc_fit.h"

namespace hwclock {
namespace {

constexpr std::uint32_t leap_unsynchronised = 3;
constexpr double ns_per_s = 1e9;

// The bound is so many standard deviations: room for an oscillator that is not quite the model's, and still
// within ten times the error that is usual. More, while the estimate rests on few pulses.
constexpr double bound_sigmas = 6.0;
constexpr double bound_young = 30.0;
// Reading ticks, and rounding to units of the wire.
constexpr double reading_error_ns = 1.0;

constexpr double pulse_missing_s = 3.5;  // three pulses, and a little
constexpr double numbering_lost_s = 60.0;
constexpr std::uint64_t warmup_pulses = 30;
constexpr std::uint64_t relock_pulses = 3;
constexpr std::uint64_t alarm_outliers = 30;  // in ALARM, so many pulses in a row may begin it all anew
// While nothing is promised (leap 3), a difference beyond this is stepped.
constexpr double unpromised_step_ns = 1'000.0;
// No oscillator changes its rate by more from one second to the next: a larger dispute is the reference's
// fault.
constexpr double jump_max_ppb = 1'000.0;
constexpr std::uint64_t dispute_outliers = 2;
// How long an upstream's view stands when nobody renews it: a few polls of 64 s.
constexpr double fallback_s = 300.0;

template <std::size_t size>
void set_name(char (&name)[size], const char* text) noexcept {
  std::size_t i = 0;
  for (; i + 1 < size && text[i] != '\0'; ++i) name[i] = text[i];
  name[i] = '\0';
}

const char* name_of(State state) noexcept {
  switch (state) {
    case State::locked:
      return "PPS, numbered";
    case State::holdover:
      return "PPS, held over";
    case State::fallback:
      return "upstream, after PPS";
    default:
      return "PPS, not yet or no more";
  }
}

}  // namespace

Discipline::Discipline(std::uint64_t tick_hz, const DisciplinePolicy& policy) noexcept
    : tick_hz_(static_cast<double>(tick_hz)),
      policy_(policy),
      estimator_(tick_hz, policy.pulse_sigma_ns),
      number_(tick_hz),
      served_(tick_hz) {}

double Discipline::seconds_between(std::uint64_t earlier, std::uint64_t later) const noexcept {
  return static_cast<double>(static_cast<std::int64_t>(later - earlier)) / tick_hz_;
}

void Discipline::change_to(State state, std::uint64_t tick) noexcept {
  state_ = state;
  state_since_ = tick;
  accepted_since_ = 0;
}

void Discipline::take_pulse(std::uint64_t tick, double correction_ns) noexcept {
  TaiTime own{};
  bool own_is_good = false;
  if (estimator_.accepted_count() != 0 && number_.mode() != NumberingMode::reset) {
    const Estimate now = estimator_.at(tick);
    own = now.time;
    own_is_good = sigmas() * std::sqrt(now.variance_ns2) < 0.1 * ns_per_s;
  }
  const Numbered numbered = number_.take(Pulse{tick}, own_is_good ? &own : nullptr);
  if (!numbered.is_numbered) return;
  last_pulse_tick_ = tick;
  if (numbered.begins_anew && estimator_.accepted_count() != 0) estimator_.reopen(ns_per_s);
  const Measurement measurement{
      tick, {numbered.tai_s * std::int64_t{1'000'000'000}}, correction_ns, policy_.pulse_sigma_ns};
  judge_pulse(estimator_.take(measurement), tick);
}

void Discipline::take_upstream(const UpstreamView& view) noexcept {
  constexpr std::uint32_t stratum_max = 14;  // ours is one more, and 16 is "unsynchronised"
  upstream_ = view;
  if (upstream_.stratum > stratum_max) upstream_.stratum = 0;
}

void Discipline::judge_pulse(Taken taken, std::uint64_t tick) noexcept {
  if (taken == Taken::refused) return;
  if (taken == Taken::outlier) {
    ++outliers_in_a_row_;
    const double dispute = std::fabs(estimator_.innovation_ns());
    const double since_s = seconds_between(last_accepted_tick_, tick);
    disputed_ns_ = dispute <= jump_max_ppb * since_s ? std::max(disputed_ns_, dispute) : disputed_ns_;
    // Nothing is promised in ALARM, so the reference may have its way: by the whole of the way up again.
    if (state_ == State::alarm && outliers_in_a_row_ >= alarm_outliers) {
      number_.reset();
      outliers_in_a_row_ = 0;
      change_to(State::unsync, tick);
    }
    return;
  }
  // Did the reference come back to us, or did we come to it because too much time had passed to know better?
  if (outliers_in_a_row_ >= dispute_outliers) {
    const bool came_back = std::fabs(estimator_.innovation_ns()) < 0.25 * disputed_ns_;
    yielded_ns_ = came_back ? 0.0 : disputed_ns_;
    dispute_end_tick_ = tick;
  }
  disputed_ns_ = 0.0;
  outliers_in_a_row_ = 0;
  ++accepted_since_;
  last_accepted_tick_ = tick;
  const bool may_rise = state_ == State::unsync || (state_ == State::alarm && !number_.is_contradicted());
  if (may_rise) change_to(State::warmup, tick);
  if ((state_ == State::holdover || state_ == State::fallback) && accepted_since_ >= relock_pulses) {
    change_to(State::locked, tick);
  }
}

double Discipline::sigmas() const noexcept {
  return bound_sigmas *
         (1.0 + bound_young / static_cast<double>(std::max<std::uint64_t>(1, estimator_.accepted_count())));
}

double Discipline::error_after(double seconds) const noexcept {
  return sigmas() * std::sqrt(estimator_.variance_after(seconds)) + reading_error_ns;
}

// Reference and oscillator disagree, and either may be wrong: the bound holds for both.
double Discipline::dispute_ns(std::uint64_t tick) const noexcept {
  if (outliers_in_a_row_ >= dispute_outliers) return disputed_ns_;
  const double since_s = seconds_between(dispute_end_tick_, tick);
  return since_s < static_cast<double>(policy_.dispute_s_max) ? yielded_ns_ : 0.0;
}

// States end by time, by error and by contradiction.
void Discipline::judge(std::uint64_t tick, double error_ns) noexcept {
  const double silent_s = seconds_between(last_accepted_tick_, tick);
  // The receiver names another second than we do. It may come back to reason; if it does not, it may be we
  // who were wrong from the beginning, and all begins anew.
  if (number_.is_contradicted() && state_ != State::unsync) {
    if (state_ != State::alarm) {
      change_to(State::alarm, tick);
    } else if (seconds_between(state_since_, tick) > static_cast<double>(policy_.dispute_s_max)) {
      number_.reset();
      change_to(State::unsync, tick);
    }
    return;
  }
  switch (state_) {
    case State::warmup:
      if (silent_s > numbering_lost_s) {
        number_.reset();
        change_to(State::unsync, tick);
      } else if (accepted_since_ >= warmup_pulses && silent_s < pulse_missing_s &&
                 error_ns < static_cast<double>(policy_.lock_error_max_ns)) {
        change_to(State::locked, tick);
      }
      break;
    case State::locked:
      if (silent_s > pulse_missing_s) change_to(State::holdover, tick);
      break;
    case State::holdover:
    case State::fallback: {
      const bool is_exhausted = error_ns >= static_cast<double>(policy_.holdover_error_max_ns) ||
                                silent_s >= static_cast<double>(policy_.holdover_s_max);
      const bool is_disputed = outliers_in_a_row_ >= policy_.dispute_s_max;
      if (is_disputed || (is_exhausted && upstream_.stratum == 0)) {
        change_to(State::alarm, tick);
      } else if (is_exhausted && state_ == State::holdover) {
        change_to(State::fallback, tick);
      }
      break;
    }
    default:
      break;
  }
}

// How fast the bound may grow until the holdover ends: the steepest line from here to any point of the curve.
// `age_s` is how long ago the estimate had its last measurement.
Discipline::Forecast Discipline::forecast(double error_ns, double rate_error_ppb,
                                          double age_s) const noexcept {
  constexpr double first_s = 0.125;
  constexpr double ratio = 1.5;
  const auto error_max_ns = static_cast<double>(policy_.holdover_error_max_ns);
  const double holdover_s = static_cast<double>(policy_.holdover_s_max) - age_s;
  const double now_ns = error_after(age_s);
  Forecast result{rate_error_ppb, 0.0};
  if (holdover_s <= 0.0 || error_ns >= error_max_ns) return result;
  for (double probe_s = first_s;; probe_s = std::min(probe_s * ratio, holdover_s)) {
    const double slope = std::max(0.0, (error_after(age_s + probe_s) - now_ns) / probe_s);
    result.rate_ppb = std::max(result.rate_ppb, slope + rate_error_ppb);
    if (error_ns + result.rate_ppb * probe_s >= error_max_ns || probe_s >= holdover_s) break;
  }
  result.rate_ppb = std::ceil(result.rate_ppb + 0.01);
  result.seconds = std::min(holdover_s, (error_max_ns - error_ns) / result.rate_ppb);
  return result;
}

Target Discipline::target_at(std::uint64_t tick, std::int32_t tai_minus_utc_s) const noexcept {
  const Estimate now = estimator_.at(tick);
  const std::int64_t utc_ns = now.time.ns - tai_minus_utc_s * std::int64_t{1'000'000'000};
  return {tick, ntp_of_utc(utc_ns), now.fraction_ns, estimator_.ns_per_tick(tick)};
}

ClockState Discipline::publish(std::uint64_t tick) noexcept {
  ClockState state{};
  state.tsc0 = tick;
  state.mult = mult_of(1e9 / tick_hz_);
  state.tsc_hz = static_cast<std::uint64_t>(tick_hz_);
  state.valid_until = tick;
  state.precision = policy_.precision;
  state.leap = leap_unsynchronised;
  state.source = Source::pps;
  if (estimator_.accepted_count() == 0) {
    set_name(state.source_name, name_of(state_));
    return state;  // unsync: there is no time at all
  }

  const double age_s = std::max(0.0, seconds_between(estimator_.last_tick(), tick));
  const double own_error_ns = error_after(age_s) + dispute_ns(tick);
  judge(tick, own_error_ns);
  const bool is_promised = state_ == State::locked || state_ == State::holdover || state_ == State::fallback;

  const TaiTime now = estimator_.at(tick).time;
  const std::int32_t tai_minus_utc_s = tai_minus_utc_at(leap_, now);
  const Target target = target_at(tick, tai_minus_utc_s);
  const bool is_leap = served_.has_line() && tai_minus_utc_s != served_tai_minus_utc_s_;
  const bool may_step = !is_promised || is_leap;
  double off_ns = 0.0;
  if (!served_.has_line() || (may_step && std::fabs(served_.off_ns(target)) > unpromised_step_ns)) {
    served_.step_to(target);
  } else {
    off_ns = served_.bend_to(target);
  }
  served_tai_minus_utc_s_ = tai_minus_utc_s;

  double error_ns = own_error_ns + std::fabs(off_ns);
  if (state_ == State::fallback) {
    const double upstream_ns =
        std::fabs(static_cast<double>(upstream_.offset_ns)) + static_cast<double>(upstream_.distance_ns);
    error_ns = std::min(error_ns, upstream_ns);
  }
  // Should this be the last publication, the line goes on bending, and is wrong by that.
  const double bend_ppb = served_.rate_off_ppb(target);
  const Forecast future = forecast(error_ns, bend_ppb, age_s);

  if (state_ == State::locked || reference_ntp_ == 0)
    reference_ntp_ = ntp_at(served_.line(), last_accepted_tick_);
  state.tsc0 = served_.line().tsc0;
  state.ntp0 = served_.line().ntp0;
  state.mult = served_.line().mult;
  state.reference_ntp = reference_ntp_;
  state.root_delay_ns = static_cast<std::uint64_t>(std::ceil(2.0 * policy_.reference_error_ns));
  state.dispersion_rate_ppb = static_cast<std::uint64_t>(std::max(1.0, future.rate_ppb));
  // The line may have begun a while ago; the error is `error_ns` now.
  const double grown_ns = static_cast<double>(state.dispersion_rate_ppb) * seconds_between(state.tsc0, tick);
  state.dispersion0_ns =
      static_cast<std::uint64_t>(std::ceil(std::clamp(error_ns - grown_ns, 0.0, 16.0 * ns_per_s)));
  state.step_count = served_.step_count();
  state.state = state_;
  state.tai_minus_utc_s = tai_minus_utc_s;
  set_name(state.source_name, name_of(state_));
  if (!is_promised) return state;
  state.leap = leap_indicator_at(leap_, now);
  state.stratum = state_ == State::fallback ? upstream_.stratum + 1 : 1;
  state.reference_id = state_ == State::fallback ? upstream_.reference_id : policy_.reference_id;
  state.valid_until =
      tick + static_cast<std::uint64_t>((state_ == State::fallback ? fallback_s : future.seconds) * tick_hz_);
  return state;
}

}  // namespace hwclock
