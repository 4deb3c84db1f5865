// AES-GCM-SIV for eight packets side by side with VAES and VPCLMULQDQ: two in each of four 256-bit registers.

#include <cpuid.h>

#include "nts/gcm_siv/xmm.h"

namespace nts::gcm_siv {
namespace {

struct Ymm {
  using Register = __m256i;
  static constexpr uint32_t lanes = 2;

  [[gnu::always_inline]] static Register load(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  [[gnu::always_inline]] static void store(uint8_t* at, Register a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), a);
  }
  [[gnu::always_inline]] static Register joined(__m128i low, __m128i high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  }
  template <class From>
  [[gnu::always_inline]] static Register gather(const From& from) {
    return joined(Xmm::load(from(0)), Xmm::load(from(1)));
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, Register a) {
    Xmm::store(to(0), _mm256_castsi256_si128(a));
    Xmm::store(to(1), _mm256_extracti128_si256(a, 1));
  }
  [[gnu::always_inline]] static Register same(uint64_t low, uint64_t high) {
    return _mm256_broadcastsi128_si256(Xmm::same(low, high));
  }
  [[gnu::always_inline]] static Register from_octets(const Octets* octets) {
    return joined(Xmm::from_octets(octets), Xmm::from_octets(octets + 1));
  }
  [[gnu::always_inline]] static Register each_word(uint32_t word) {
    return _mm256_set1_epi32(static_cast<int>(word));
  }

  [[gnu::always_inline]] static Register round(Register a, Register key) {
    return _mm256_aesenc_epi128(a, key);
  }
  [[gnu::always_inline]] static Register last(Register a, Register key) {
    return _mm256_aesenclast_epi128(a, key);
  }
  template <int Halves>
  [[gnu::always_inline]] static Register multiplied(Register a, Register b) {
    return _mm256_clmulepi64_epi128(a, b, Halves);
  }

  [[gnu::always_inline]] static Register both(Register a, Register b) { return _mm256_xor_si256(a, b); }
  [[gnu::always_inline]] static Register only(Register a, Register b) { return _mm256_and_si256(a, b); }
  [[gnu::always_inline]] static Register either(Register a, Register b) { return _mm256_or_si256(a, b); }
  [[gnu::always_inline]] static Register shuffled(Register a, Register order) {
    return _mm256_shuffle_epi8(a, order);
  }
  [[gnu::always_inline]] static Register word_up(Register a) { return _mm256_slli_si256(a, 4); }
  [[gnu::always_inline]] static Register half_up(Register a) { return _mm256_slli_si256(a, 8); }
  [[gnu::always_inline]] static Register half_down(Register a) { return _mm256_srli_si256(a, 8); }
  [[gnu::always_inline]] static Register exchanged(Register a) { return _mm256_shuffle_epi32(a, 0x4e); }
  [[gnu::always_inline]] static Register low_halves(Register a, Register b) {
    return _mm256_unpacklo_epi64(a, b);
  }
  [[gnu::always_inline]] static Register sum_u32(Register a, Register b) { return _mm256_add_epi32(a, b); }
  [[gnu::always_inline]] static void compare(Register a, Register b, uint32_t* equal) {
    Xmm::compare(_mm256_castsi256_si128(a), _mm256_castsi256_si128(b), equal);
    Xmm::compare(_mm256_extracti128_si256(a, 1), _mm256_extracti128_si256(b, 1), equal + 1);
  }
};

struct TwoLanes : RegisterLanes<Ymm, 1> {
  using Narrower = OneLane;
  static constexpr bool has_narrower = true;
};
struct EightLanes : RegisterLanes<Ymm, 4> {
  using Narrower = TwoLanes;
  static constexpr bool has_narrower = true;
};

int cpu_can_run() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool has_both =
      __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & bit_VAES) != 0 && (c & bit_VPCLMULQDQ) != 0;
  return has_both && __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
         __builtin_cpu_supports("avx2");
}

}  // namespace

extern const Kernels gcm_siv_vaes256_x8;
const Kernels gcm_siv_vaes256_x8 =
    make_kernels<EightLanes>("gcm_siv_vaes256_x8", "AES, PCLMULQDQ, AVX2, VAES, VPCLMULQDQ", cpu_can_run);

}  // namespace nts::gcm_siv
