#include "hwclock/upstream_clock.h"

#include <algorithm>
#include <cmath>

#include "hwclock/tsc_fit.h"

namespace hwclock {
namespace {

constexpr std::uint32_t leap_unsynchronised = 3;
constexpr std::int64_t ns_per_s_whole = 1'000'000'000;
constexpr double ns_per_s = 1e9;

// Before it is learned, a crystal's rate may be off by so much (one sigma), the kernel's calibration
// included.
constexpr double crystal_ppb = 50'000.0;
constexpr double prior_sigma_min_ppb = 1'000.0;  // and later, when it begins anew
constexpr double rate_sigmas = 3.0;
// What a sample scatters by at least: reading stamps, and an eighth of the delay.
constexpr double noise_floor_ns = 1'000.0;
constexpr double noise_delay_part = 1.0 / 8.0;
// So many of the newest points on one side of the line, and far from it: the rate has changed.
constexpr std::size_t bent_points = 4;
constexpr double bent_sigmas = 2.0;
constexpr std::size_t points_kept_min = 8;

constexpr double warmup_s = 30.0;  // how long those are waited for that have not said anything yet
// A filter whose eight stages are full: each that is missing counts for seconds (RFC 5905 section 10).
constexpr std::uint64_t settled_ns = 50'000'000;
constexpr double dispute_s = 300.0;  // how long a contradiction is held over

const char* name_of(State state) noexcept {
  switch (state) {
    case State::locked:
      return "upstream servers";
    case State::holdover:
      return "upstream servers, held over";
    default:
      return "upstream, not yet or no more";
  }
}

bool is_promised(State state) noexcept { return state == State::locked || state == State::holdover; }

}  // namespace

UpstreamClock::UpstreamClock(std::uint64_t tick_hz, const UpstreamClockPolicy& policy) noexcept
    : tick_hz_(static_cast<double>(tick_hz)),
      policy_(policy),
      served_(tick_hz),
      rate_sigma_ppb_(crystal_ppb),
      since_leap_(tick_hz) {}

double UpstreamClock::seconds_between(std::uint64_t earlier, std::uint64_t later) const noexcept {
  return static_cast<double>(static_cast<std::int64_t>(later - earlier)) / tick_hz_;
}

double UpstreamClock::seconds_at(std::uint64_t tick) const noexcept {
  return seconds_between(begin_tick_, tick);
}

TaiTime UpstreamClock::at(std::uint64_t tick) const noexcept {
  const auto ticks = static_cast<long double>(static_cast<std::int64_t>(tick - begin_tick_));
  const long double nominal_ns = ticks * 1e9L / static_cast<long double>(tick_hz_);
  return {begin_tai_ns_ + std::llround(nominal_ns + static_cast<long double>(off_at(seconds_at(tick))))};
}

// In UTC, as the news are.
ClockGuess UpstreamClock::guess_at(std::uint64_t tick) const noexcept {
  const TaiTime now = at(tick);
  return {tick, now.ns - tai_minus_utc_at(leap_, now) * ns_per_s_whole,
          (1.0 + rate_ppb_ * 1e-9) * ns_per_s / tick_hz_};
}

double UpstreamClock::growth_ppb() const noexcept {
  return static_cast<double>(policy_.drift_ppb) + rate_sigmas * rate_sigma_ppb_;
}

double UpstreamClock::held_error_ns(std::uint64_t tick) const noexcept {
  return error_ns_ + growth_ppb() * std::max(0.0, seconds_between(error_tick_, tick));
}

// Their bounds and ours have no point in common.
bool UpstreamClock::contradicts(const PanelView& view, std::uint64_t tick) const noexcept {
  if (!is_promised(state_) || view.vote.agreeing == 0) return false;
  const auto error_ns = std::llround(held_error_ns(tick)) + static_cast<std::int64_t>(root_delay_ns_ / 2);
  return view.vote.low_ns > error_ns || view.vote.high_ns < -error_ns;
}

void UpstreamClock::begin(const UpstreamNews& news) noexcept {
  begin_tick_ = news.tick;
  begin_tai_ns_ = news.utc_ns + tai_minus_utc_at_utc(leap_, news.utc_ns / ns_per_s_whole) * ns_per_s_whole;
  since_leap_.see(static_cast<std::int32_t>((begin_tai_ns_ - news.utc_ns) / ns_per_s_whole), news.tick);
  off_ns_ = rate_ppb_ = prior_ppb_ = 0.0;
  rate_sigma_ppb_ = prior_sigma_ppb_ = crystal_ppb;
  point_count_ = 0;
  has_time_ = true;
}

// The majority is right, wherever it is. The rate is the oscillator's and goes on.
void UpstreamClock::begin_anew(std::int64_t offset_ns) noexcept {
  off_ns_ += static_cast<double>(offset_ns);
  if (is_promised(state_) || state_ == State::alarm) {
    prior_ppb_ = rate_ppb_;
    prior_sigma_ppb_ = std::max(rate_sigma_ppb_, prior_sigma_min_ppb);
  }
  point_count_ = 0;
}

void UpstreamClock::take(const UpstreamPanel& panel, std::size_t index, std::uint64_t tick) noexcept {
  const UpstreamPanel heard = since_leap_.of(panel);
  if (index >= heard.size() || !heard.member(index).has_news) return;
  const UpstreamMember& member = heard.member(index);
  if (member.news.tick == heard_tick_[index]) return;  // the same sample still speaks
  if (!has_time_) {
    begin(member.news);
    if (!heard.against(guess_at(tick)).leader) {
      has_time_ = false;  // nobody yet whom we would follow
      return;
    }
  }
  if (leap_indicator_at(leap_, at(tick)) == leap_unsynchronised) return;
  const PanelView view = heard.against(guess_at(tick));
  if (!view.leader || (view.vote.members >> index & 1) == 0 || contradicts(view, tick)) return;
  heard_tick_[index] = member.news.tick;
  const bool is_elsewhere = view.vote.low_ns > 0 || view.vote.high_ns < 0;
  if (is_elsewhere) begin_anew(view.vote.offset_ns);
  // While a filter fills, the majority may change with every sample: no line goes through that.
  if (member.news.dispersion_ns >= settled_ns) return;
  add_point(member, view.vote.offset_ns - view.claims[index].offset_ns);
}

// What all together say, at the tick at which this one said what it did.
void UpstreamClock::add_point(const UpstreamMember& member, std::int64_t shift_ns) noexcept {
  if (point_count_ == points_max) drop_points(1);
  const ClockGuess ours = guess_at(member.news.tick);
  const double seconds = seconds_at(member.news.tick);
  const auto theirs_ns = static_cast<double>(member.news.utc_ns + shift_ns - ours.ns);
  const Point point{seconds, off_at(seconds) + theirs_ns};
  // Several servers answer at about the same time, and not in the order of their samples.
  std::size_t place = point_count_;
  while (place > 0 && points_[place - 1].seconds > seconds) {
    points_[place] = points_[place - 1];
    --place;
  }
  points_[place] = point;
  ++point_count_;
  fit(std::max({noise_floor_ns, static_cast<double>(member.news.delay_ns) * noise_delay_part,
                static_cast<double>(member.news.jitter_ns)}));
}

void UpstreamClock::drop_points(std::size_t count) noexcept {
  std::move(points_.begin() + static_cast<std::ptrdiff_t>(count),
            points_.begin() + static_cast<std::ptrdiff_t>(point_count_), points_.begin());
  point_count_ -= count;
}

// Least squares with a prior on the rate: without evidence it is what it was thought to be.
void UpstreamClock::fit(double noise_ns) noexcept {
  for (;;) {
    const auto count = static_cast<double>(point_count_);
    double mean_s = 0.0;
    double mean_ns = 0.0;
    for (std::size_t i = 0; i < point_count_; ++i) {
      mean_s += points_[i].seconds / count;
      mean_ns += points_[i].off_ns / count;
    }
    double square = 0.0;
    double product = 0.0;
    for (std::size_t i = 0; i < point_count_; ++i) {
      const double from_mean_s = points_[i].seconds - mean_s;
      square += from_mean_s * from_mean_s;
      product += from_mean_s * (points_[i].off_ns - mean_ns);
    }
    const double prior = noise_ns * noise_ns / (prior_sigma_ppb_ * prior_sigma_ppb_);
    const double rate_ppb = (product + prior * prior_ppb_) / (square + prior);
    double squares = 0.0;
    for (std::size_t i = 0; i < point_count_; ++i) {
      const double miss = points_[i].off_ns - mean_ns - rate_ppb * (points_[i].seconds - mean_s);
      squares += miss * miss;
    }
    const double scatter_ns =
        point_count_ > 2 ? std::max(noise_ns, std::sqrt(squares / (count - 2.0))) : noise_ns;
    std::size_t bent = 0;
    double side = 0.0;
    for (std::size_t i = point_count_; i > 0; --i, ++bent) {
      const double miss = points_[i - 1].off_ns - mean_ns - rate_ppb * (points_[i - 1].seconds - mean_s);
      if (std::fabs(miss) < bent_sigmas * noise_ns || miss * side < 0.0) break;
      side = miss;
    }
    if (bent >= bent_points && point_count_ > points_kept_min) {
      drop_points(point_count_ / 2);
      continue;
    }
    rate_ppb_ = rate_ppb;
    off_ns_ = mean_ns - rate_ppb * mean_s;
    rate_sigma_ppb_ = scatter_ns / std::sqrt(square + prior);
    return;
  }
}

// With a leader the error is its, and how far we are from it; without one it grows.
void UpstreamClock::measure_error(const UpstreamPanel& panel, const PanelView& view,
                                  std::uint64_t tick) noexcept {
  if (!view.leader || is_contradicted_) return;
  const UpstreamMember& leader = panel.member(*view.leader);
  const ClockGuess ours = guess_at(tick);
  const std::int64_t age_ns = std::max<std::int64_t>(0, ours.ns - ours.at(leader.news.newest_tick));
  leader_ = view.leader;
  stratum_ = leader.stratum + 1;
  reference_id_ = leader.reference_id;
  root_delay_ns_ = leader.news.root_delay_ns + leader.news.delay_ns;
  const double leaders_ns = static_cast<double>(dispersion_ns_after(leader.news, age_ns)) +
                            std::fabs(static_cast<double>(view.claims[*view.leader].offset_ns));
  const double spread_ns =
      static_cast<double>(view.spread_ns.value_or(0)) - static_cast<double>(root_delay_ns_) / 2.0;
  error_ns_ =
      std::max(leaders_ns, spread_ns) + rate_sigmas * rate_sigma_ppb_ * static_cast<double>(age_ns) * 1e-9;
  error_tick_ = tick;
  reference_tick_ = leader.news.newest_tick;
}

void UpstreamClock::change_to(State state, std::uint64_t tick) noexcept {
  state_ = state;
  state_since_ = tick;
}

void UpstreamClock::judge(const UpstreamPanel& panel, const PanelView& view, std::uint64_t tick,
                          double error_ns) noexcept {
  bool is_reached = false;
  for (std::size_t i = 0; i < panel.size(); ++i)
    is_reached = is_reached || ((view.vote.members >> i & 1) != 0 && panel.member(i).reach != 0);
  const bool has_voice = view.leader.has_value() && !is_contradicted_ && is_reached;
  const bool is_good = error_ns < static_cast<double>(policy_.error_ns_max);
  switch (state_) {
    case State::locked:
    case State::holdover:
      if (!is_good || (is_contradicted_ && seconds_between(contradicted_since_, tick) > dispute_s)) {
        change_to(State::alarm, tick);
        if (is_contradicted_ && view.leader) begin_anew(view.vote.offset_ns);
        is_contradicted_ = false;
      } else if (has_voice != (state_ == State::locked)) {
        change_to(has_voice ? State::locked : State::holdover, tick);
      }
      break;
    case State::warmup: {
      if (!has_voice || !is_good) break;
      bool are_settled = view.vote.heard == panel.size();
      for (std::size_t i = 0; i < panel.size(); ++i)
        are_settled = are_settled && panel.member(i).news.dispersion_ns < settled_ns;
      if (are_settled || seconds_between(state_since_, tick) > warmup_s) change_to(State::locked, tick);
      break;
    }
    default:
      if (has_voice && is_good) change_to(State::warmup, tick);
      break;
  }
}

void UpstreamClock::continue_from(const Line& line, std::uint64_t step_count, std::uint64_t tick,
                                  bool was_promised) noexcept {
  served_.resume(line, step_count, tick);
  if (!has_time_ || was_promised) return;
  const ClockGuess now = guess_at(tick);
  const Target target{tick, ntp_of_utc(now.ns), 0.0, now.ns_per_tick};
  if (std::fabs(served_.off_ns(target)) > ServedLine::unpromised_step_ns) served_.step_to(target);
}

ClockState UpstreamClock::publish(const UpstreamPanel& panel, std::uint64_t tick) noexcept {
  ClockState state{};
  state.tsc0 = tick;
  state.mult = mult_of(1e9 / tick_hz_);
  state.tsc_hz = static_cast<std::uint64_t>(tick_hz_);
  state.valid_until = tick;
  state.precision = policy_.precision;
  state.leap = leap_unsynchronised;
  state.source = Source::upstream;
  set_source_name(state, name_of(state_));
  if (!has_time_) return state;

  const TaiTime now = at(tick);
  const std::int32_t tai_minus_utc_s = tai_minus_utc_at(leap_, now);
  const bool is_leap = since_leap_.see(tai_minus_utc_s, tick);
  const std::uint32_t leap = leap_indicator_at(leap_, now);
  const UpstreamPanel heard = since_leap_.of(panel);
  const PanelView view = leap == leap_unsynchronised ? PanelView{} : heard.against(guess_at(tick));
  const bool is_contradicted = contradicts(view, tick);
  if (is_contradicted && !is_contradicted_) contradicted_since_ = tick;
  is_contradicted_ = is_contradicted;
  measure_error(heard, view, tick);

  const ClockGuess ours = guess_at(tick);
  const Target target{tick, ntp_of_utc(ours.ns), 0.0, ours.ns_per_tick};
  const double half_delay_ns = static_cast<double>(root_delay_ns_) / 2.0;
  const bool may_step = !is_promised(state_) || is_leap;
  double off_ns = 0.0;
  if (!served_.has_line() ||
      (may_step && std::fabs(served_.off_ns(target)) > ServedLine::unpromised_step_ns)) {
    served_.step_to(target);
  } else {
    off_ns = served_.bend_to(target);
  }
  const double error_ns = held_error_ns(tick) + std::fabs(off_ns);
  judge(heard, view, tick, error_ns + half_delay_ns);

  const double rate_ppb = std::ceil(growth_ppb() + served_.rate_off_ppb(target) + 1.0);
  if (rate_ppb * seconds_between(served_.line().tsc0, tick) > error_ns) served_.renew(tick);
  if (reference_tick_ != 0 && view.leader) reference_ntp_ = ntp_at(served_.line(), reference_tick_);
  state.tsc0 = served_.line().tsc0;
  state.ntp0 = served_.line().ntp0;
  state.mult = served_.line().mult;
  state.tsc_hz = static_cast<std::uint64_t>(std::llround(ns_per_s / ours.ns_per_tick));
  state.reference_ntp = reference_ntp_;
  state.root_delay_ns = root_delay_ns_;
  state.dispersion_rate_ppb = static_cast<std::uint64_t>(rate_ppb);
  const double grown_ns = rate_ppb * seconds_between(state.tsc0, tick);
  state.dispersion0_ns =
      static_cast<std::uint64_t>(std::ceil(std::clamp(error_ns - grown_ns, 0.0, 16.0 * ns_per_s)));
  state.step_count = served_.step_count();
  state.state = state_;
  state.tai_minus_utc_s = tai_minus_utc_s;
  set_source_name(state, name_of(state_));
  state.mono.line.mult = mult_of(target.ns_per_tick);
  if (!is_promised(state_)) return state;
  state.leap = leap;
  state.stratum = stratum_;
  state.reference_id = reference_id_;
  const double room_ns = static_cast<double>(policy_.error_ns_max) - half_delay_ns - error_ns;
  state.valid_until = tick + static_cast<std::uint64_t>(std::max(0.0, room_ns / rate_ppb) * tick_hz_);
  return state;
}

}  // namespace hwclock
