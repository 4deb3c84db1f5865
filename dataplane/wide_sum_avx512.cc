// Sums of octets with AVX-512: 64 at a time, and what is left over through a mask. Whatever is compiled with
// these instructions has internal linkage but for the table at the end, as in nts/siv/kernel.h.
#include <immintrin.h>

#include "dataplane/wide_sum.h"

namespace dataplane {
namespace {

// As in wide_sum.cc: words of 32 bits in halves of 64.
std::uint64_t sum_by_eights(const std::uint8_t* octets, std::size_t bytes) {
  const __m512i low_word = _mm512_set1_epi64(0xffff'ffff);
  __m512i low = _mm512_setzero_si512();
  __m512i high = _mm512_setzero_si512();
  const auto add = [&](__m512i words) __attribute__((always_inline)) {
    low = _mm512_add_epi64(low, _mm512_and_si512(words, low_word));
    high = _mm512_add_epi64(high, _mm512_maskz_srli_epi64(0xff, words, 32));
  };
  for (; bytes > 64; bytes -= 64, octets += 64) add(_mm512_loadu_si512(octets));
  if (bytes != 0) add(_mm512_maskz_loadu_epi8(~std::uint64_t{0} >> (64 - bytes), octets));
  // Asked for with masks that mask nothing, as gcc 12 warns of its own header otherwise (its bug 105593).
  const __m512i eight = _mm512_add_epi64(low, high);
  const __m256i four = _mm256_add_epi64(__builtin_shufflevector(eight, eight, 0, 1, 2, 3),
                                        _mm512_maskz_extracti64x4_epi64(0xff, eight, 1));
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(two)) +
         static_cast<std::uint64_t>(_mm_extract_epi64(two, 1));
}

// "avx512f" only when the operating system keeps the 512-bit registers too; VBMI2 came with the first CPUs
// that do not slow down for them (Intel 2019, AMD 2022).
bool cpu_can_run() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vbmi2");
}

}  // namespace

extern const WideSumTier wide_sum_avx512;
constinit const WideSumTier wide_sum_avx512 = {"AVX-512", cpu_can_run, sum_by_eights};

}  // namespace dataplane
