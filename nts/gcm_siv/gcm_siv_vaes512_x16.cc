// AES-GCM-SIV for sixteen packets side by side with VAES, VPCLMULQDQ and AVX-512: four in each of four
// registers.

#include <cpuid.h>

#include "nts/gcm_siv/xmm.h"

namespace nts::gcm_siv {
namespace {

struct Zmm {
  using Register = __m512i;
  static constexpr uint32_t lanes = 4;
  // A mask that masks nothing: the plain form of some intrinsics reads a register that nobody set, of which
  // gcc 12 then warns (its bug 105593).
  static constexpr __mmask16 every = 0xffff;
  static constexpr __mmask8 every_half = 0xff;

  [[gnu::always_inline]] static Register load(const uint8_t* at) { return _mm512_loadu_si512(at); }
  [[gnu::always_inline]] static void store(uint8_t* at, Register a) { _mm512_storeu_si512(at, a); }
  template <class From>
  [[gnu::always_inline]] static Register gather(const From& from) {
    Register a = _mm512_castsi128_si512(Xmm::load(from(0)));
    a = _mm512_inserti32x4(a, Xmm::load(from(1)), 1);
    a = _mm512_inserti32x4(a, Xmm::load(from(2)), 2);
    return _mm512_inserti32x4(a, Xmm::load(from(3)), 3);
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, Register a) {
    Xmm::store(to(0), __builtin_shufflevector(a, a, 0, 1));
    Xmm::store(to(1), _mm512_maskz_extracti32x4_epi32(every_half, a, 1));
    Xmm::store(to(2), _mm512_maskz_extracti32x4_epi32(every_half, a, 2));
    Xmm::store(to(3), _mm512_maskz_extracti32x4_epi32(every_half, a, 3));
  }
  [[gnu::always_inline]] static Register same(uint64_t low, uint64_t high) {
    return _mm512_maskz_broadcast_i32x4(every, Xmm::same(low, high));
  }
  [[gnu::always_inline]] static Register from_octets(const Octets* octets) {
    Register a = _mm512_castsi128_si512(Xmm::from_octets(octets));
    a = _mm512_inserti32x4(a, Xmm::from_octets(octets + 1), 1);
    a = _mm512_inserti32x4(a, Xmm::from_octets(octets + 2), 2);
    return _mm512_inserti32x4(a, Xmm::from_octets(octets + 3), 3);
  }
  [[gnu::always_inline]] static Register each_word(uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
  }

  [[gnu::always_inline]] static Register round(Register a, Register key) {
    return _mm512_aesenc_epi128(a, key);
  }
  [[gnu::always_inline]] static Register last(Register a, Register key) {
    return _mm512_aesenclast_epi128(a, key);
  }
  template <int Halves>
  [[gnu::always_inline]] static Register multiplied(Register a, Register b) {
    return _mm512_clmulepi64_epi128(a, b, Halves);
  }

  [[gnu::always_inline]] static Register both(Register a, Register b) { return _mm512_xor_si512(a, b); }
  [[gnu::always_inline]] static Register only(Register a, Register b) { return _mm512_and_si512(a, b); }
  [[gnu::always_inline]] static Register either(Register a, Register b) { return _mm512_or_si512(a, b); }
  [[gnu::always_inline]] static Register shuffled(Register a, Register order) {
    return _mm512_shuffle_epi8(a, order);
  }
  [[gnu::always_inline]] static Register word_up(Register a) { return _mm512_bslli_epi128(a, 4); }
  [[gnu::always_inline]] static Register half_up(Register a) { return _mm512_bslli_epi128(a, 8); }
  [[gnu::always_inline]] static Register half_down(Register a) { return _mm512_bsrli_epi128(a, 8); }
  [[gnu::always_inline]] static Register exchanged(Register a) {
    return _mm512_maskz_shuffle_epi32(every, a, _MM_PERM_BADC);
  }
  [[gnu::always_inline]] static Register low_halves(Register a, Register b) {
    return _mm512_maskz_unpacklo_epi64(every_half, a, b);
  }
  [[gnu::always_inline]] static Register sum_u32(Register a, Register b) { return _mm512_add_epi32(a, b); }
  [[gnu::always_inline]] static void compare(Register a, Register b, uint32_t* equal) {
    const uint32_t differ = _mm512_cmpneq_epi64_mask(a, b);
    for (uint32_t i = 0; i < lanes; ++i) {
      const uint32_t halves = differ >> (2 * i);
      equal[i] = 1 & ~(halves | halves >> 1);
    }
  }
};

struct FourLanes : RegisterLanes<Zmm, 1> {
  using Narrower = OneLane;
  static constexpr bool has_narrower = true;
};
struct EightLanes : RegisterLanes<Zmm, 2> {
  using Narrower = FourLanes;
  static constexpr bool has_narrower = true;
};
struct SixteenLanes : RegisterLanes<Zmm, 4> {
  using Narrower = EightLanes;
  static constexpr bool has_narrower = true;
};

// The compiler's run time says "avx512f" only when the operating system keeps the 512-bit registers too.
int cpu_can_run() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool has_both =
      __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & bit_VAES) != 0 && (c & bit_VPCLMULQDQ) != 0;
  return has_both && __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

extern const Kernels gcm_siv_vaes512_x16;
const Kernels gcm_siv_vaes512_x16 = make_kernels<SixteenLanes>(
    "gcm_siv_vaes512_x16", "AES, PCLMULQDQ, AVX512F, AVX512BW, AVX512DQ, AVX512VL, VAES, VPCLMULQDQ",
    cpu_can_run);

}  // namespace nts::gcm_siv
