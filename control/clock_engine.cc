#include "control/clock_engine.h"

#include <cmath>

#include "control/config_upstream.h"
#include "control/query_report.h"
#include "hwclock/calendar.h"
#include "hwclock/upstream_witnesses.h"
#include "nts/ntp_time.h"

namespace control {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr double units_per_ns = 0x1p32 / 1e9;

// News so old say to a tenth of a second what it is now, by a counter that is off by 100 ppm.
constexpr double fresh_s = 900.0;

}  // namespace

bool is_engines_promise(const hwclock::ClockState& state) noexcept {
  return hwclock::is_valid(state) && state.leap != 3 && state.source != hwclock::Source::local &&
         state.source != hwclock::Source::system;
}

ClockEngine::ClockEngine(const Config& config, const hwclock::UpstreamPanel& panel, std::uint64_t tsc_hz,
                         std::int32_t precision, const std::optional<hwclock::ClockState>& on_page)
    : config_(config), panel_(panel), tick_hz_(static_cast<double>(tsc_hz)), smear_(config.clock.smear) {
  if (on_page && hwclock::is_valid(*on_page)) served_ = on_page;
  const std::optional<hwclock::ClockState> promise =
      served_ && is_engines_promise(*served_) ? served_ : std::nullopt;
  if (promise) smear_.resume(promise->smear);
  const bool is_gnss = config.clock.source == ClockSource::gnss;
  const bool has_upstream = !is_gnss || has_fallback(config);
  // A promise of upstreams is theirs to hold over and to take up again, not the receiver's.
  is_fallback_ = is_gnss && has_upstream && promise && promise->source == hwclock::Source::upstream;
  const bool is_theirs = !is_gnss || is_fallback_;
  if (has_upstream) upstream_.emplace(config, panel, tsc_hz, precision, promise, is_theirs);
  if (is_gnss) gnss_.emplace(config, tsc_hz, precision, is_theirs ? std::nullopt : promise);
}

void ClockEngine::hear(std::size_t index, std::uint64_t tick) {
  if (upstream_) upstream_->hear(index, tick);
}

hwclock::ClockState ClockEngine::pass(const hwclock::Reading& clock) {
  now_tick_ = clock.tsc;
  hwclock::ClockState state = gnss_ ? pass_gnss(clock) : upstream_->pass(clock.tsc);
  smear(state, clock.tsc);
  served_ = state;
  return state;
}

// The receiver's time, as the upstreams let it stand; theirs, while it has none.
hwclock::ClockState ClockEngine::pass_gnss(const hwclock::Reading& clock) {
  gnss_->hear_witnesses(panel_, clock.tsc);
  hwclock::ClockState theirs{};
  if (upstream_) {
    theirs = upstream_->pass(clock.tsc);
    // What happened while they alone were served is what our own time goes on from.
    if (is_fallback_ && upstream_->learned()) gnss_->learn_leap(*upstream_->learned());
  }
  date_pulses(theirs, clock);
  hwclock::ClockState state = gnss_->pass(clock);
  // Stratum 0: no time, and not just a leap second on its way.
  const bool wants_theirs =
      state.stratum == 0 && theirs.stratum != 0 && !gnss_->discipline().is_contradicted();
  if (wants_theirs != is_fallback_) {
    if (served_ && served_->ntp0 != 0) {
      if (wants_theirs) {
        upstream_->continue_from(*served_, clock.tsc);
        theirs = upstream_->pass(clock.tsc);
      } else {
        state = gnss_->continue_from(*served_, clock.tsc);
      }
    }
    is_fallback_ = wants_theirs;
  }
  if (!wants_theirs) return state;
  theirs.state = hwclock::State::fallback;
  return theirs;
}

// Whoever is trusted with giving the time has learned the counter's rate; without one, its nominal rate is
// good for fresh news alone.
void ClockEngine::date_pulses(const hwclock::ClockState& theirs, const hwclock::Reading& clock) {
  if (config_.gnss.has_receiver()) return;
  hwclock::ClockGuess guess{clock.tsc, clock.ns, 1e9 / tick_hz_};
  const bool knows_rate = theirs.stratum != 0;
  if (knows_rate) {
    guess.ns = nts::utc_ns_from_ntp({hwclock::ntp_at(theirs, clock.tsc)}, hwclock::written_utc_s * ns_per_s);
    guess.ns_per_tick = 1e9 / static_cast<double>(theirs.tsc_hz);
  }
  const auto fresh_ticks = static_cast<std::uint64_t>(fresh_s * tick_hz_);
  const auto utc_ns = hwclock::date_of(knows_rate ? panel_ : panel_.since(clock.tsc - fresh_ticks), guess,
                                       config_.clock.unauthenticated_date);
  if (utc_ns) gnss_->take_date(clock.tsc, *utc_ns);
}

// From the leap seconds of the engine that is served.
void ClockEngine::smear(hwclock::ClockState& state, std::uint64_t tick) {
  state.smear = {};
  if (config_.clock.smear == hwclock::SmearKind::none || state.ntp0 == 0) return;
  const bool is_theirs = !gnss_ || is_fallback_;
  const hwclock::LeapPlan& plan = is_theirs ? upstream_->plan() : gnss_->plan();
  const hwclock::LeapTable& leaps = is_theirs ? upstream_->leaps() : gnss_->leaps();
  const hwclock::TaiTime now = hwclock::tai_at(state, tick);
  // Nobody announces a change that was, and a day of it may still be smeared.
  smear_.take(plan.change_s != 0 ? plan : leaps.last_change(now.ns / ns_per_s), now);
  smear_.publish(tick, state);
}

std::string ClockEngine::sentence() const {
  const std::string of_engine = is_fallback_
                                    ? "fallback, while the receiver has no time: " + upstream_->sentence()
                                : gnss_ ? gnss_->sentence()
                                        : upstream_->sentence();
  if (!served_ || served_->smear.valid_until == 0) return of_engine;
  const auto off_units = static_cast<std::int64_t>(hwclock::ntp_at(served_->smear.line, now_tick_) -
                                                   hwclock::ntp_at(*served_, now_tick_));
  const double off_ns = std::fabs(static_cast<double>(off_units)) / units_per_ns;
  return of_engine + "; smeared time is " + text_of_duration(std::llround(off_ns)) +
         (off_units < 0 ? " behind" : " ahead");
}

void ClockEngine::fill(ClockReportReply& reply) const {
  if (!gnss_) return;
  gnss_->fill(reply);
  if (is_fallback_ && served_) reply.tai_minus_utc_s = served_->tai_minus_utc_s;
}

void ClockEngine::save_memory() {
  if (gnss_) gnss_->save_memory();
}

}  // namespace control
