// Where the true time is, from a noisy reference once a second: many Kalman filters, and the evidence between
// them.
//
// How noisy an oscillator is decides how far to trust it, and nobody tells us. So a grid of filters, each
// with its own white and random-walk noise relative to the reference's, runs over the same measurements; what
// each predicted is its evidence, and the estimate is the mean of all by their evidence (Magill, "Optimal
// adaptive estimation of sampled stochastic processes", 1965). Before any evidence, a walk is as likely as it
// is large: hours of a quiet oscillator cannot tell a small walk from none, so of many filters that explain
// them alike, the mean must not follow those that promise most (Gelman, "Prior distributions for variance
// parameters", 2006: flat in sigma, not in its logarithm). The scale of all noise has a conjugate prior
// and is integrated out. The covariance holds the spread between the filters: not knowing the oscillator is
// part of not knowing the time. Whether there is a drift is asked of every filter by the ratio of Savage and
// Dickey: the density of drift 0 after, over that before, the data.
//
// Pure arithmetic: no clock, no allocation. Only filters that some evidence supports, and the neighbours of
// the best, are kept running.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "hwclock/oscillator.h"
#include "hwclock/oscillator_memory.h"
#include "hwclock/time.h"

namespace hwclock {

// The true time was `reference` + `correction_ns` at `tick`, give or take `sigma_ns`.
struct Measurement {
  std::uint64_t tick = 0;
  TaiTime reference;
  double correction_ns = 0.0;
  double sigma_ns = 0.0;  // 0, negative or not a number: refused
};

enum class Taken : std::uint8_t {
  accepted,
  outlier,  // too far from what all filters together expected, or one of many that lean to one side
  refused   // not a measurement: no sigma, no number, or not later than the one before
};

// What became of the memory of an earlier run.
enum class MemoryFate : std::uint8_t {
  none,       // there was none
  waiting,    // for the first measurement, which says how old it is
  on_trial,   // the first measurements agree with it so far
  confirmed,  // they did
  too_old,
  from_later,  // written after what the reference says is now
  refuted      // they did not: all is learned anew
};

// Where the true time stood at a tick.
struct Estimate {
  TaiTime time;
  double fraction_ns = 0.0;  // beyond `time`, 0..1
  double variance_ns2 = 0.0;
};

class Estimator {
 public:
  // `tick_hz` may be off by 100 ppm. `sigma_ns` is that of a usual measurement.
  Estimator(std::uint64_t tick_hz, double sigma_ns) noexcept;

  Taken take(const Measurement& measurement) noexcept;

  // Forgets where the time is to within `sigma_ns`, and the rate to within `sigma_ppb`, not how the
  // oscillator behaves: after a decision that the reference is right and we are not.
  void reopen(double sigma_ns, double sigma_ppb) noexcept;

  // What an earlier run learned, to begin with; before the first measurement. That one says how much time has
  // passed: the rate is worth less by the walk of so long, and by `restart_sigma_ppb` more for what nobody
  // saw. Refuses, with false, the memory of a counter that ticks otherwise, or of a reference that was as
  // noisy as ours is not.
  [[nodiscard]] bool recall(const OscillatorMemory& memory, double restart_sigma_ppb);
  [[nodiscard]] MemoryFate memory_fate() const noexcept { return memory_fate_; }
  // Enough was learned to be worth remembering.
  [[nodiscard]] bool has_learned() const noexcept;
  // All but the identities. Requires has_learned().
  void remember(OscillatorMemory& memory) const noexcept;

  // How far the last measurement, taken or not, lay from what was expected.
  [[nodiscard]] double innovation_ns() const noexcept { return innovation_ns_; }
  // And how far it was likely to lie.
  [[nodiscard]] double innovation_sigma_ns() const noexcept { return innovation_sigma_ns_; }
  [[nodiscard]] std::uint64_t accepted_count() const noexcept { return accepted_count_; }
  [[nodiscard]] std::uint64_t outliers_in_a_row() const noexcept { return outliers_in_a_row_; }
  [[nodiscard]] std::uint64_t last_tick() const noexcept { return anchor_tick_; }

  // Needs one accepted measurement. Ticks before the last one are taken as that one.
  [[nodiscard]] Estimate at(std::uint64_t tick) const noexcept;
  [[nodiscard]] double variance_after(double seconds) const noexcept;

  // True nanoseconds in a tick, now, and what was learned of the oscillator and of the reference.
  [[nodiscard]] double ns_per_tick(std::uint64_t tick) const noexcept;
  [[nodiscard]] const OscillatorNoise& noise() const noexcept { return noise_; }
  [[nodiscard]] double measurement_scale() const noexcept { return scale_; }  // of the variance given
  [[nodiscard]] double drift_ppb_s() const noexcept { return motion_.drift_ppb_s; }
  [[nodiscard]] std::size_t running_filters() const noexcept { return running_count_; }

 private:
  struct Filter {
    OscillatorNoise noise;
    double log_prior = 0.0;  // up to a constant
    Motion motion;
    Covariance covariance;      // with measurements as noisy as they say; times scale_of() it is the real one
    double log_evidence = 0.0;  // the sum of the logarithms of what was expected, without the last few
    double product = 1.0;       // of those few
    double squares = 0.0;       // of innovations, each over its expectation
    double weight = 0.0;
    bool runs = true;
  };
  static constexpr std::size_t white_steps = 22;
  static constexpr std::size_t walk_steps = 27;
  static constexpr std::size_t filters_max = white_steps * walk_steps;
  static_assert(filters_max == OscillatorMemory::filters_max);
  // That the reference is as noisy as it says counts as much as so many measurements.
  static constexpr double scale_prior_samples = 20.0;
  // Evidence is forgotten over a day and a half: a season, a fan or a cloud changes an oscillator.
  static constexpr double memory_samples = 131072.0;
  static constexpr std::uint64_t batch_samples = 8;      // between two looks at it
  static constexpr std::uint64_t all_run_samples = 256;  // all filters run for the first minutes
  static constexpr std::uint64_t learning_samples = 60;  // until the noise is known a little
  // Before the first measurement: one that ages by half a ppb a day, if at all.
  static constexpr double drift_sigma_ppb_s = 5e-6;

  [[nodiscard]] double seconds_until(std::uint64_t tick) const noexcept;
  [[nodiscard]] double scale_of(const Filter& filter) const noexcept;
  [[nodiscard]] double score_of(const Filter& filter) const noexcept;
  void begin(const Measurement& measurement) noexcept;
  [[nodiscard]] bool takes_memory(const Measurement& measurement) noexcept;
  void forget() noexcept;
  void move_anchor(std::uint64_t tick) noexcept;
  void weigh() noexcept;
  [[nodiscard]] bool is_dragged() noexcept;
  void choose_running() noexcept;
  void list_running() noexcept;
  void mix() noexcept;
  void recentre() noexcept;

  double ns_per_nominal_tick_;
  double tick_hz_;
  double sigma_ns_;
  std::array<Filter, filters_max> filters_;
  std::array<std::uint16_t, filters_max> running_{};
  std::size_t running_count_ = 0;
  std::size_t best_ = 0;

  // All filters stand at the anchor and are relative to it: small numbers, however late it is.
  std::uint64_t anchor_tick_ = 0;
  std::int64_t anchor_ns_ = 0;
  double anchor_fraction_ns_ = 0.0;
  double anchor_rate_ppb_ = 0.0;

  Motion motion_;          // the mean of all
  Covariance covariance_;  // about that mean, scaled
  OscillatorNoise noise_;
  double scale_ = 1.0;
  double samples_ = 0.0;  // that the evidence still remembers
  double innovation_ns_ = 0.0;
  double innovation_sigma_ns_ = 0.0;
  double drag_late_ = 0.0;  // how much speaks for a reference that is dragged off, either way
  double drag_early_ = 0.0;
  double drag_sigma_ns_ = 0.0;  // of the innovation that was one too many
  std::uint64_t accepted_count_ = 0;
  std::uint64_t outliers_in_a_row_ = 0;

  std::unique_ptr<const OscillatorMemory> memory_;  // until it was taken or refused
  double restart_sigma_ppb_ = 0.0;
  MemoryFate memory_fate_ = MemoryFate::none;
};

}  // namespace hwclock
