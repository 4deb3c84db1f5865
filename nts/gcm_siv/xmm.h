// One packet in a 128-bit register: the AES-NI tier, and a lone request in the wider ones.
#pragma once

#include <immintrin.h>

#include "nts/gcm_siv/registers.h"

namespace nts::gcm_siv {
namespace {

struct Xmm {
  using Register = __m128i;
  static constexpr uint32_t lanes = 1;

  [[gnu::always_inline]] static Register load(const uint8_t* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  }
  [[gnu::always_inline]] static void store(uint8_t* at, Register a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), a);
  }
  template <class From>
  [[gnu::always_inline]] static Register gather(const From& from) {
    return load(from(0));
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, Register a) {
    store(to(0), a);
  }
  [[gnu::always_inline]] static Register same(uint64_t low, uint64_t high) {
    return _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low));
  }
  [[gnu::always_inline]] static Register from_octets(const Octets* octets) {
    return same(octets->low, octets->high);
  }
  [[gnu::always_inline]] static Register each_word(uint32_t word) {
    return _mm_set1_epi32(static_cast<int>(word));
  }

  [[gnu::always_inline]] static Register round(Register a, Register key) { return _mm_aesenc_si128(a, key); }
  [[gnu::always_inline]] static Register last(Register a, Register key) {
    return _mm_aesenclast_si128(a, key);
  }
  template <int Halves>
  [[gnu::always_inline]] static Register multiplied(Register a, Register b) {
    return _mm_clmulepi64_si128(a, b, Halves);
  }

  [[gnu::always_inline]] static Register both(Register a, Register b) { return _mm_xor_si128(a, b); }
  [[gnu::always_inline]] static Register only(Register a, Register b) { return _mm_and_si128(a, b); }
  [[gnu::always_inline]] static Register either(Register a, Register b) { return _mm_or_si128(a, b); }
  [[gnu::always_inline]] static Register shuffled(Register a, Register order) {
    return _mm_shuffle_epi8(a, order);
  }
  [[gnu::always_inline]] static Register word_up(Register a) { return _mm_slli_si128(a, 4); }
  [[gnu::always_inline]] static Register half_up(Register a) { return _mm_slli_si128(a, 8); }
  [[gnu::always_inline]] static Register half_down(Register a) { return _mm_srli_si128(a, 8); }
  [[gnu::always_inline]] static Register exchanged(Register a) { return _mm_shuffle_epi32(a, 0x4e); }
  [[gnu::always_inline]] static Register low_halves(Register a, Register b) {
    return _mm_unpacklo_epi64(a, b);
  }
  [[gnu::always_inline]] static Register sum_u32(Register a, Register b) { return _mm_add_epi32(a, b); }
  [[gnu::always_inline]] static void compare(Register a, Register b, uint32_t* equal) {
    const __m128i difference = _mm_xor_si128(a, b);
    equal[0] = static_cast<uint32_t>(_mm_testz_si128(difference, difference));
  }
};

// A lone packet.
struct OneLane : RegisterLanes<Xmm, 1> {};

}  // namespace
}  // namespace nts::gcm_siv
