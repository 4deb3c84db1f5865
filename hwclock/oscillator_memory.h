// What was learned of the oscillator, as octets that outlive the process: its rate and drift, how well they
// are known, and the evidence for how noisy it is.
//
// A file may hold anything. What is cut short, changed, of another version, not a number or beyond what any
// oscillator does is refused with a sentence, whole. Whose oscillator it was, and since which boot it has
// run, is written down as it was given: the caller compares. Pure: octets in, octets out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hwclock {

// One filter of the estimator's bank, as it stood at the last measurement.
struct RememberedFilter {
  std::uint32_t index = 0;
  double rate_ppb = 0.0;  // beyond the memory's ns_per_tick
  double drift_ppb_s = 0.0;
  double rate_variance = 0.0;  // these three unscaled, as the filter's own
  double rate_drift = 0.0;
  double drift_variance = 0.0;
  double log_evidence = 0.0;
  double squares = 0.0;
};

struct OscillatorMemory {
  static constexpr std::size_t filters_max = 22 * 27;
  static constexpr std::size_t identity_bytes = 16;
  using Identity = std::array<std::uint8_t, identity_bytes>;

  Identity machine{};       // whose oscillator
  Identity boot{};          // a machine that was off is cold, and its oscillator runs otherwise
  std::int64_t tai_ns = 0;  // when
  double ns_per_tick = 0.0;
  double sigma_ns = 0.0;  // of a usual measurement: the bank's noise is relative to it
  double samples = 0.0;   // that the evidence remembers
  std::uint32_t best = 0;
  std::uint32_t filter_count = 0;
  std::array<RememberedFilter, filters_max> filters{};
};

inline constexpr std::size_t memory_bytes_max = 64 * 1024;

[[nodiscard]] std::vector<std::uint8_t> encode_memory(const OscillatorMemory& memory);

// Ensures: gives "" and a memory that an estimator may take, or what is wrong with the octets, to follow
// "it".
[[nodiscard]] std::string decode_memory(std::span<const std::uint8_t> octets, OscillatorMemory& memory);

}  // namespace hwclock
