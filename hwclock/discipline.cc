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
constexpr std::uint64_t recalled_warmup_pulses = 10;  // that agree with what was remembered
constexpr std::uint64_t relock_pulses = 3;
constexpr std::uint64_t alarm_outliers = 30;  // in ALARM, so many pulses in a row may begin it all anew
// No oscillator changes its rate by more from one second to the next: a larger dispute is the reference's
// fault.
constexpr double jump_max_ppb = 1'000.0;
constexpr std::uint64_t dispute_outliers = 2;
// Of what was disputed: nearer than this, the reference agrees with us again.
constexpr double came_back_part = 0.25;
// A jump in phase after a silence moves a filter's rate by so much of jump over silence: 3/2 for a walk.
constexpr double yielded_rate_part = 1.5;

const char* name_of(State state) noexcept {
  switch (state) {
    case State::locked:
      return "PPS, numbered";
    case State::holdover:
      return "PPS, held over";
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

double Discipline::sigma_with(double placing_ns) const noexcept {
  return std::hypot(policy_.pulse_sigma_ns, placing_ns);
}

void Discipline::take_pulse(std::uint64_t tick, double correction_ns, double placing_ns) noexcept {
  // What is promised follows nobody who is contradicted; what is not may, to see where that leads.
  if (is_contradicted_ && is_promised()) return;
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
  if (numbered.begins_anew && estimator_.accepted_count() != 0) give_in(tick);
  const Measurement measurement{
      tick, {numbered.tai_s * std::int64_t{1'000'000'000}}, correction_ns, sigma_with(placing_ns)};
  judge_pulse(estimator_.take(measurement), tick);
}

void Discipline::take_sample(std::uint64_t tick, TaiTime reference, double placing_ns) noexcept {
  if (is_contradicted_ && is_promised()) return;
  last_pulse_tick_ = tick;
  // ALARM gave in: the reference may be anywhere, and is right.
  if (state_ == State::unsync && estimator_.accepted_count() != 0) give_in(tick);
  judge_pulse(estimator_.take({tick, reference, 0.0, sigma_with(placing_ns)}), tick);
}

// The reference is right, wherever it is. Perhaps the oscillator was knocked, and runs at another rate since.
void Discipline::give_in(std::uint64_t tick) noexcept {
  constexpr double rate_most_ppb = 1e5;
  const double dispute = std::fabs(estimator_.innovation_ns());
  const double since_s = std::max(1.0, seconds_between(last_accepted_tick_, tick));
  estimator_.reopen(std::max(ns_per_s, dispute), std::min(rate_most_ppb, 2.0 * dispute / since_s));
}

void Discipline::take_testimony(bool contradicts, double wrong_by_ns, std::uint64_t tick) noexcept {
  if (contradicts && !is_contradicted_) contradicted_since_ = tick;
  is_contradicted_ = contradicts;
  contradiction_ns_ = contradicts ? wrong_by_ns : 0.0;
}

void Discipline::judge_pulse(Taken taken, std::uint64_t tick) noexcept {
  if (taken == Taken::refused) return;
  if (taken == Taken::outlier) {
    ++outliers_in_a_row_;
    ++outlier_count_;
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
  // It came back if it did so while we could still have told the difference.
  if (outliers_in_a_row_ >= dispute_outliers) {
    const bool came_back = std::fabs(estimator_.innovation_ns()) < came_back_part * disputed_ns_ &&
                           estimator_.innovation_sigma_ns() < came_back_part / 2.0 * disputed_ns_;
    if (!came_back) {
      const double since_s = std::max(1.0, seconds_between(last_accepted_tick_, tick));
      yielded_ns_ = std::max(yielded_ns(tick), disputed_ns_);
      // A line through what was known before and the pulse that was believed: its rate is wrong if that is.
      yielded_rate_ppb_ = std::max(yielded_rate_ppb(tick), yielded_rate_part * disputed_ns_ / since_s);
      dispute_end_tick_ = tick;
    }
  }
  disputed_ns_ = 0.0;
  outliers_in_a_row_ = 0;
  ++accepted_since_;
  last_accepted_tick_ = tick;
  const bool may_rise =
      state_ == State::unsync || (state_ == State::alarm && !number_.is_contradicted() && !is_contradicted_);
  if (may_rise) change_to(State::warmup, tick);
  if (state_ == State::holdover && accepted_since_ >= relock_pulses) change_to(State::locked, tick);
}

double Discipline::sigmas() const noexcept {
  return bound_sigmas *
         (1.0 + bound_young / static_cast<double>(std::max<std::uint64_t>(1, estimator_.accepted_count())));
}

double Discipline::error_after(double seconds) const noexcept {
  return sigmas() * std::sqrt(estimator_.variance_after(seconds)) + reading_error_ns;
}

bool Discipline::has_yielded(std::uint64_t tick) const noexcept {
  return seconds_between(dispute_end_tick_, tick) < static_cast<double>(policy_.dispute_s_max);
}

// While pulses are taken they hold us to where the reference is; when they are not, the rate counts too.
double Discipline::yielded_ns(std::uint64_t tick) const noexcept {
  return has_yielded(tick) ? yielded_ns_ + yielded_rate_ppb(tick) * seconds_between(last_accepted_tick_, tick)
                           : 0.0;
}

double Discipline::yielded_rate_ppb(std::uint64_t tick) const noexcept {
  return has_yielded(tick) ? yielded_rate_ppb_ : 0.0;
}

// Reference and oscillator disagree, and either may be wrong: the bound holds for both.
double Discipline::dispute_ns(std::uint64_t tick) const noexcept {
  return std::max(outliers_in_a_row_ >= dispute_outliers ? disputed_ns_ : 0.0, yielded_ns(tick));
}

double Discipline::error_ns(std::uint64_t tick) const noexcept {
  const double age_s = std::max(0.0, seconds_between(estimator_.last_tick(), tick));
  return error_after(age_s) + dispute_ns(tick) + policy_.reference_error_ns + window_error_ns_;
}

// Pulses that were taken before a memory was refuted have taught nothing.
bool Discipline::is_warm() const noexcept {
  const bool is_recalled = estimator_.memory_fate() == MemoryFate::confirmed;
  return std::min(accepted_since_, estimator_.accepted_count()) >=
         (is_recalled ? recalled_warmup_pulses : warmup_pulses);
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
      } else if (is_warm() && silent_s < pulse_missing_s && !is_contradicted_ &&
                 error_ns < static_cast<double>(policy_.lock_error_max_ns)) {
        change_to(State::locked, tick);
      }
      break;
    case State::locked:
      if (silent_s > pulse_missing_s || is_contradicted_) change_to(State::holdover, tick);
      break;
    case State::holdover: {
      const bool is_exhausted = error_ns >= static_cast<double>(policy_.holdover_error_max_ns) ||
                                silent_s >= static_cast<double>(policy_.holdover_s_max);
      const bool is_disputed = outliers_in_a_row_ >= policy_.dispute_s_max ||
                               (is_contradicted_ && seconds_between(contradicted_since_, tick) >
                                                        static_cast<double>(policy_.dispute_s_max));
      if (is_disputed || is_exhausted) change_to(State::alarm, tick);
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
  constexpr double ratio = 2.0;
  const auto error_max_ns = static_cast<double>(policy_.holdover_error_max_ns);
  const double holdover_s = static_cast<double>(policy_.holdover_s_max) - age_s;
  const double sigma_count = sigmas();
  const double now_ns = sigma_count * std::sqrt(estimator_.variance_after(age_s));
  Forecast result{rate_error_ppb, 0.0};
  if (holdover_s <= 0.0 || error_ns >= error_max_ns) return result;
  for (double probe_s = first_s;; probe_s = std::min(probe_s * ratio, holdover_s)) {
    const double then_ns = sigma_count * std::sqrt(estimator_.variance_after(age_s + probe_s));
    const double slope = std::max(0.0, (then_ns - now_ns) / probe_s);
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

void Discipline::continue_from(const Line& line, std::uint64_t step_count, std::uint64_t tick) noexcept {
  served_.resume(line, step_count, tick);
  if (estimator_.accepted_count() == 0) return;
  const Target target = target_at(tick, tai_minus_utc_at(leap_, estimator_.at(tick).time));
  if (std::fabs(served_.off_ns(target)) > static_cast<double>(step_limit_ns)) served_.step_to(target);
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
    set_source_name(state, name_of(state_));
    return state;  // unsync: there is no time at all
  }

  const double age_s = std::max(0.0, seconds_between(estimator_.last_tick(), tick));
  const double model_error_ns = error_after(age_s);
  const double own_error_ns = model_error_ns + dispute_ns(tick);
  judge(tick, own_error_ns);

  const TaiTime now = estimator_.at(tick).time;
  const std::int32_t tai_minus_utc_s = tai_minus_utc_at(leap_, now);
  const Target target = target_at(tick, tai_minus_utc_s);
  const bool is_other = served_.has_line() && tai_minus_utc_s != served_tai_minus_utc_s_;
  // Only a leap second that was on its way may move what is promised; who changes his mind is not believed.
  const bool is_leap = is_other && tai_minus_utc_s == tai_minus_utc_at(foreseen_leap_, now);
  if (is_other && !is_leap && is_promised()) change_to(State::alarm, tick);
  foreseen_leap_ = leap_;
  const bool may_step = !is_promised() || is_leap;
  double off_ns = 0.0;
  if (!served_.has_line() ||
      (may_step && std::fabs(served_.off_ns(target)) > ServedLine::unpromised_step_ns)) {
    served_.step_to(target);
  } else {
    off_ns = served_.bend_to(target);
  }
  served_tai_minus_utc_s_ = tai_minus_utc_s;

  // Contradicted, either side may be right.
  const double error_ns = std::max(own_error_ns, contradiction_ns_) + std::fabs(off_ns);
  // Should this be the last publication, the line goes on bending, and is wrong by that.
  const double bend_ppb = served_.rate_off_ppb(target) + yielded_rate_ppb(tick);
  // What somebody else says makes the bound larger; how long it may stand is then the states' to decide.
  const Forecast future = forecast(model_error_ns + std::fabs(off_ns), bend_ppb, age_s);
  const double rate_ppb = std::max(1.0, future.rate_ppb);
  // The dispersion is that at the line's beginning, and no less than none: a line that began long ago would
  // make the bound larger than it is.
  if (rate_ppb * seconds_between(served_.line().tsc0, tick) > error_ns) served_.renew(tick);

  if (state_ == State::locked || reference_ntp_ == 0)
    reference_ntp_ = ntp_at(served_.line(), last_accepted_tick_);
  state.tsc0 = served_.line().tsc0;
  state.ntp0 = served_.line().ntp0;
  state.mult = served_.line().mult;
  state.reference_ntp = reference_ntp_;
  state.root_delay_ns =
      static_cast<std::uint64_t>(std::ceil(2.0 * (policy_.reference_error_ns + window_error_ns_)));
  state.dispersion_rate_ppb = static_cast<std::uint64_t>(rate_ppb);
  // The line may have begun a while ago; the error is `error_ns` now.
  const double grown_ns = static_cast<double>(state.dispersion_rate_ppb) * seconds_between(state.tsc0, tick);
  state.dispersion0_ns =
      static_cast<std::uint64_t>(std::ceil(std::clamp(error_ns - grown_ns, 0.0, 16.0 * ns_per_s)));
  state.step_count = served_.step_count();
  state.state = state_;
  state.tai_minus_utc_s = tai_minus_utc_s;
  set_source_name(state, name_of(state_));
  state.mono.line.mult = mult_of(target.ns_per_tick);
  if (!is_promised()) return state;
  state.leap = leap_indicator_at(leap_, now);
  state.stratum = 1;
  state.reference_id = policy_.reference_id;
  // What a second is, as far as the pulses have taught.
  state.tsc_hz = static_cast<std::uint64_t>(std::llround(ns_per_s / target.ns_per_tick));
  double seconds = future.seconds;
  if (is_contradicted_) {
    const double left_s =
        static_cast<double>(policy_.dispute_s_max) - seconds_between(contradicted_since_, tick);
    seconds = std::clamp(left_s, 0.0, seconds);
  }
  state.valid_until = tick + static_cast<std::uint64_t>(seconds * tick_hz_);
  return state;
}

}  // namespace hwclock
