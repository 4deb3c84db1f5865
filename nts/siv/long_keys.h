// Key expansion for AES-192 and AES-256 in lanes (FIPS 197 section 5.2).
//
// By words, as the standard writes it, because with six words to a key a round key begins anywhere in a step.
// Only the S-box needs the lanes: it is the cipher's own, and no table is looked up. Internal linkage, for
// the reason lanes.h gives.
#pragma once

#include "nts/siv/lanes.h"

namespace nts::siv {
namespace {

// The S-box over the octets of one word of each lane. ShiftRows, which the last round of the cipher has too,
// leaves a block of four equal columns as it is. `columns` is the caller's, to wipe once for all words.
template <class L>
[[gnu::always_inline]] inline void substitute_words(uint32_t (&words)[L::width],
                                                    Octets (&columns)[L::width]) {
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint64_t pair = words[i] | uint64_t{words[i]} << 32;
    columns[i] = {pair, pair};
  }
  const typename L::State no_key = L::enter(L::same({0, 0}));
  L::to_octets(L::leave(L::last(L::enter(L::from_octets(columns)), no_key)), columns);
  for (uint32_t i = 0; i < L::width; ++i) words[i] = static_cast<uint32_t>(columns[i].low);
}

// Fills the rows of one half of L::width keys from `first_row` on; the half begins at `offset` in each key.
template <class L>
[[gnu::noinline]] void expand_long_half(const uint8_t* const (&keys)[L::width], uint32_t offset,
                                        uint8_t* rows, uint32_t first_row) {
  constexpr uint32_t key_words = half_key_bytes / 4;
  constexpr uint32_t all_words = 4 * round_keys;
  uint32_t words[all_words][L::width];
  uint32_t next[L::width];
  Octets columns[L::width];
  for (uint32_t n = 0; n < key_words; ++n) {
    for (uint32_t i = 0; i < L::width; ++i)
      words[n][i] = static_cast<uint32_t>(load_word<uint32_t>(keys[i] + offset + 4 * n));
  }
  uint32_t round_constant = 1;  // eight of them at most: it never needs reducing
  for (uint32_t n = key_words; n < all_words; ++n) {
    for (uint32_t i = 0; i < L::width; ++i) next[i] = words[n - 1][i];
    if (n % key_words == 0) {
      substitute_words<L>(next, columns);
      for (uint32_t i = 0; i < L::width; ++i) next[i] = (next[i] >> 8 | next[i] << 24) ^ round_constant;
      round_constant <<= 1;
    } else if (key_words > 6 && n % key_words == 4) {
      substitute_words<L>(next, columns);
    }
    for (uint32_t i = 0; i < L::width; ++i) words[n][i] = words[n - key_words][i] ^ next[i];
  }
  for (uint32_t round = 0; round < round_keys; ++round) {
    const auto* const word = words + 4 * round;
    for (uint32_t i = 0; i < L::width; ++i) {
      columns[i] = {word[0][i] | uint64_t{word[1][i]} << 32, word[2][i] | uint64_t{word[3][i]} << 32};
    }
    L::put_row(rows, first_row + round, L::from_octets(columns));
  }
  __builtin_memset(words, 0, sizeof words);
  __builtin_memset(next, 0, sizeof next);
  __builtin_memset(columns, 0, sizeof columns);
  __asm__ __volatile__("" : "+m"(words), "+m"(next), "+m"(columns));  // the stores are not dead
}

}  // namespace
}  // namespace nts::siv
