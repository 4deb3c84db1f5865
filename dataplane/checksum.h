// The internet checksum (RFC 1071), on octets.
//
// A partial sum is a 64-bit one's complement number over words as the machine reads them: one's complement
// addition does not care about byte order, so nothing is swapped until it is stored. Partial sums are joined
// with `plus`, which brings the carry around.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "dataplane/wide_sum.h"

namespace dataplane {

[[nodiscard, gnu::always_inline]] inline std::uint64_t plus(std::uint64_t left,
                                                            std::uint64_t right) noexcept {
  const std::uint64_t sum = left + right;
  return sum + (sum < left ? 1 : 0);
}

[[nodiscard]] inline std::uint64_t sum_word(const std::uint8_t* octets) noexcept {
  std::uint32_t word;
  std::memcpy(&word, octets, sizeof word);
  return word;
}

[[nodiscard]] inline std::uint64_t sum_double_word(const std::uint8_t* octets) noexcept {
  std::uint64_t words;
  std::memcpy(&words, octets, sizeof words);
  return words;
}

// Adds `count` words of 64 bits, known beforehand, to a sum: each takes the carry of the one before with it.
template <std::size_t count>
[[nodiscard, gnu::always_inline]] inline std::uint64_t plus_words(std::uint64_t start,
                                                                  const std::uint8_t* octets) noexcept {
#if defined(__x86_64__)
  unsigned long long sum = start;
  unsigned char carry = 0;
#pragma GCC unroll 8
  for (std::size_t i = 0; i < count; ++i) {
    carry = _addcarry_u64(carry, sum, sum_double_word(octets + 8 * i), &sum);
  }
  return sum + carry;
#else
  for (std::size_t i = 0; i < count; ++i) start = plus(start, sum_double_word(octets + 8 * i));
  return start;
#endif
}

// The last one to three octets; RFC 1071 pads them with zeros.
[[nodiscard, gnu::noinline]] inline std::uint64_t sum_tail(const std::uint8_t* octets,
                                                           std::size_t bytes) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes; ++i) sum |= std::uint64_t{octets[i]} << 8 * i;
  return sum;
}

// Of fewer than some hundred octets: two sums side by side, so that each addition waits for its own carry
// only.
[[nodiscard, gnu::always_inline]] inline std::uint64_t sum_narrow(const std::uint8_t* octets,
                                                                  std::size_t bytes) noexcept {
  std::uint64_t even = 0;
  std::uint64_t odd = 0;
  for (; bytes >= 16; bytes -= 16, octets += 16) {
    even = plus(even, sum_double_word(octets));
    odd = plus(odd, sum_double_word(octets + 8));
  }
  if ((bytes & 8) != 0) {
    even = plus(even, sum_double_word(octets));
    octets += 8;
  }
  if ((bytes & 4) != 0) {
    odd = plus(odd, sum_word(octets));
    octets += 4;
  }
  if ((bytes & 3) != 0) [[unlikely]]
    odd = plus(odd, sum_tail(octets, bytes & 3));
  return plus(even, odd);
}

// Below this a wide sum is not yet worth the call: a plain request is shorter, an NTS request longer.
inline constexpr std::size_t wide_octets_min = 96;

// Of at most wide_octets_max.
[[nodiscard, gnu::always_inline]] inline std::uint64_t sum_octets(const std::uint8_t* octets,
                                                                  std::size_t bytes) noexcept {
  return bytes < wide_octets_min ? sum_narrow(octets, bytes) : sum_wide(octets, bytes);
}

// A 16-bit value in host order, as a term of a sum over network-order octets.
[[nodiscard]] constexpr std::uint64_t sum_of_value(std::uint16_t value) noexcept {
  return __builtin_bswap16(value);
}

// Folds to the 16 bits that the sum of 16-bit words would have; 0xffff and 0 both stand for zero. Adding a
// number to itself with its halves exchanged leaves both halves' sum, carry included, in the upper half.
[[nodiscard, gnu::always_inline]] inline std::uint16_t fold(std::uint64_t sum) noexcept {
  const auto folded32 = static_cast<std::uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<std::uint16_t>((folded32 + std::rotl(folded32, 16)) >> 16);
}

// True when the octets summed carry their own right checksum. Requires that not all of them are zero.
[[nodiscard, gnu::always_inline]] inline bool is_right_checksum(std::uint64_t sum) noexcept {
  return sum % 0xffff == 0;  // a multiplication and a comparison
}

// What goes into a checksum field; store with store_folded.
[[nodiscard, gnu::always_inline]] inline std::uint16_t checksum_of(std::uint64_t sum) noexcept {
  return static_cast<std::uint16_t>(~fold(sum));
}

inline void store_folded(std::uint8_t* field, std::uint16_t folded) noexcept {
  std::memcpy(field, &folded, sizeof folded);
}

}  // namespace dataplane
