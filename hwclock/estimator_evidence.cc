// What speaks for each filter of an Estimator, which of them run, and the mean of all by their evidence.
#include <cmath>

#include "hwclock/estimator.h"

namespace hwclock {
namespace {

// After the first minutes those run that are within e^-25 of the best one.
constexpr double idle_below = -25.0;
constexpr double newcomer_handicap = 10.0;

}  // namespace

double Estimator::scale_of(const Filter& filter) const noexcept {
  return (scale_prior_samples + filter.squares) / (scale_prior_samples + samples_);
}

double Estimator::score_of(const Filter& filter) const noexcept {
  return filter.log_prior -
         0.5 * (filter.log_evidence + (scale_prior_samples + samples_) * std::log(scale_of(filter)));
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

}  // namespace hwclock
