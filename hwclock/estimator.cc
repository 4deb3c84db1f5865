#include "hwclock/estimator.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hwclock {
namespace {

// The grid: three steps a decade. White noise from 10^-6 to 10 of the reference's sigma in a second, walking
// noise from 10^-8 to 5: from a rubidium under a poor receiver to a cheap crystal under a good one.
constexpr double white_least = 1e-6;
constexpr double walk_least = 1e-8;
constexpr double steps_a_decade = 3.0;

// Before the first measurement: a crystal within 100 ppm. One that ages by half a ppb a day, if at all,
// and in two years by something else.
constexpr double rate_sigma_ppb = 1e5;
constexpr double drift_sigma_ppb_s = 5e-6;
constexpr double drift_walk = 1e-9 * 1e-9;

// That the reference is as noisy as it says counts as much as so many measurements.
constexpr double scale_prior_samples = 20.0;

// Evidence is forgotten over a day and a half: a season, a fan or a cloud changes an oscillator.
constexpr double memory_samples = 131072.0;
constexpr std::uint64_t batch_samples = 8;  // between two looks at the evidence

// All filters run for the first minutes; after that, those within e^-25 of the best one.
constexpr std::uint64_t all_run_samples = 256;
constexpr double idle_below = -25.0;
constexpr double newcomer_handicap = 10.0;

// Five sigma. Until the noise is known a little, three misses in a row mean that it is larger than was said.
constexpr double gate = 25.0;
constexpr std::uint64_t learning_samples = 60;
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
constexpr double memory_s_max = 30.0 * 86'400.0;
constexpr double counter_max_ppb = 500'000.0;  // what counters of one kind differ by, as they are measured

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

bool Estimator::recall(const OscillatorMemory& memory, double restart_sigma_ppb) {
  const double rate_ppb = (memory.ns_per_tick / ns_per_nominal_tick_ - 1.0) * 1e9;
  // The grid of noises is relative to the reference's; another one would be told of other noises.
  const bool is_ours = std::fabs(rate_ppb) < counter_max_ppb && memory.sigma_ns == sigma_ns_;
  if (!is_ours || accepted_count_ != 0) return false;
  memory_ = std::make_unique<const OscillatorMemory>(memory);
  restart_sigma_ppb_ = restart_sigma_ppb;
  memory_fate_ = MemoryFate::waiting;
  return true;
}

bool Estimator::has_learned() const noexcept {
  return accepted_count_ >= learning_samples && memory_fate_ != MemoryFate::on_trial;
}

void Estimator::remember(OscillatorMemory& memory) const noexcept {
  memory.tai_ns = anchor_ns_;
  memory.ns_per_tick = ns_per_nominal_tick_ * (1.0 + 1e-9 * anchor_rate_ppb_);
  memory.sigma_ns = sigma_ns_;
  memory.samples = samples_;
  memory.best = static_cast<std::uint32_t>(best_);
  memory.filter_count = static_cast<std::uint32_t>(running_count_);
  for (std::size_t i = 0; i < running_count_; ++i) {
    const Filter& filter = filters_[running_[i]];
    memory.filters[i] = {running_[i],
                         filter.motion.rate_ppb,
                         filter.motion.drift_ppb_s,
                         filter.covariance.rr,
                         filter.covariance.rd,
                         filter.covariance.dd,
                         filter.log_evidence + std::log(filter.product),
                         filter.squares};
  }
}

// Begins with what was remembered, if the reference says that it is not too old.
bool Estimator::takes_memory(const Measurement& measurement) noexcept {
  const std::unique_ptr<const OscillatorMemory> memory = std::move(memory_);
  const double age_s =
      (static_cast<double>(measurement.reference.ns) - static_cast<double>(memory->tai_ns)) / 1e9;
  memory_fate_ = age_s < 0.0            ? MemoryFate::from_later
                 : age_s > memory_s_max ? MemoryFate::too_old
                                        : MemoryFate::on_trial;
  if (memory_fate_ != MemoryFate::on_trial) return false;

  // Evidence is forgotten as if pulses had come all the time.
  const double kept = std::exp(-age_s / memory_samples);
  anchor_rate_ppb_ = (memory->ns_per_tick / ns_per_nominal_tick_ - 1.0) * 1e9;
  samples_ = kept * memory->samples;
  best_ = memory->best;
  for (Filter& filter : filters_) filter.runs = false;
  for (std::size_t i = 0; i < memory->filter_count; ++i) {
    const RememberedFilter& one = memory->filters[i];
    Filter& filter = filters_[one.index];
    filter.runs = true;
    filter.log_evidence = kept * one.log_evidence;
    filter.product = 1.0;
    filter.squares = kept * one.squares;
    filter.motion = {0.0, one.rate_ppb, one.drift_ppb_s};
    filter.covariance = {.rr = one.rate_variance, .rd = one.rate_drift, .dd = one.drift_variance};
    advance(filter.motion, filter.covariance, age_s, filter.noise);
    filter.motion.phase_ns = 0.0;  // that is the measurement's
    filter.covariance.pp = measurement.sigma_ns * measurement.sigma_ns;
    filter.covariance.pr = filter.covariance.pd = 0.0;
    filter.covariance.rr += restart_sigma_ppb_ * restart_sigma_ppb_ / scale_of(filter);
  }
  list_running();
  return true;
}

// All that a memory brought, and what came of it.
void Estimator::forget() noexcept {
  for (Filter& filter : filters_) {
    filter.motion = {};
    filter.log_evidence = filter.squares = 0.0;
    filter.product = 1.0;
    filter.runs = true;
  }
  list_running();
  best_ = 0;
  samples_ = anchor_rate_ppb_ = 0.0;
  accepted_count_ = outliers_in_a_row_ = 0;
  drag_late_ = drag_early_ = 0.0;
  memory_fate_ = MemoryFate::refuted;
}

double Estimator::scale_of(const Filter& filter) const noexcept {
  return (scale_prior_samples + filter.squares) / (scale_prior_samples + samples_);
}

double Estimator::score_of(const Filter& filter) const noexcept {
  return filter.log_prior -
         0.5 * (filter.log_evidence + (scale_prior_samples + samples_) * std::log(scale_of(filter)));
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

// Turns evidence into weights.
void Estimator::weigh() noexcept {
  constexpr double kept = 1.0 - static_cast<double>(batch_samples) / memory_samples;
  samples_ *= kept;
  double best_score = -HUGE_VAL;
  for (std::size_t i = 0; i < running_count_; ++i) {
    Filter& filter = filters_[running_[i]];
    filter.log_evidence = kept * (filter.log_evidence + std::log(filter.product));
    filter.product = 1.0;
    filter.squares *= kept;
    filter.weight = score_of(filter);
    if (filter.weight > best_score) {
      best_score = filter.weight;
      best_ = running_[i];
    }
  }
  if (accepted_count_ >= all_run_samples) choose_running();
  double sum = 0.0;
  for (std::size_t i = 0; i < running_count_; ++i) {
    Filter& filter = filters_[running_[i]];
    filter.weight = std::exp(filter.weight - best_score);
    sum += filter.weight;
  }
  for (std::size_t i = 0; i < running_count_; ++i) filters_[running_[i]].weight /= sum;
}

// Rests the filters that nothing speaks for, and lets the neighbours of the best one try.
void Estimator::choose_running() noexcept {
  const Filter& best = filters_[best_];
  const double best_score = best.weight;
  const std::size_t best_white = best_ / walk_steps;
  const std::size_t best_walk = best_ % walk_steps;
  for (std::size_t i = 0; i < filters_max; ++i) {
    Filter& filter = filters_[i];
    const std::size_t white = i / walk_steps;
    const std::size_t walk = i % walk_steps;
    const bool is_neighbour =
        white + 1 >= best_white && white <= best_white + 1 && walk + 1 >= best_walk && walk <= best_walk + 1;
    if (filter.runs) {
      filter.runs = is_neighbour || filter.weight > best_score + idle_below;
    } else if (is_neighbour) {
      const OscillatorNoise noise = filter.noise;
      const double log_prior = filter.log_prior;
      filter = best;
      filter.noise = noise;
      filter.log_prior = log_prior;
      filter.log_evidence += 2.0 * newcomer_handicap;
      filter.weight = best_score - newcomer_handicap;
      filter.runs = true;
    }
  }
  list_running();
}

void Estimator::list_running() noexcept {
  running_count_ = 0;
  for (std::size_t i = 0; i < filters_max; ++i) {
    if (filters_[i].runs) running_[running_count_++] = static_cast<std::uint16_t>(i);
  }
}

// The mean and covariance over all filters, and in each over "there is a drift" and "there is none".
void Estimator::mix() noexcept {
  struct Part {
    double weight;
    Motion motion;
    Covariance covariance;
  };
  Motion mean;
  Covariance second;  // moments about the best filter's mean, so that nothing cancels
  OscillatorNoise noise;
  double scale = 0.0;
  const Motion origin = filters_[best_].motion;
  for (std::size_t i = 0; i < running_count_; ++i) {
    const Filter& filter = filters_[running_[i]];
    const double weight = filter.weight;
    if (weight < 1e-9) continue;
    const double filter_scale = scale_of(filter);
    const Covariance& own = filter.covariance;

    const double evidence = filter.motion.drift_ppb_s * filter.motion.drift_ppb_s / (filter_scale * own.dd);
    const double odds_of_none = drift_sigma_ppb_s / std::sqrt(own.dd) * std::exp(-0.5 * evidence);
    const double no_drift = odds_of_none / (1.0 + odds_of_none);
    const double phase_by_drift = own.pd / own.dd;
    const double rate_by_drift = own.rd / own.dd;
    const Part parts[] = {{weight * (1.0 - no_drift), filter.motion, own},
                          {weight * no_drift,
                           {filter.motion.phase_ns - phase_by_drift * filter.motion.drift_ppb_s,
                            filter.motion.rate_ppb - rate_by_drift * filter.motion.drift_ppb_s, 0.0},
                           {.pp = own.pp - phase_by_drift * own.pd,
                            .pr = own.pr - phase_by_drift * own.rd,
                            .rr = own.rr - rate_by_drift * own.rd}}};
    for (const Part& part : parts) {
      const double phase = part.motion.phase_ns - origin.phase_ns;
      const double rate = part.motion.rate_ppb - origin.rate_ppb;
      const double drift = part.motion.drift_ppb_s - origin.drift_ppb_s;
      mean.phase_ns += part.weight * phase;
      mean.rate_ppb += part.weight * rate;
      mean.drift_ppb_s += part.weight * drift;
      second.pp += part.weight * (filter_scale * part.covariance.pp + phase * phase);
      second.pr += part.weight * (filter_scale * part.covariance.pr + phase * rate);
      second.pd += part.weight * (filter_scale * part.covariance.pd + phase * drift);
      second.rr += part.weight * (filter_scale * part.covariance.rr + rate * rate);
      second.rd += part.weight * (filter_scale * part.covariance.rd + rate * drift);
      second.dd += part.weight * (filter_scale * part.covariance.dd + drift * drift);
    }
    noise.white_fm += weight * filter_scale * filter.noise.white_fm;
    noise.walk_fm += weight * filter_scale * filter.noise.walk_fm;
    noise.walk_drift += weight * filter_scale * (1.0 - no_drift) * filter.noise.walk_drift;
    scale += weight * filter_scale;
  }
  covariance_ = {.pp = second.pp - mean.phase_ns * mean.phase_ns,
                 .pr = second.pr - mean.phase_ns * mean.rate_ppb,
                 .pd = second.pd - mean.phase_ns * mean.drift_ppb_s,
                 .rr = second.rr - mean.rate_ppb * mean.rate_ppb,
                 .rd = second.rd - mean.rate_ppb * mean.drift_ppb_s,
                 .dd = second.dd - mean.drift_ppb_s * mean.drift_ppb_s};
  motion_ = {origin.phase_ns + mean.phase_ns, origin.rate_ppb + mean.rate_ppb,
             origin.drift_ppb_s + mean.drift_ppb_s};
  noise_ = noise;
  scale_ = scale;
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
