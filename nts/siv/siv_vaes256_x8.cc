// AES-SIV for eight packets side by side with VAES: two packets in each of four 256-bit registers. For CPUs
// whose VAES is 256 bits wide.

#include <cpuid.h>
#include <immintrin.h>

#include "nts/siv/expansion.h"
#include "nts/siv/registers.h"
#include "nts/siv/xmm.h"

namespace nts::siv {
namespace {

struct Ymm {
  using Register = __m256i;
  static constexpr uint32_t lanes = 2;

  // ---- Memory ----

  [[gnu::always_inline]] static Register load(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  [[gnu::always_inline]] static Register load_row(const uint8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
  }
  [[gnu::always_inline]] static void store(uint8_t* at, Register a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), a);
  }
  // The first `bytes` <= 32 octets; no other octet is touched.
  [[gnu::always_inline]] static Register load_part(const uint8_t* at, uint32_t bytes) {
    alignas(32) Octets octets[lanes] = {load_some(at, bytes), {0, 0}};
    if (bytes > block_bytes) octets[1] = load_some(at + block_bytes, bytes - block_bytes);
    return load_row(reinterpret_cast<const uint8_t*>(octets));
  }
  [[gnu::always_inline]] static void store_part(uint8_t* at, Register a, uint32_t bytes) {
    alignas(32) Octets octets[lanes];
    store(reinterpret_cast<uint8_t*>(octets), a);
    store_some(at, octets[0], bytes < block_bytes ? bytes : block_bytes);
    if (bytes > block_bytes) store_some(at + block_bytes, octets[1], bytes - block_bytes);
  }
  [[gnu::always_inline]] static Register same(const uint8_t* at) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  }
  // `from(i)` and `to(i)` are the addresses in packet i of the register.
  template <class From>
  [[gnu::always_inline]] static Register gather(const From& from) {
    const auto one = [&](uint32_t i) __attribute__((always_inline)) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from(i)));
    };
    return _mm256_inserti128_si256(_mm256_castsi128_si256(one(0)), one(1), 1);
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, Register a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to(0)), _mm256_castsi256_si128(a));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to(1)), _mm256_extracti128_si256(a, 1));
  }

  // ---- The cipher ----

  [[gnu::always_inline]] static Register round(Register a, Register key) {
    return _mm256_aesenc_epi128(a, key);
  }
  [[gnu::always_inline]] static Register last(Register a, Register key) {
    return _mm256_aesenclast_epi128(a, key);
  }

  // ---- Octets and words ----

  [[gnu::always_inline]] static Register both(Register a, Register b) { return _mm256_xor_si256(a, b); }
  [[gnu::always_inline]] static Register all(Register a, Register b, Register c) {
    return both(a, both(b, c));
  }
  [[gnu::always_inline]] static Register only(Register a, Register mask) { return _mm256_and_si256(a, mask); }
  [[gnu::always_inline]] static Register shuffled(Register a, Register order) {
    return _mm256_shuffle_epi8(a, order);
  }
  [[gnu::always_inline]] static Register word_up(Register a) { return _mm256_slli_si256(a, 4); }
  [[gnu::always_inline]] static Register two_words_up(Register a) { return _mm256_slli_si256(a, 8); }
  // Words, or pairs of words, of `a` and `b` by turns: those of the lower or of the higher half.
  [[gnu::always_inline]] static Register low_words(Register a, Register b) {
    return _mm256_unpacklo_epi32(a, b);
  }
  [[gnu::always_inline]] static Register high_words(Register a, Register b) {
    return _mm256_unpackhi_epi32(a, b);
  }
  [[gnu::always_inline]] static Register low_pairs(Register a, Register b) {
    return _mm256_unpacklo_epi64(a, b);
  }
  [[gnu::always_inline]] static Register high_pairs(Register a, Register b) {
    return _mm256_unpackhi_epi64(a, b);
  }
  [[gnu::always_inline]] static Register sum_u32(Register a, Register b) { return _mm256_add_epi32(a, b); }
  [[gnu::always_inline]] static Register sum_u64(Register a, Register b) { return _mm256_add_epi64(a, b); }
  // All ones in the low word of each half where the other half is negative as a number of 64 bits.
  [[gnu::always_inline]] static Register half_signs_exchanged(Register a) {
    return _mm256_shuffle_epi32(_mm256_srai_epi32(a, 31), 0x13);
  }
  [[gnu::always_inline]] static Register each_word(uint32_t word) {
    return _mm256_set1_epi32(static_cast<int>(word));
  }
  [[gnu::always_inline]] static Register last_word(uint32_t word) {
    return _mm256_broadcastsi128_si256(_mm_set_epi32(static_cast<int>(word), 0, 0, 0));
  }
  // `first` and the number behind it in the last word of each packet's place.
  [[gnu::always_inline]] static Register lane_numbers(uint32_t first) {
    const int n = static_cast<int>(first);
    return _mm256_set_epi32(n + 1, 0, 0, 0, n, 0, 0, 0);
  }
  [[gnu::always_inline]] static void compare(Register a, Register b, uint32_t* equal) {
    const __m256i equal_halves = _mm256_cmpeq_epi64(a, b);
    const auto halves = static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(equal_halves)));
    for (uint32_t i = 0; i < lanes; ++i) equal[i] = halves >> 2 * i & halves >> (2 * i + 1) & 1;
  }
};

// A lone request: narrower instructions are as fast, and none of them moves empty lanes.
struct OneLane : RegisterLanes<Xmm, 1, Ymm::lanes> {
  using Narrower = void;
};
struct TwoLanes : RegisterLanes<Ymm, 1> {
  using Narrower = OneLane;
};
struct FourLanes : RegisterLanes<Ymm, 2> {
  using Narrower = TwoLanes;
};
struct EightLanes : RegisterLanes<Ymm, 4> {
  using Narrower = FourLanes;
};

// The compiler's run time says "avx2" only when the operating system keeps the 256-bit registers too
// (XGETBV); it has no name for VAES on every compiler.
int cpu_can_run() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool has_vaes = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & bit_VAES) != 0;
  return has_vaes && __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx2");
}

}  // namespace

extern const Kernels vaes256_x8;
const Kernels vaes256_x8 = make_kernels<EightLanes>("vaes256_x8", "AES, AVX2, VAES", cpu_can_run);

}  // namespace nts::siv
