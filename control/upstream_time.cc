#include "control/upstream_time.h"

#include "control/gnss_time.h"
#include "control/log.h"
#include "control/query_report.h"
#include "hwclock/calendar.h"

namespace control {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t ns_per_us = 1000;
constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t year_s = 31'556'952;  // on average

bool may_end_with_leap(std::int64_t midnight_utc_s) {
  const int year = 1970 + static_cast<int>(midnight_utc_s / year_s);
  for (int one = year - 1; one <= year + 1; ++one) {
    for (const int month : {1, 7}) {
      if (hwclock::utc_seconds_of({one, month, 1, 0, 0, 0}) == midnight_utc_s) return true;
    }
  }
  return false;
}

}  // namespace

hwclock::UpstreamClockPolicy upstream_policy(const Config::Clock& clock, std::int32_t precision) {
  hwclock::UpstreamClockPolicy policy;
  policy.error_ns_max = clock.upstream_max_error_us * ns_per_us;
  policy.drift_ppb = clock.drift_ppb;
  policy.precision = precision;
  return policy;
}

std::optional<hwclock::LeapPlan> announced_leap(const hwclock::UpstreamPanel& panel, std::int64_t utc_s,
                                                std::int32_t tai_minus_utc_s) {
  std::size_t answering = 0;
  std::size_t inserting = 0;
  std::size_t removing = 0;
  for (std::size_t i = 0; i < panel.size(); ++i) {
    const hwclock::UpstreamMember& member = panel.member(i);
    if (!member.has_news || member.reach == 0) continue;
    ++answering;
    inserting += member.leap == 1 ? 1 : 0;
    removing += member.leap == 2 ? 1 : 0;
  }
  const bool inserts = 2 * inserting > answering;
  const std::int64_t midnight_utc_s = (utc_s / day_s + 1) * day_s;
  if ((!inserts && 2 * removing <= answering) || !may_end_with_leap(midnight_utc_s)) return std::nullopt;
  hwclock::LeapPlan plan;
  plan.tai_minus_utc_s = tai_minus_utc_s;
  plan.change_s = inserts ? 1 : -1;
  plan.change_tai_s = midnight_utc_s + tai_minus_utc_s + plan.change_s;
  return plan;
}

UpstreamTime::UpstreamTime(const Config& config, const hwclock::UpstreamPanel& panel, std::uint64_t tsc_hz,
                           std::int32_t precision, const std::optional<hwclock::ClockState>& left_behind)
    : config_(config),
      panel_(panel),
      leaps_(leap_table_of(config.gnss.leap_seconds, hwclock::written_utc_s, leap_warning_)),
      clock_(tsc_hz, upstream_policy(config.clock, precision)),
      left_behind_(left_behind) {
  if (!leap_warning_.empty()) log(Severity::warning, leap_warning_);
}

// A table knows the second years ahead, and the servers may all be wrong; but an old table knows nothing.
void UpstreamTime::plan_leap(std::int64_t utc_s) {
  hwclock::LeapPlan plan = leaps_.plan_around(utc_s + leaps_.plan_at(utc_s).tai_minus_utc_s);
  if (plan.change_s == 0) plan = announced_leap(panel_, utc_s, plan.tai_minus_utc_s).value_or(plan);
  clock_.set_leap(plan);
}

void UpstreamTime::hear(std::size_t index, std::uint64_t tick) {
  const hwclock::UpstreamMember& member = panel_.member(index);
  if (!clock_.has_time() && member.has_news) plan_leap(member.news.utc_ns / ns_per_s);
  clock_.take(panel_, index, tick);
}

hwclock::ClockState UpstreamTime::pass(std::uint64_t tick) {
  now_tick_ = tick;
  if (clock_.has_time()) {
    const std::int64_t tai_s = clock_.at(tick).ns / ns_per_s;
    plan_leap(tai_s - leaps_.plan_around(tai_s).tai_minus_utc_s);
  }
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
