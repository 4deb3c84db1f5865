// What an Estimator passes on to the next run, and what it makes of what it was left.
#include <cmath>
#include <utility>

#include "hwclock/estimator.h"

namespace hwclock {
namespace {

constexpr double memory_s_max = 30.0 * 86'400.0;
constexpr double counter_max_ppb = 500'000.0;  // what counters of one kind differ by, as they are measured

}  // namespace

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

}  // namespace hwclock
