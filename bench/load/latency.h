// Latencies by the million in a few KiB: buckets of equal width within each power of two, so that a
// percentile is right to 1/64 of its value; the maximum is exact.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace bench::load {

class Latencies {
 public:
  void add(std::uint64_t ticks) noexcept {
    ++buckets_[bucket_of(ticks)];
    ++count_;
    max_ = std::max(max_, ticks);
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }

  // The value that `share` (0 to 1) of all do not exceed: the upper edge of its bucket. 0 when there is none.
  [[nodiscard]] std::uint64_t percentile(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen != 0 && seen >= wanted) return std::min(upper_edge_of(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned step_bits = 6;
  static constexpr std::uint64_t steps = std::uint64_t{1} << step_bits;

  static constexpr std::size_t bucket_of(std::uint64_t ticks) noexcept {
    if (ticks < steps) return static_cast<std::size_t>(ticks);
    const auto shift = static_cast<unsigned>(std::bit_width(ticks)) - step_bits - 1;
    return static_cast<std::size_t>((std::uint64_t{shift} << step_bits) + (ticks >> shift));
  }
  static constexpr std::uint64_t upper_edge_of(std::size_t bucket) noexcept {
    if (bucket < steps) return bucket;
    const std::uint64_t shift = (bucket >> step_bits) - 1;
    return (((bucket & (steps - 1)) + steps + 1) << shift) - 1;
  }

  std::array<std::uint64_t, 64 * steps> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace bench::load
