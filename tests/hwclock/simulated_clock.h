// A kernel's clock over a TSC, both simulated: its rate and phase are whatever the test does to them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

#include "hwclock/reading.h"

namespace hwclock {

class SimulatedClock {
 public:
  static constexpr std::uint64_t tsc_hz = 2'600'000'000;
  static constexpr std::int64_t utc_start_ns = 1'800'000'000'000'000'000;

  void advance(double seconds) {
    const double ticks = seconds * static_cast<double>(tsc_hz) + ticks_left_;
    const double whole = std::floor(ticks);
    ticks_left_ = ticks - whole;
    tsc_ += static_cast<std::uint64_t>(whole);
    ns_ += static_cast<long double>(whole) * 1e9L / static_cast<long double>(tsc_hz) *
           (1.0L + static_cast<long double>(rate_ppb) * 1e-9L);
  }
  void step(std::int64_t by_ns) { ns_ += static_cast<long double>(by_ns); }
  void jump_tsc(std::int64_t ticks) { tsc_ += static_cast<std::uint64_t>(ticks); }

  [[nodiscard]] std::uint64_t tsc() const { return tsc_; }
  [[nodiscard]] std::int64_t utc_ns() const { return utc_start_ns + static_cast<std::int64_t>(ns_); }

  // As the edge reads it: 30 ns wide, now and then up to 20 us, and anywhere within its bracket.
  [[nodiscard]] Reading read() {
    const bool disturbed = std::uniform_real_distribution(0.0, 1.0)(random) < 0.01;
    const double half_width_ns = disturbed ? std::uniform_real_distribution(15.0, 10'000.0)(random) : 15.0;
    const double off_ns = std::uniform_real_distribution(-half_width_ns, half_width_ns)(random);
    return {tsc_, static_cast<std::uint64_t>(half_width_ns * 2.6), utc_ns() + std::llround(off_ns)};
  }

  double rate_ppb = 0;  // of the clock against the TSC's nominal rate
  std::mt19937_64 random{1};

 private:
  std::uint64_t tsc_ = 5'000'000'000'000;
  long double ns_ = 0;
  double ticks_left_ = 0;
};

}  // namespace hwclock
