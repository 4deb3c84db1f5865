// Octets of a message in and out of words, a few at a time. No read or write leaves the message.
//
// Little-endian whatever the machine; branches depend on lengths alone. Internal linkage, for the reason
// lanes.h gives.
#pragma once

#include <stdint.h>

namespace nts::siv {
namespace {

constexpr uint32_t block_bytes = 16;

// 16 octets as two little-endian words.
struct Octets {
  uint64_t low, high;
};

alignas(16) constexpr uint8_t zero_block[block_bytes] = {};

template <class Word>
[[gnu::always_inline]] inline uint64_t load_word(const uint8_t* at) {
  Word word;
  __builtin_memcpy(&word, at, sizeof(word));
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && sizeof(Word) > 1) {
    return __builtin_bswap64(word) >> (64 - 8 * sizeof(Word));
  }
  return word;
}

template <class Word>
[[gnu::always_inline]] inline void store_word(uint8_t* at, uint64_t value) {
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && sizeof(Word) > 1) {
    value = __builtin_bswap64(value << (64 - 8 * sizeof(Word)));
  }
  const Word word = static_cast<Word>(value);
  __builtin_memcpy(at, &word, sizeof(word));
}

// The first `bytes` < 8 octets, zeros behind. Two loads that may overlap: the shared octets are equal.
[[gnu::always_inline]] inline uint64_t load_few(const uint8_t* at, uint32_t bytes) {
  if (bytes >= 4) return load_word<uint32_t>(at) | load_word<uint32_t>(at + bytes - 4) << (8 * (bytes - 4));
  if (bytes >= 2) return load_word<uint16_t>(at) | load_word<uint16_t>(at + bytes - 2) << (8 * (bytes - 2));
  return bytes == 1 ? *at : 0;
}

// The first `bytes` <= 16 octets, zeros behind.
[[gnu::always_inline]] inline Octets load_some(const uint8_t* at, uint32_t bytes) {
  if (bytes >= 16) return {load_word<uint64_t>(at), load_word<uint64_t>(at + 8)};
  if (bytes >= 8) return {load_word<uint64_t>(at), load_few(at + 8, bytes - 8)};
  return {load_few(at, bytes), 0};
}

// The first `bytes` < 16 octets with RFC 4493's padding: one bit, then zeros.
[[gnu::always_inline]] inline Octets load_padded(const uint8_t* at, uint32_t bytes) {
  Octets octets = load_some(at, bytes);
  const uint64_t bit = uint64_t{0x80} << (8 * (bytes & 7));
  if (bytes < 8) {
    octets.low |= bit;
  } else {
    octets.high |= bit;
  }
  return octets;
}

[[gnu::always_inline]] inline void store_some(uint8_t* at, Octets octets, uint32_t bytes) {
  uint64_t rest = octets.low;
  if (bytes >= 8) {
    store_word<uint64_t>(at, octets.low);
    at += 8;
    rest = octets.high;
  }
  if (bytes >= 16) {
    store_word<uint64_t>(at, rest);
    return;
  }
  if ((bytes & 4) != 0) {
    store_word<uint32_t>(at, rest);
    at += 4;
    rest >>= 32;
  }
  if ((bytes & 2) != 0) {
    store_word<uint16_t>(at, rest);
    at += 2;
    rest >>= 16;
  }
  if ((bytes & 1) != 0) store_word<uint8_t>(at, rest);
}

// As many as there are of `Bytes` octets at a time; the compiler picks the registers.
template <uint32_t Bytes>
[[gnu::always_inline]] inline void keep_or_wipe_blocks(uint8_t*& at, uint32_t& bytes, uint64_t mask) {
  typedef uint64_t Words __attribute__((vector_size(Bytes)));
  for (; bytes >= Bytes; bytes -= Bytes, at += Bytes) {
    Words words;
    __builtin_memcpy(&words, at, Bytes);
    words &= mask;
    __builtin_memcpy(at, &words, Bytes);
  }
}

// Keeps the octets when `keep` is 1 and clears them when it is 0, with the same loads and stores.
[[gnu::always_inline]] inline void keep_or_wipe(uint8_t* at, uint32_t bytes, uint32_t keep) {
  uint64_t mask = uint64_t{0} - keep;
  __asm__("" : "+r"(mask));  // The compiler may not know that it is all or nothing and branch on it.
  keep_or_wipe_blocks<64>(at, bytes, mask);
  keep_or_wipe_blocks<block_bytes>(at, bytes, mask);
  for (; bytes > 0; --bytes, ++at) *at = static_cast<uint8_t>(*at & mask);
}

}  // namespace
}  // namespace nts::siv
