#include "control/upstream_time.h"

#include "control/gnss_time.h"
#include "control/log.h"
#include "control/query_report.h"
#include "hwclock/calendar.h"

namespace control {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t ns_per_us = 1000;

}  // namespace

hwclock::UpstreamClockPolicy upstream_policy(const Config::Clock& clock, std::int32_t precision) {
  hwclock::UpstreamClockPolicy policy;
  policy.error_ns_max = clock.upstream_max_error_us * ns_per_us;
  policy.drift_ppb = clock.drift_ppb;
  policy.precision = precision;
  return policy;
}

UpstreamTime::UpstreamTime(const Config& config, const hwclock::UpstreamPanel& panel, std::uint64_t tsc_hz,
                           std::int32_t precision, const std::optional<hwclock::ClockState>& left_behind,
                           bool holds_over)
    : config_(config),
      panel_(panel),
      leaps_(leap_table_of(config.gnss.leap_seconds, hwclock::written_utc_s, leap_warning_)),
      clock_(tsc_hz, upstream_policy(config.clock, precision)),
      left_behind_(holds_over ? left_behind : std::nullopt) {
  if (!leap_warning_.empty()) log(Severity::warning, leap_warning_);
  if (!left_behind) return;
  learned_ = hwclock::change_left_behind(*left_behind, leaps_);
  if (learned_ && !leaps_.learn(*learned_)) learned_.reset();
}

// A table knows the second years ahead, and the servers may all be wrong; but an old table knows nothing.
void UpstreamTime::plan_leap(std::int64_t tai_s) {
  plan_ = leaps_.plan_around(tai_s);
  if (plan_.change_s == 0) {
    plan_ = announced_.hear(panel_, tai_s, plan_.tai_minus_utc_s).value_or(plan_);
    // Who has not locked yet may have heard the wrong ones.
    const bool is_sure =
        clock_.state() == hwclock::State::locked || clock_.state() == hwclock::State::holdover;
    if (is_sure && hwclock::is_decided(plan_, tai_s) && leaps_.learn(plan_)) {
      learned_ = plan_;
      log(Severity::notice, std::string("the upstreams announced a leap second that the table does not know: "
                                        "TAI minus UTC becomes ") +
                                std::to_string(plan_.tai_minus_utc_s + plan_.change_s) + " s");
    }
  }
  clock_.set_leap(plan_);
}

void UpstreamTime::hear(std::size_t index, std::uint64_t tick) {
  const hwclock::UpstreamMember& member = panel_.member(index);
  if (!clock_.has_time() && member.has_news) {
    const std::int64_t utc_s = member.news.utc_ns / ns_per_s;
    plan_leap(utc_s + leaps_.plan_at(utc_s).tai_minus_utc_s);
  }
  clock_.take(panel_, index, tick);
}

hwclock::ClockState UpstreamTime::pass(std::uint64_t tick) {
  now_tick_ = tick;
  if (clock_.has_time()) plan_leap(clock_.at(tick).ns / ns_per_s);
  state_ = clock_.publish(panel_, tick);
  if (!left_behind_) return state_;
  const bool is_over = !hwclock::is_believable(*left_behind_, tick);
  if (state_.leap == 3 && !is_over) return hwclock::held_over(*left_behind_, tick);
  if (!is_over) {
    const hwclock::ClockState& before = *left_behind_;
    clock_.continue_from({before.tsc0, before.ntp0, before.mult}, before.step_count, tick, true);
    state_ = clock_.publish(panel_, tick);
  }
  left_behind_.reset();
  return state_;
}

void UpstreamTime::continue_from(const hwclock::ClockState& served, std::uint64_t tick) {
  left_behind_.reset();
  clock_.continue_from({served.tsc0, served.ntp0, served.mult}, served.step_count, tick, served.leap != 3);
}

std::string UpstreamTime::sentence() const {
  if (left_behind_)
    return "holding over what an earlier run served, until the upstreams have answered this one";
  const std::string error = text_of_duration(
      static_cast<std::int64_t>(hwclock::dispersion_ns_at(state_, now_tick_) + state_.root_delay_ns / 2));
  const std::string who = clock_.leader() && *clock_.leader() < config_.upstreams.size()
                              ? config_.upstreams[*clock_.leader()].host
                              : "nobody";
  const std::string why = clock_.is_contradicted() ? "the upstreams contradict what is served"
                                                   : "no upstreams answer that agree with each other";
  switch (clock_.state()) {
    case hwclock::State::locked:
      return "synchronised to upstreams, " + who + " before all, good to " + error;
    case hwclock::State::holdover:
      return "holdover: " + why + "; good to " + error + " and getting worse";
    case hwclock::State::warmup:
      return "warming up: some upstreams agree, the others are waited for";
    case hwclock::State::alarm:
      return "alarm: " + why + "; the time is served as unsynchronised";
    default:
      return "unsynchronised: " + why + "; `noonmark upstreams` says what each is at";
  }
}

}  // namespace control
