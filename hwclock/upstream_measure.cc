#include "hwclock/upstream_measure.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

constexpr double steady_jitters = 4.0;  // RFC 5905 section 12: PGATE
// A server whose clock was stepped, or that repeats a leap second, says something else from one sample to the
// next: RFC 5905's STEPT, and what a crystal may be off by. Three times in a row is no accident.
constexpr double step_ns = 128e6;
constexpr double step_ppm = 100.0;
constexpr std::uint32_t strangers_max = 3;

}  // namespace

bool UpstreamMeasure::is_stranger(const UpstreamSample& sample) const noexcept {
  const std::optional<UpstreamEstimate>& known = filter_.estimate();
  if (!known) return false;
  const double apart_ns = std::fabs(static_cast<double>(sample.offset_ns - known->offset_ns));
  const double passed_ns = static_cast<double>(sample.at_ns - known->at_ns);
  return apart_ns > step_ns + step_ppm * 1e-6 * passed_ns + static_cast<double>(sample.delay_ns);
}

bool UpstreamMeasure::take(const UpstreamExchange& exchange, double ticks_per_s) noexcept {
  const auto away_ticks = static_cast<std::int64_t>(exchange.received_tick - exchange.sent_tick);
  const std::int64_t held_ns = exchange.server_sent_ns - exchange.server_received_ns;
  if (away_ticks <= 0 || held_ns < 0 || !(ticks_per_s > 0.0)) return false;
  const double ns_per_tick = 1e9 / ticks_per_s;
  const std::int64_t away_ns = std::llround(static_cast<double>(away_ticks) * ns_per_tick);

  Stamp stamp;
  stamp.tick = exchange.sent_tick + static_cast<std::uint64_t>(away_ticks) / 2;
  stamp.utc_ns = exchange.server_received_ns + held_ns / 2;
  if (has_sample_) {
    const auto passed = static_cast<std::int64_t>(stamp.tick - stamps_[0].tick);
    stamp.at_ns = stamps_[0].at_ns + std::llround(static_cast<double>(passed) * ns_per_tick);
  } else {
    base_ns_ = stamp.utc_ns;
  }
  UpstreamSample sample;
  sample.at_ns = stamp.at_ns;
  sample.offset_ns = stamp.utc_ns - base_ns_ - stamp.at_ns;
  sample.delay_ns = away_ns - held_ns;
  sample.precision_ns = exchange.precision_ns;
  sample.root_delay_ns = exchange.root_delay_ns;
  sample.root_dispersion_ns = exchange.root_dispersion_ns;

  if (is_stranger(sample)) {
    if (++strangers_ < strangers_max) return false;
    clear();
    return take(exchange, ticks_per_s);
  }
  strangers_ = 0;
  const std::optional<UpstreamEstimate> before = filter_.estimate();
  if (!filter_.take(sample)) return false;
  std::copy_backward(stamps_.begin(), stamps_.end() - 1, stamps_.end());
  stamps_[0] = stamp;
  has_sample_ = true;

  const UpstreamEstimate& now = *filter_.estimate();
  for (const Stamp& one : stamps_) {
    if (one.at_ns == now.at_ns && one.tick != 0) speaking_ = one;
  }
  const double moved_ns = before ? std::fabs(static_cast<double>(now.offset_ns - before->offset_ns)) : 0.0;
  is_steady_ = before && moved_ns < steady_jitters * static_cast<double>(now.jitter_ns);
  news_ = UpstreamNews{speaking_.tick,    speaking_.utc_ns, stamp.tick,        now.delay_ns,
                       now.dispersion_ns, now.jitter_ns,    now.root_delay_ns, now.root_dispersion_ns};
  return true;
}

}  // namespace hwclock
