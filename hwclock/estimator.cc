#include "hwclock/estimator.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

// The grid: three steps a decade. White noise from 10^-6 to 10 of the reference's sigma in a second, walking
// noise from 10^-8 to 5: from a rubidium under a poor receiver to a cheap crystal under a good one.
constexpr double white_least = 1e-6;
constexpr double walk_least = 1e-8;
constexpr double steps_a_decade = 3.0;

// Before the first measurement: a crystal within 100 ppm.
constexpr double rate_sigma_ppb = 1e5;
// One whose ageing becomes another within two years.
constexpr double drift_walk = 1e-9 * 1e-9;

// Five sigma. Until the noise is known a little, three misses in a row mean that it is larger than was said.
constexpr double gate = 25.0;
constexpr std::uint64_t learning_misses_max = 3;
constexpr double learning_inflation = 4.0;

// A reference that is dragged off slowly passes every gate and takes us along. Its innovations lean to one
// side: their sum, each less what is usual for a filter that lags (in sigma), stays near zero otherwise
// (Page, "Continuous inspection schemes", 1954: with white noise, one false alarm in 10^9 s).
constexpr double drag_slack = 1.5;
constexpr double drag_limit = 8.0;
// By the time we know so much less than when it began, the oscillator may have done it.
constexpr double drag_sigmas_max = 3.0;
constexpr double drag_most = 12.0;  // what is above the limit is worked off before a pulse is taken again

// A memory is put to the test by so many measurements; as many misses in a row as above refute it.
constexpr std::uint64_t trial_samples = 10;

}  // namespace

Estimator::Estimator(std::uint64_t tick_hz, double sigma_ns) noexcept
    : ns_per_nominal_tick_(1e9 / static_cast<double>(tick_hz)),
      tick_hz_(static_cast<double>(tick_hz)),
      sigma_ns_(sigma_ns) {
  const auto power = [&](double least, std::size_t steps) {
    const double sigma = sigma_ns * least * std::pow(10.0, static_cast<double>(steps) / steps_a_decade);
    return sigma * sigma;
  };
  for (std::size_t i = 0; i < filters_max; ++i) {
    filters_[i].noise = {power(white_least, i / walk_steps), power(walk_least, i % walk_steps), drift_walk};
    filters_[i].log_prior = 0.5 * std::log(filters_[i].noise.walk_fm);
  }
  list_running();
}

double Estimator::seconds_until(std::uint64_t tick) const noexcept {
  return static_cast<double>(static_cast<std::int64_t>(tick - anchor_tick_)) / tick_hz_;
}

void Estimator::begin(const Measurement& measurement) noexcept {
  anchor_tick_ = measurement.tick;
  anchor_ns_ = measurement.reference.ns;
  anchor_fraction_ns_ = measurement.correction_ns;
  const double variance = measurement.sigma_ns * measurement.sigma_ns;
  if (memory_ == nullptr || !takes_memory(measurement)) {
    for (Filter& filter : filters_) {
      filter.covariance = {
          .pp = variance, .rr = rate_sigma_ppb * rate_sigma_ppb, .dd = drift_sigma_ppb_s * drift_sigma_ppb_s};
    }
  }
  weigh();
  mix();
}

// The anchor runs at a rate of its own, near the estimated one.
void Estimator::move_anchor(std::uint64_t tick) noexcept {
  const auto ticks = static_cast<long double>(static_cast<std::int64_t>(tick - anchor_tick_));
  const long double passed_ns = ticks * 1e9L / static_cast<long double>(tick_hz_) *
                                    (1.0L + static_cast<long double>(anchor_rate_ppb_) * 1e-9L) +
                                static_cast<long double>(anchor_fraction_ns_);
  const long double whole = std::floor(passed_ns);
  anchor_tick_ = tick;
  anchor_ns_ += static_cast<std::int64_t>(whole);
  anchor_fraction_ns_ = static_cast<double>(passed_ns - whole);
}

Taken Estimator::take(const Measurement& measurement) noexcept {
  const double variance = measurement.sigma_ns * measurement.sigma_ns;
  if (!(measurement.sigma_ns > 0.0) || !std::isfinite(variance) ||
      !std::isfinite(measurement.correction_ns)) {
    return Taken::refused;
  }
  if (accepted_count_ == 0) {
    begin(measurement);
    ++accepted_count_;
    return Taken::accepted;
  }
  const double seconds = seconds_until(measurement.tick);
  if (!(seconds > 0.0)) return Taken::refused;

  const Estimate expected = at(measurement.tick);
  innovation_ns_ = static_cast<double>(measurement.reference.ns - expected.time.ns) +
                   (measurement.correction_ns - expected.fraction_ns);
  const double innovation_variance = expected.variance_ns2 + scale_ * variance;
  innovation_sigma_ns_ = std::sqrt(innovation_variance);
  if (is_dragged() || innovation_ns_ * innovation_ns_ > gate * innovation_variance) {
    ++outliers_in_a_row_;
    if (memory_fate_ == MemoryFate::on_trial && outliers_in_a_row_ == learning_misses_max) {
      forget();
      begin(measurement);
      ++accepted_count_;
      return Taken::accepted;
    }
    if (accepted_count_ < learning_samples && outliers_in_a_row_ % learning_misses_max == 0) {
      for (Filter& filter : filters_) {
        filter.squares += (learning_inflation - 1.0) * (scale_prior_samples + filter.squares);
      }
      mix();
    }
    return Taken::outlier;
  }
  outliers_in_a_row_ = 0;
  ++accepted_count_;
  if (memory_fate_ == MemoryFate::on_trial && accepted_count_ >= trial_samples)
    memory_fate_ = MemoryFate::confirmed;

  move_anchor(measurement.tick);
  const double measured_ns = static_cast<double>(measurement.reference.ns - anchor_ns_) +
                             (measurement.correction_ns - anchor_fraction_ns_);
  for (std::size_t i = 0; i < running_count_; ++i) {
    Filter& filter = filters_[running_[i]];
    advance(filter.motion, filter.covariance, seconds, filter.noise);
    const double innovation = measured_ns - filter.motion.phase_ns;
    const double total = filter.covariance.pp + variance;
    filter.product *= total / (sigma_ns_ * sigma_ns_);
    filter.squares += innovation * innovation / total;
    absorb(filter.motion, filter.covariance, innovation, variance);
  }
  samples_ += 1.0;
  if (accepted_count_ % batch_samples == 0) weigh();
  mix();
  recentre();
  return Taken::accepted;
}

// Counts the last innovation in. Outliers, and what comes back after them, say nothing of a drag, unless one
// goes on already.
bool Estimator::is_dragged() noexcept {
  const double sigmas = innovation_ns_ / innovation_sigma_ns_;
  const bool was_dragged = std::max(drag_late_, drag_early_) > drag_limit;
  if (accepted_count_ >= all_run_samples &&
      (was_dragged || (outliers_in_a_row_ == 0 && sigmas * sigmas <= gate))) {
    drag_late_ = std::clamp(drag_late_ + sigmas - drag_slack, 0.0, drag_most);
    drag_early_ = std::clamp(drag_early_ - sigmas - drag_slack, 0.0, drag_most);
  }
  const bool is_now = std::max(drag_late_, drag_early_) > drag_limit;
  if (is_now && !was_dragged) drag_sigma_ns_ = innovation_sigma_ns_;
  if (!is_now || innovation_sigma_ns_ <= drag_sigmas_max * drag_sigma_ns_) return is_now;
  drag_late_ = drag_early_ = 0.0;
  return false;
}

// Puts the anchor where the mean is, as soon as it strays: the same shift for every filter.
void Estimator::recentre() noexcept {
  constexpr double phase_max_ns = 1e4;
  constexpr double rate_max_ppb = 10.0;
  if (std::fabs(motion_.phase_ns) < phase_max_ns && std::fabs(motion_.rate_ppb) < rate_max_ppb) return;
  const double phase = std::floor(motion_.phase_ns);
  const double rate = motion_.rate_ppb;
  anchor_ns_ += static_cast<std::int64_t>(phase);
  anchor_rate_ppb_ += rate;
  for (std::size_t i = 0; i < running_count_; ++i) {
    filters_[running_[i]].motion.phase_ns -= phase;
    filters_[running_[i]].motion.rate_ppb -= rate;
  }
  motion_.phase_ns -= phase;
  motion_.rate_ppb -= rate;
}

void Estimator::reopen(double sigma_ns, double sigma_ppb) noexcept {
  for (std::size_t i = 0; i < running_count_; ++i) {
    Filter& filter = filters_[running_[i]];
    filter.covariance.pp += sigma_ns * sigma_ns / scale_of(filter);
    filter.covariance.rr += sigma_ppb * sigma_ppb / scale_of(filter);
  }
  covariance_.pp += sigma_ns * sigma_ns;
  covariance_.rr += sigma_ppb * sigma_ppb;
  drag_late_ = drag_early_ = 0.0;
  outliers_in_a_row_ = 0;
}

double Estimator::variance_after(double seconds) const noexcept {
  return std::max(0.0, phase_variance_after(covariance_, seconds, noise_));
}

Estimate Estimator::at(std::uint64_t tick) const noexcept {
  const auto ticks = std::max<std::int64_t>(0, static_cast<std::int64_t>(tick - anchor_tick_));
  const double seconds = static_cast<double>(ticks) / tick_hz_;
  const long double passed_ns = static_cast<long double>(ticks) * 1e9L / static_cast<long double>(tick_hz_) *
                                (1.0L + static_cast<long double>(anchor_rate_ppb_) * 1e-9L);
  const long double from_anchor_ns =
      passed_ns + static_cast<long double>(anchor_fraction_ns_ + phase_after(motion_, seconds));
  const long double whole = std::floor(from_anchor_ns);
  return {{anchor_ns_ + static_cast<std::int64_t>(whole)},
          static_cast<double>(from_anchor_ns - whole),
          variance_after(seconds)};
}

double Estimator::ns_per_tick(std::uint64_t tick) const noexcept {
  const double seconds = std::max(0.0, seconds_until(tick));
  return ns_per_nominal_tick_ *
         (1.0 + 1e-9 * (anchor_rate_ppb_ + motion_.rate_ppb + seconds * motion_.drift_ppb_s));
}

}  // namespace hwclock
