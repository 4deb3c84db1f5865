// What one upstream server is worth: RFC 5905 section 10's clock filter over its last eight samples.
//
// A sample with a short round trip is off by little, so the one with the shortest of the eight speaks for
// all; the others say how far to trust it. A sample is used once, and never one older than what was used
// before. Unlike section 10 there is no spike suppressor: what does not fit is outvoted (upstream_vote.h).
//
// Pure: samples and the time come in, nothing is asked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace hwclock {

inline constexpr std::size_t upstream_stages = 8;                            // NSTAGE
inline constexpr std::uint64_t upstream_dispersion_max_ns = 16'000'000'000;  // MAXDISP
inline constexpr std::uint64_t upstream_delay_min_ns = 10'000'000;  // MINDISP: what a delay counts at least
inline constexpr std::uint64_t upstream_drift_ppb = 15'000;         // PHI: what a clock may be off by

// One exchange, as measured. Times are of any clock that does not step, in nanoseconds.
struct UpstreamSample {
  std::int64_t at_ns = 0;                // when the answer came
  std::int64_t offset_ns = 0;            // the server's clock minus ours
  std::int64_t delay_ns = 0;             // round trip; a little below zero by granularity
  std::uint64_t precision_ns = 0;        // of reading both clocks: 2^rho of the two, added
  std::uint64_t root_delay_ns = 0;       // what the server says of itself
  std::uint64_t root_dispersion_ns = 0;  // likewise
};

// The filter's verdict, as of `at_ns`.
struct UpstreamEstimate {
  std::int64_t at_ns = 0;  // of the sample that speaks
  std::int64_t offset_ns = 0;
  std::uint64_t delay_ns = 0;
  std::uint64_t dispersion_ns = 0;  // as of the newest sample
  std::uint64_t jitter_ns = 0;
  std::uint64_t root_delay_ns = 0;
  std::uint64_t root_dispersion_ns = 0;
  std::int64_t newest_ns = 0;  // the newest sample's at_ns

  // RFC 5905 section 11.1 (root_dist): how far the offset may be from the truth at `now_ns`.
  [[nodiscard]] std::uint64_t root_distance_ns(std::int64_t now_ns) const noexcept;
};

class UpstreamFilter {
 public:
  // False when it teaches nothing: not newer than the last, a server that says it may be off by 16 s, or one
  // that says it held the packet for longer than it was away.
  bool take(const UpstreamSample& sample) noexcept;

  // Forgets everything: another server answers now, or our own clock was stepped.
  void clear() noexcept { *this = UpstreamFilter(); }

  // Empty until there is a sample.
  [[nodiscard]] const std::optional<UpstreamEstimate>& estimate() const noexcept { return estimate_; }

 private:
  struct Stage {
    UpstreamSample sample;
    std::uint64_t delay_ns;
    std::uint64_t dispersion_ns;
  };

  void weigh() noexcept;

  std::array<Stage, upstream_stages> stages_{};  // newest first
  std::size_t count_ = 0;
  std::optional<UpstreamEstimate> estimate_;
};

}  // namespace hwclock
