#include "hwclock/upstream_filter.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

// What a clock may have drifted by in that time, never above the ceiling.
std::uint64_t drift_ns(std::int64_t passed_ns) noexcept {
  if (passed_ns <= 0) return 0;
  const double drift = static_cast<double>(passed_ns) * static_cast<double>(upstream_drift_ppb) * 1e-9;
  return static_cast<std::uint64_t>(
      std::llround(std::min(drift, static_cast<double>(upstream_dispersion_max_ns))));
}

std::uint64_t with_ceiling(std::uint64_t dispersion_ns) noexcept {
  return std::min(dispersion_ns, upstream_dispersion_max_ns);
}

}  // namespace

std::uint64_t UpstreamEstimate::root_distance_ns(std::int64_t now_ns) const noexcept {
  return std::max(upstream_delay_min_ns, root_delay_ns + delay_ns) / 2 + root_dispersion_ns + dispersion_ns +
         drift_ns(now_ns - newest_ns) + jitter_ns;
}

bool UpstreamFilter::take(const UpstreamSample& sample) noexcept {
  if (count_ != 0 && sample.at_ns <= stages_[0].sample.at_ns) return false;
  if (sample.root_delay_ns >= upstream_dispersion_max_ns ||
      sample.root_dispersion_ns >= upstream_dispersion_max_ns ||
      sample.root_delay_ns / 2 + sample.root_dispersion_ns >= upstream_dispersion_max_ns) {
    return false;
  }
  // Half of what is missing is in the offset. Down to -MINDISP the least distance covers that.
  if (sample.delay_ns < -static_cast<std::int64_t>(upstream_delay_min_ns)) return false;
  if (count_ != 0) {
    const std::uint64_t aged_ns = drift_ns(sample.at_ns - stages_[0].sample.at_ns);
    for (std::size_t i = 0; i < count_; ++i)
      stages_[i].dispersion_ns = with_ceiling(stages_[i].dispersion_ns + aged_ns);
  }
  count_ = std::min(count_ + 1, upstream_stages);
  std::copy_backward(stages_.begin(), stages_.begin() + static_cast<std::ptrdiff_t>(count_) - 1,
                     stages_.begin() + static_cast<std::ptrdiff_t>(count_));
  const auto precision_ns = static_cast<std::int64_t>(with_ceiling(sample.precision_ns));
  const std::int64_t delay_ns = std::max({sample.delay_ns, precision_ns, std::int64_t{0}});
  stages_[0] = {sample, static_cast<std::uint64_t>(delay_ns),
                with_ceiling(static_cast<std::uint64_t>(precision_ns) + drift_ns(sample.delay_ns))};
  weigh();
  return true;
}

void UpstreamFilter::weigh() noexcept {
  std::array<const Stage*, upstream_stages> by_delay{};
  for (std::size_t i = 0; i < count_; ++i) by_delay[i] = &stages_[i];
  const auto end = by_delay.begin() + static_cast<std::ptrdiff_t>(count_);
  std::stable_sort(by_delay.begin(), end,
                   [](const Stage* a, const Stage* b) { return a->delay_ns < b->delay_ns; });

  // A stage that has no sample yet counts as one that knows nothing.
  std::uint64_t dispersion_ns = 0;
  double squares = 0.0;
  for (std::size_t i = 0; i < upstream_stages; ++i) {
    dispersion_ns += (i < count_ ? by_delay[i]->dispersion_ns : upstream_dispersion_max_ns) >> (i + 1);
    if (i == 0 || i >= count_) continue;
    const double apart = static_cast<double>(by_delay[i]->sample.offset_ns) -
                         static_cast<double>(by_delay[0]->sample.offset_ns);
    squares += apart * apart;
  }
  const double jitter_ns = count_ > 1 ? std::sqrt(squares / static_cast<double>(count_ - 1)) : 0.0;

  const UpstreamSample& newest = stages_[0].sample;
  const bool is_news = !estimate_ || by_delay[0]->sample.at_ns > estimate_->at_ns;
  UpstreamEstimate next = estimate_.value_or(UpstreamEstimate{});
  if (is_news) {
    next.at_ns = by_delay[0]->sample.at_ns;
    next.offset_ns = by_delay[0]->sample.offset_ns;
    next.delay_ns = by_delay[0]->delay_ns;
  }
  // An offset that an older view brought has gone on ageing, whoever is best among the eight now.
  next.dispersion_ns = is_news || next.at_ns == by_delay[0]->sample.at_ns
                           ? dispersion_ns
                           : std::max(dispersion_ns, with_ceiling(next.dispersion_ns +
                                                                  drift_ns(newest.at_ns - next.newest_ns)));
  next.jitter_ns = std::max(static_cast<std::uint64_t>(std::llround(std::min(jitter_ns, 4.6e18))),
                            with_ceiling(newest.precision_ns));
  next.root_delay_ns = newest.root_delay_ns;
  next.root_dispersion_ns = newest.root_dispersion_ns;
  next.newest_ns = newest.at_ns;
  estimate_ = next;
}

}  // namespace hwclock
