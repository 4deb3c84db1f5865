// How every benchmark here measures: TSC cycles of one burst, and the median of very many bursts.
//
// The machine is shared: an interrupt, a neighbour or a migration makes some bursts slow and none fast, so
// the median of thousands says more than a mean. TSC cycles are time (tsc_hz of them a second), not core
// cycles, which a CPU may run faster or slower.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <emmintrin.h>
#include <vector>
#include <x86intrin.h>

namespace bench {

// The TSC once all loads and stores before are done, and before anything behind begins.
[[nodiscard]] inline std::uint64_t tsc_in_order() noexcept {
  _mm_mfence();
  _mm_lfence();
  const std::uint64_t tsc = __rdtsc();
  _mm_lfence();
  return tsc;
}

// The middle of `values`, which must hold at least one.
[[nodiscard]] inline double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Measures the cycles of a piece of work, without the cycles that reading the TSC twice takes.
class Stopwatch {
 public:
  Stopwatch() {
    std::vector<double> readings;
    for (int i = 0; i < 1001; ++i) {
      start();
      readings.push_back(stop());
    }
    own_cycles_ = median_of(std::move(readings));
  }
  void start() noexcept { begin_ = tsc_in_order(); }
  [[nodiscard]] double stop() const noexcept {
    return std::max(0.0, static_cast<double>(tsc_in_order() - begin_) - own_cycles_);
  }

 private:
  std::uint64_t begin_ = 0;
  double own_cycles_ = 0;
};

}  // namespace bench
