// Forced in front of a tier file in a MemorySanitizer build: the intrinsics whose shadow clang 14 gets wrong.
//
// For some it knows no rule and reports any secret operand, though nothing is decided (ternary logic, testz,
// movemask, the empty asm of octets.h). For others its rule is a plain OR of the operands' shadows in place,
// so a secret in one octet would not spread to where the instruction takes it (a round of AES, a shuffle of
// octets, a product of polynomials, a carry). Each is given here a rule that never loses a secret: what an
// octet may depend on makes it secret. The values are those of the instruction. shadows.cc tests every rule,
// these and clang's own.
//
// Not mended: carries of plain integers. The wide tiers add none that is secret but in keep_or_wipe, whose
// mask nothing but an AND takes; watched_tiers.cc looks at the end whether verdicts and texts are secret
// still.
#pragma once

#include <algorithm>
#include <array>
#include <cpuid.h>
#include <cstdio>
#include <cstring>
#include <immintrin.h>
#include <iterator>
#include <random>
#include <sanitizer/msan_interface.h>
#include <span>
#include <stdint.h>
#include <string_view>

namespace msan {
namespace {

template <class Register>
struct alignas(64) Watched {
  Register value;
  [[nodiscard]] const uint8_t* octets() const { return reinterpret_cast<const uint8_t*>(&value); }
  [[nodiscard]] bool is_secret(uint32_t at, uint32_t bytes) const {
    return __msan_test_shadow(octets() + at, bytes) != -1;
  }
};

// The value without its shadow, so that the instruction reports nothing.
template <class Register>
[[gnu::noinline]] Register plain(const Register& value) {
  Watched<Register> copy{value};
  __msan_unpoison(&copy, sizeof copy);
  return copy.value;
}

// `result` with those octets secret for which `depends(octet)` says so.
template <class Register, class Depends>
[[gnu::noinline]] Register with_shadow(const Register& result, const Depends& depends) {
  Watched<Register> out{result};
  __msan_unpoison(&out, sizeof out);
  for (uint32_t at = 0; at < sizeof(Register); ++at) {
    if (depends(at)) __msan_poison(out.octets() + at, 1);
  }
  return out.value;
}

// A round mixes the octets of a block: one secret octet of state or key makes all sixteen secret.
template <class Register>
Register mixed(const Register& result, const Register& state, const Register& key) {
  const Watched<Register> a{state}, b{key};
  return with_shadow(result,
                     [&](uint32_t at) { return a.is_secret(at & ~15U, 16) || b.is_secret(at & ~15U, 16); });
}

// An octet comes from where its order says; a secret order makes it secret.
template <class Register>
Register shuffled(const Register& result, const Register& from, const Register& order) {
  const Watched<Register> a{from}, b{order}, known{plain(order)};
  return with_shadow(result, [&](uint32_t at) {
    if (b.is_secret(at, 1)) return true;
    const uint32_t place = known.octets()[at];
    return (place & 0x80) == 0 && a.is_secret((at & ~15U) + (place & 15), 1);
  });
}

// A product of two halves reaches over the whole block.
template <class Register>
Register multiplied(const Register& result, const Register& left, const Register& right, int halves) {
  const Watched<Register> a{left}, b{right};
  return with_shadow(result, [&](uint32_t at) {
    const uint32_t block = at & ~15U;
    return a.is_secret(block + (halves & 0x01 ? 8 : 0), 8) || b.is_secret(block + (halves & 0x10 ? 8 : 0), 8);
  });
}

// A sum carries towards the higher octets of its word.
template <class Register, uint32_t WordBytes>
Register carried(const Register& result, const Register& left, const Register& right) {
  const Watched<Register> a{left}, b{right};
  return with_shadow(result, [&](uint32_t at) {
    const uint32_t word = at / WordBytes * WordBytes;
    return a.is_secret(word, at - word + 1) || b.is_secret(word, at - word + 1);
  });
}

// Word by word, by clang's own exact rules for and, or and comparison.
inline int testz(__m128i a, __m128i b) {
  const __m128i common = a & b;
  uint64_t words[2];
  __builtin_memcpy(words, &common, sizeof words);
  return (words[0] | words[1]) == 0;
}
inline int movemask(__m256d a) {
  uint64_t words[4];
  __builtin_memcpy(words, &a, sizeof words);
  uint32_t mask = 0;
  for (uint32_t at = 0; at < 4; ++at) mask |= static_cast<uint32_t>(words[at] >> 63) << at;
  return static_cast<int>(mask);
}
inline __m512i exclusive_or_of_three(__m512i a, __m512i b, __m512i c) { return a ^ b ^ c; }

#define NOONMARK_MSAN_RULE(rule, name, builtin, Register)               \
  inline Register name(Register a, Register b) {                        \
    return rule(builtin(plain<Register>(a), plain<Register>(b)), a, b); \
  }
NOONMARK_MSAN_RULE(mixed, aesenc_128, _mm_aesenc_si128, __m128i)
NOONMARK_MSAN_RULE(mixed, aesenclast_128, _mm_aesenclast_si128, __m128i)
NOONMARK_MSAN_RULE(mixed, aesenc_256, _mm256_aesenc_epi128, __m256i)
NOONMARK_MSAN_RULE(mixed, aesenclast_256, _mm256_aesenclast_epi128, __m256i)
NOONMARK_MSAN_RULE(mixed, aesenc_512, _mm512_aesenc_epi128, __m512i)
NOONMARK_MSAN_RULE(mixed, aesenclast_512, _mm512_aesenclast_epi128, __m512i)
NOONMARK_MSAN_RULE(shuffled, shuffle_128, _mm_shuffle_epi8, __m128i)
NOONMARK_MSAN_RULE(shuffled, shuffle_256, _mm256_shuffle_epi8, __m256i)
NOONMARK_MSAN_RULE(shuffled, shuffle_512, _mm512_shuffle_epi8, __m512i)
NOONMARK_MSAN_RULE((carried<__m128i, 4>), add_u32_128, _mm_add_epi32, __m128i)
NOONMARK_MSAN_RULE((carried<__m256i, 4>), add_u32_256, _mm256_add_epi32, __m256i)
NOONMARK_MSAN_RULE((carried<__m512i, 4>), add_u32_512, _mm512_add_epi32, __m512i)
NOONMARK_MSAN_RULE((carried<__m128i, 8>), add_u64_128, _mm_add_epi64, __m128i)
NOONMARK_MSAN_RULE((carried<__m256i, 8>), add_u64_256, _mm256_add_epi64, __m256i)
NOONMARK_MSAN_RULE((carried<__m512i, 8>), add_u64_512, _mm512_add_epi64, __m512i)
#undef NOONMARK_MSAN_RULE

template <int Halves>
__m128i clmul_128(__m128i a, __m128i b) {
  return multiplied<__m128i>(_mm_clmulepi64_si128(plain<__m128i>(a), plain<__m128i>(b), Halves), a, b,
                             Halves);
}
template <int Halves>
__m256i clmul_256(__m256i a, __m256i b) {
  return multiplied<__m256i>(_mm256_clmulepi64_epi128(plain<__m256i>(a), plain<__m256i>(b), Halves), a, b,
                             Halves);
}
template <int Halves>
__m512i clmul_512(__m512i a, __m512i b) {
  return multiplied<__m512i>(_mm512_clmulepi64_epi128(plain<__m512i>(a), plain<__m512i>(b), Halves), a, b,
                             Halves);
}

}  // namespace
}  // namespace msan

#define _mm_aesenc_si128(a, b) msan::aesenc_128(a, b)
#define _mm_aesenclast_si128(a, b) msan::aesenclast_128(a, b)
#define _mm256_aesenc_epi128(a, b) msan::aesenc_256(a, b)
#define _mm256_aesenclast_epi128(a, b) msan::aesenclast_256(a, b)
#define _mm512_aesenc_epi128(a, b) msan::aesenc_512(a, b)
#define _mm512_aesenclast_epi128(a, b) msan::aesenclast_512(a, b)
#define _mm_shuffle_epi8(a, b) msan::shuffle_128(a, b)
#define _mm256_shuffle_epi8(a, b) msan::shuffle_256(a, b)
#define _mm512_shuffle_epi8(a, b) msan::shuffle_512(a, b)
#define _mm_add_epi32(a, b) msan::add_u32_128(a, b)
#define _mm256_add_epi32(a, b) msan::add_u32_256(a, b)
#define _mm512_add_epi32(a, b) msan::add_u32_512(a, b)
#define _mm_add_epi64(a, b) msan::add_u64_128(a, b)
#define _mm256_add_epi64(a, b) msan::add_u64_256(a, b)
#define _mm512_add_epi64(a, b) msan::add_u64_512(a, b)
#undef _mm_clmulepi64_si128
#undef _mm256_clmulepi64_epi128
#undef _mm512_clmulepi64_epi128
#define _mm_clmulepi64_si128(a, b, halves) msan::clmul_128<halves>(a, b)
#define _mm256_clmulepi64_epi128(a, b, halves) msan::clmul_256<halves>(a, b)
#define _mm512_clmulepi64_epi128(a, b, halves) msan::clmul_512<halves>(a, b)
#define _mm_testz_si128(a, b) msan::testz(a, b)
#define _mm256_movemask_pd(a) msan::movemask(a)
// A tier uses this one truth table; another does not compile.
#undef _mm512_ternarylogic_epi64
#define _mm512_ternarylogic_epi64(a, b, c, table) \
  (__extension__({                                \
    static_assert((table) == 0x96);               \
    msan::exclusive_or_of_three(a, b, c);         \
  }))
// The barrier of octets.h, of no octets: clang reports a secret operand of any asm. Without it the compiler
// could turn the mask into a branch, which then is reported. libc renames functions by an __asm__ of strings:
// what a tier and the programs include of it stands above, so that the rest of the file is ours.
#define __asm__(...) static_cast<void>(0)
// Inlining to the last round would take clang a minute. Functions are the same, called.
#define always_inline unused
