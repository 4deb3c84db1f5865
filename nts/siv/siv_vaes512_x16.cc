// AES-SIV for sixteen packets side by side with VAES and AVX-512: four packets in each of four 512-bit
// registers, and 32 registers for two chains of these and their keys.

#include <cpuid.h>
#include <immintrin.h>

#include "nts/siv/expansion.h"
#include "nts/siv/registers.h"
#include "nts/siv/xmm.h"

namespace nts::siv {
namespace {

struct Zmm {
  using Register = __m512i;
  static constexpr uint32_t lanes = 4;
  // Some instructions are asked for with a mask that masks nothing: the plain form of gcc 12's header reads a
  // register that nobody set, of which gcc 12 then warns (its bug 105593).
  static constexpr __mmask16 every = 0xffff;

  // ---- Memory ----

  [[gnu::always_inline]] static Register load(const uint8_t* at) {
    return _mm512_loadu_si512(reinterpret_cast<const __m512i*>(at));
  }
  [[gnu::always_inline]] static Register load_row(const uint8_t* at) {
    return _mm512_load_si512(reinterpret_cast<const __m512i*>(at));
  }
  [[gnu::always_inline]] static void store(uint8_t* at, Register a) {
    _mm512_storeu_si512(reinterpret_cast<__m512i*>(at), a);
  }
  // The first `bytes` <= 64 octets; no other octet is touched.
  [[gnu::always_inline]] static Register load_part(const uint8_t* at, uint32_t bytes) {
    return _mm512_maskz_loadu_epi8(first_octets(bytes), at);
  }
  [[gnu::always_inline]] static void store_part(uint8_t* at, Register a, uint32_t bytes) {
    _mm512_mask_storeu_epi8(at, first_octets(bytes), a);
  }
  [[gnu::always_inline]] static Register same(const uint8_t* at) {
    return _mm512_maskz_broadcast_i32x4(every, _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  // `from(i)` and `to(i)` are the addresses in packet i of the register.
  template <class From>
  [[gnu::always_inline]] static Register gather(const From& from) {
    const auto one = [&](uint32_t i) __attribute__((always_inline)) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from(i)));
    };
    __m512i a = _mm512_castsi128_si512(one(0));
    a = _mm512_inserti32x4(a, one(1), 1);
    a = _mm512_inserti32x4(a, one(2), 2);
    return _mm512_inserti32x4(a, one(3), 3);
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, Register a) {
    const auto put = [&](uint32_t i, __m128i one) __attribute__((always_inline)) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to(i)), one);
    };
    put(0, __builtin_shufflevector(a, a, 0, 1));
    put(1, _mm512_maskz_extracti32x4_epi32(static_cast<__mmask8>(every), a, 1));
    put(2, _mm512_maskz_extracti32x4_epi32(static_cast<__mmask8>(every), a, 2));
    put(3, _mm512_maskz_extracti32x4_epi32(static_cast<__mmask8>(every), a, 3));
  }

  // ---- The cipher ----

  [[gnu::always_inline]] static Register round(Register a, Register key) {
    return _mm512_aesenc_epi128(a, key);
  }
  [[gnu::always_inline]] static Register last(Register a, Register key) {
    return _mm512_aesenclast_epi128(a, key);
  }

  // ---- Octets and words ----

  [[gnu::always_inline]] static Register both(Register a, Register b) { return _mm512_xor_si512(a, b); }
  [[gnu::always_inline]] static Register all(Register a, Register b, Register c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);  // a xor b xor c
  }
  [[gnu::always_inline]] static Register only(Register a, Register mask) { return _mm512_and_si512(a, mask); }
  [[gnu::always_inline]] static Register shuffled(Register a, Register order) {
    return _mm512_shuffle_epi8(a, order);
  }
  [[gnu::always_inline]] static Register word_up(Register a) { return _mm512_bslli_epi128(a, 4); }
  [[gnu::always_inline]] static Register two_words_up(Register a) { return _mm512_bslli_epi128(a, 8); }
  // Words, or pairs of words, of `a` and `b` by turns: those of the lower or of the higher half.
  [[gnu::always_inline]] static Register low_words(Register a, Register b) {
    return _mm512_maskz_unpacklo_epi32(every, a, b);
  }
  [[gnu::always_inline]] static Register high_words(Register a, Register b) {
    return _mm512_maskz_unpackhi_epi32(every, a, b);
  }
  [[gnu::always_inline]] static Register low_pairs(Register a, Register b) {
    return _mm512_maskz_unpacklo_epi64(static_cast<__mmask8>(every), a, b);
  }
  [[gnu::always_inline]] static Register high_pairs(Register a, Register b) {
    return _mm512_maskz_unpackhi_epi64(static_cast<__mmask8>(every), a, b);
  }
  [[gnu::always_inline]] static Register sum_u32(Register a, Register b) { return _mm512_add_epi32(a, b); }
  [[gnu::always_inline]] static Register sum_u64(Register a, Register b) { return _mm512_add_epi64(a, b); }
  // All ones in the low word of each half where the other half is negative as a number of 64 bits.
  [[gnu::always_inline]] static Register half_signs_exchanged(Register a) {
    return _mm512_maskz_shuffle_epi32(every, _mm512_maskz_srai_epi32(every, a, 31), _MM_PERM_ABAD);
  }
  [[gnu::always_inline]] static Register each_word(uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
  }
  [[gnu::always_inline]] static Register last_word(uint32_t word) {
    return _mm512_maskz_broadcast_i32x4(every, _mm_set_epi32(static_cast<int>(word), 0, 0, 0));
  }
  // `first` and the three numbers behind it in the last word of each packet's place.
  [[gnu::always_inline]] static Register lane_numbers(uint32_t first) {
    const int n = static_cast<int>(first);
    return _mm512_set_epi32(n + 3, 0, 0, 0, n + 2, 0, 0, 0, n + 1, 0, 0, 0, n, 0, 0, 0);
  }
  [[gnu::always_inline]] static void compare(Register a, Register b, uint32_t* equal) {
    const uint32_t equal_words = _mm512_cmpeq_epi32_mask(a, b);
    const uint32_t equal_pairs = equal_words & equal_words >> 1;
    const uint32_t equal_lanes = equal_pairs & equal_pairs >> 2;  // in every fourth bit
    for (uint32_t i = 0; i < lanes; ++i) equal[i] = equal_lanes >> 4 * i & 1;
  }

 private:
  [[gnu::always_inline]] static __mmask64 first_octets(uint32_t bytes) {
    return ~uint64_t{0} >> (64 - bytes);
  }
};

// A lone request: narrower instructions are as fast, and none of them moves empty lanes.
struct OneLane : RegisterLanes<Xmm, 1, Zmm::lanes> {
  using Narrower = void;
};
struct FourLanes : RegisterLanes<Zmm, 1> {
  using Narrower = OneLane;
};
struct EightLanes : RegisterLanes<Zmm, 2> {
  using Narrower = FourLanes;
};
// Half a burst of another shape, as in a mixed one.
struct TwelveLanes : RegisterLanes<Zmm, 3> {
  using Narrower = EightLanes;
};
struct SixteenLanes : RegisterLanes<Zmm, 4> {
  using Narrower = TwelveLanes;
};

// The compiler's run time says "avx512f" only when the operating system keeps the 512-bit registers too
// (XGETBV); it has no name for VAES on every compiler.
int cpu_can_run() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool has_vaes = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & bit_VAES) != 0;
  return has_vaes && __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

}  // namespace

extern const Kernels vaes512_x16;
const Kernels vaes512_x16 = make_kernels<SixteenLanes>(
    "vaes512_x16", "AES, AVX512F, AVX512BW, AVX512DQ, AVX512VL, VAES", cpu_can_run);

}  // namespace nts::siv
