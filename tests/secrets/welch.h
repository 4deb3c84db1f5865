// Do two classes of input take the same time? The test of dudect (Reparaz, Balasch, Verbauwhede 2017).
//
// The classes come in random order, each call is timed alone, and Welch's t compares the means: over all
// samples, and over the fastest 99, 90 and 50 % of both together, which are freer of interrupts; the largest
// counts. What else the machine does falls on both classes alike, so that a load only makes t smaller.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>
#include <x86intrin.h>

namespace secrets {

// The time stamp counter, when all before it is done and nothing behind it has begun.
inline std::uint64_t ticks() {
  _mm_lfence();
  const std::uint64_t now = __rdtsc();
  _mm_lfence();
  return now;
}

struct Timings {
  std::vector<std::uint64_t> ticks;
  std::vector<std::uint8_t> class_of;  // 0 or 1
};

// |t| over the samples that took no longer than `most`.
inline double welch_t(const Timings& of, std::uint64_t most) {
  std::array<double, 2> count{}, mean{}, squares{};
  for (std::size_t i = 0; i < of.ticks.size(); ++i) {
    if (of.ticks[i] > most) continue;
    const std::size_t which = of.class_of[i];
    const double off = static_cast<double>(of.ticks[i]) - mean[which];
    mean[which] += off / ++count[which];
    squares[which] += off * (static_cast<double>(of.ticks[i]) - mean[which]);
  }
  if (count[0] == 0 || count[1] == 0) return HUGE_VAL;  // all of a class are among the slow ones
  double error = 0;                                     // one sample says nothing of its class's spread
  for (const std::size_t i : {0U, 1U}) error += squares[i] / std::max(count[i] - 1, 1.0) / count[i];
  if (error > 0) return std::abs(mean[0] - mean[1]) / std::sqrt(error);
  return mean[0] == mean[1] ? 0 : HUGE_VAL;
}

inline double largest_welch_t(const Timings& of) {
  std::vector<std::uint64_t> sorted = of.ticks;
  std::sort(sorted.begin(), sorted.end());
  double largest = 0;
  for (const std::size_t percent : {50U, 90U, 99U, 100U}) {
    largest = std::max(largest, welch_t(of, sorted[(sorted.size() - 1) * percent / 100]));
  }
  return largest;
}

// `prepare(class)` makes the input, in the same buffer and by the same way for both classes; `timed()` gives
// the ticks that the work on it took.
template <class Prepare, class Timed>
Timings time_classes(std::size_t samples, const Prepare& prepare, const Timed& timed) {
  std::mt19937 random(10);
  Timings of{std::vector<std::uint64_t>(samples), std::vector<std::uint8_t>(samples)};
  for (std::uint8_t& one : of.class_of) one = static_cast<std::uint8_t>(random() >> 31);
  for (std::size_t i = 0; i < samples; ++i) {
    prepare(of.class_of[i]);
    of.ticks[i] = timed();
  }
  return of;
}

}  // namespace secrets
