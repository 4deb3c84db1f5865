// One packet in a 128-bit register: what the AES-NI tier is made of, and what the wider tiers take for a lone
// request. The compiler writes the same intrinsics in the instruction set of the file that includes this.
#pragma once

#include <immintrin.h>

#include "nts/siv/registers.h"

namespace nts::siv {
namespace {

struct Xmm {
  using Register = __m128i;
  static constexpr uint32_t lanes = 1;

  // ---- Memory ----

  [[gnu::always_inline]] static Register load(const uint8_t* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  }
  [[gnu::always_inline]] static Register load_row(const uint8_t* at) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(at));
  }
  [[gnu::always_inline]] static void store(uint8_t* at, Register a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), a);
  }
  [[gnu::always_inline]] static Register same(const uint8_t* at) { return load(at); }
  // `from(i)` and `to(i)` are the addresses in packet i of the register.
  template <class From>
  [[gnu::always_inline]] static Register gather(const From& from) {
    return load(from(0));
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, Register a) {
    store(to(0), a);
  }

  // ---- The cipher ----

  [[gnu::always_inline]] static Register round(Register a, Register key) { return _mm_aesenc_si128(a, key); }
  [[gnu::always_inline]] static Register last(Register a, Register key) {
    return _mm_aesenclast_si128(a, key);
  }

  // ---- Octets and words ----

  [[gnu::always_inline]] static Register both(Register a, Register b) { return _mm_xor_si128(a, b); }
  // `c` is the one that is waited for in a key expansion.
  [[gnu::always_inline]] static Register all(Register a, Register b, Register c) {
    return both(both(a, b), c);
  }
  [[gnu::always_inline]] static Register only(Register a, Register mask) { return _mm_and_si128(a, mask); }
  [[gnu::always_inline]] static Register shuffled(Register a, Register order) {
    return _mm_shuffle_epi8(a, order);
  }
  [[gnu::always_inline]] static Register word_up(Register a) { return _mm_slli_si128(a, 4); }
  [[gnu::always_inline]] static Register two_words_up(Register a) { return _mm_slli_si128(a, 8); }
  // Words, or pairs of words, of `a` and `b` by turns: those of the lower or of the higher half.
  [[gnu::always_inline]] static Register low_words(Register a, Register b) {
    return _mm_unpacklo_epi32(a, b);
  }
  [[gnu::always_inline]] static Register high_words(Register a, Register b) {
    return _mm_unpackhi_epi32(a, b);
  }
  [[gnu::always_inline]] static Register low_pairs(Register a, Register b) {
    return _mm_unpacklo_epi64(a, b);
  }
  [[gnu::always_inline]] static Register high_pairs(Register a, Register b) {
    return _mm_unpackhi_epi64(a, b);
  }
  [[gnu::always_inline]] static Register sum_u32(Register a, Register b) { return _mm_add_epi32(a, b); }
  [[gnu::always_inline]] static Register sum_u64(Register a, Register b) { return _mm_add_epi64(a, b); }
  // All ones in the low word of each half where the other half is negative as a number of 64 bits.
  [[gnu::always_inline]] static Register half_signs_exchanged(Register a) {
    return _mm_shuffle_epi32(_mm_srai_epi32(a, 31), 0x13);
  }
  [[gnu::always_inline]] static Register each_word(uint32_t word) {
    return _mm_set1_epi32(static_cast<int>(word));
  }
  [[gnu::always_inline]] static Register last_word(uint32_t word) {
    return _mm_set_epi32(static_cast<int>(word), 0, 0, 0);
  }
  [[gnu::always_inline]] static void compare(Register a, Register b, uint32_t* equal) {
    const __m128i difference = _mm_xor_si128(a, b);
    equal[0] = static_cast<uint32_t>(_mm_testz_si128(difference, difference));
  }
};

}  // namespace
}  // namespace nts::siv
