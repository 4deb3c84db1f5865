// The internet checksum (RFC 1071), on octets.
//
// A partial sum is a plain 64-bit number: 32-bit words added as the machine reads them. One's complement
// addition does not care about byte order, so nothing is swapped until nobody needs to: the folded sum is
// stored as it was read. 64 KiB of octets cannot overflow the accumulator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dataplane {

[[nodiscard]] inline std::uint64_t sum_word(const std::uint8_t* octets) noexcept {
  std::uint32_t word;
  std::memcpy(&word, octets, sizeof word);
  return word;
}

[[nodiscard]] inline std::uint64_t sum_octets(const std::uint8_t* octets, std::size_t bytes) noexcept {
  std::uint64_t sum = 0;
  while (bytes >= 8) {
    std::uint64_t two_words;
    std::memcpy(&two_words, octets, sizeof two_words);
    sum += (two_words & 0xffffffff) + (two_words >> 32);
    octets += 8;
    bytes -= 8;
  }
  if (bytes != 0) {
    std::uint64_t rest = 0;  // RFC 1071: the end is padded with zeros
    std::memcpy(&rest, octets, bytes);
    sum += (rest & 0xffffffff) + (rest >> 32);
  }
  return sum;
}

// A 16-bit value in host order, as a term of a sum over network-order octets.
[[nodiscard]] inline std::uint64_t sum_of_value(std::uint16_t value) noexcept {
  return __builtin_bswap16(value);
}

// Folds to the 16 bits that the sum of 16-bit words would have; 0xffff and 0 both stand for zero.
[[nodiscard]] inline std::uint16_t fold(std::uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// True when the octets summed carry their own right checksum.
[[nodiscard]] inline bool is_right_checksum(std::uint64_t sum) noexcept { return fold(sum) == 0xffff; }

// What goes into a checksum field; store with store_folded.
[[nodiscard]] inline std::uint16_t checksum_of(std::uint64_t sum) noexcept {
  return static_cast<std::uint16_t>(~fold(sum));
}

inline void store_folded(std::uint8_t* field, std::uint16_t folded) noexcept {
  std::memcpy(field, &folded, sizeof folded);
}

}  // namespace dataplane
