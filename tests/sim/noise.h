// Normal numbers by Box and Muller: std::normal_distribution differs between libraries.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace sim {

class Noise {
 public:
  explicit Noise(std::uint64_t seed) : random_(seed) {}
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double exponential() { return -std::log(1.0 - uniform()); }
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    const double angle = 2.0 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::mt19937_64 random_;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

}  // namespace sim
