// The shadow of every intrinsic that a tier uses, tested: MemorySanitizer is worth what its rules are worth.
//
// For each intrinsic, on many operands: whatever an octet of an operand changes in the result, when its bits
// are flipped one by one and all, must be secret in the result when that octet is marked secret; and of
// operands without secrets nothing is. Prints the name of each intrinsic tested; wide_tiers_test.py holds the
// list against the sources. Exits 1 when a rule loses a secret; "planted" as argument tests a rule that does
// (clang's own for a shuffle).
#include <array>
#include <cstdio>
#include <cstring>
#include <random>

// Built with msan_intrinsics.h forced in front.
#include "tests/secrets/marks.h"

namespace {

constexpr std::uint32_t backgrounds = 24;
int lost = 0;
std::mt19937 random_octets(14);

template <class Register>
Register register_from(const std::uint8_t* octets) {
  Register out;
  std::memcpy(&out, octets, sizeof out);
  return out;
}

// Operands of all kinds: random, nothing but zeros, few bits, and all of them equal.
template <std::size_t Bytes>
void fill(std::array<std::uint8_t, Bytes>& octets, std::size_t operand_bytes, std::uint32_t background) {
  for (std::size_t i = 0; i < Bytes; ++i) {
    const auto octet = static_cast<std::uint8_t>(random_octets());
    switch (background % 4) {
      case 0:
        octets[i] = octet;
        break;
      case 1:
        octets[i] = 0;
        break;
      case 2:
        octets[i] = octet < 32 ? static_cast<std::uint8_t>(octet & 0x1f) : std::uint8_t{0};
        break;
      default:
        octets[i] = i < operand_bytes ? octet : octets[i - operand_bytes];
        break;
    }
  }
}

// `run` takes the octets of all operands (`operand_bytes` each, `Bytes` together) and gives a value.
template <std::size_t Bytes, class Run>
void check_octets(const char* name, std::size_t operand_bytes, const Run& run) {
  using Result = decltype(run(std::declval<const std::uint8_t*>()));
  using ResultOctets = std::array<std::uint8_t, sizeof(Result)>;
  const auto result_of = [&](const std::array<std::uint8_t, Bytes>& operands) {
    alignas(64) std::array<std::uint8_t, Bytes> copy = operands;
    const Result result = run(copy.data());
    ResultOctets octets;
    std::memcpy(octets.data(), &result, sizeof result);
    return octets;
  };
  std::printf("%s\n", name);
  for (std::uint32_t background = 0; background < backgrounds; ++background) {
    std::array<std::uint8_t, Bytes> operands;
    fill(operands, operand_bytes, background);
    const ResultOctets before = result_of(operands);
    for (std::size_t at = 0; at < before.size(); ++at) {
      if (secrets::is_secret(&before[at], 1)) ++lost, std::printf("%s: secret without a secret\n", name);
    }
    for (std::size_t octet = 0; octet < Bytes; ++octet) {
      std::array<bool, sizeof(Result)> changes{};
      for (const int flipped : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::array<std::uint8_t, Bytes> other = operands;
        other[octet] = static_cast<std::uint8_t>(other[octet] ^ flipped);
        const ResultOctets after = result_of(other);
        for (std::size_t at = 0; at < after.size(); ++at) changes[at] |= after[at] != before[at];
      }
      std::array<std::uint8_t, Bytes> marked = operands;
      secrets::mark_secret(&marked[octet], 1);
      const ResultOctets followed = result_of(marked);
      for (std::size_t at = 0; at < followed.size(); ++at) {
        if (!changes[at] || secrets::is_secret(&followed[at], 1)) continue;
        if (++lost < 20) std::printf("%s: octet %zu of the operands lost in octet %zu\n", name, octet, at);
      }
    }
  }
}

template <class Register, class Run>
void check_one(const char* name, const Run& run) {
  check_octets<sizeof(Register)>(name, sizeof(Register),
                                 [&](const std::uint8_t* at) { return run(register_from<Register>(at)); });
}
template <class Register, class Run>
void check_two(const char* name, const Run& run) {
  check_octets<2 * sizeof(Register)>(name, sizeof(Register), [&](const std::uint8_t* at) {
    return run(register_from<Register>(at), register_from<Register>(at + sizeof(Register)));
  });
}

// Operands of two widths: the wide one, then the narrow one.
template <class Wide, class Run>
void check_wide_and_block(const char* name, const Run& run) {
  check_octets<sizeof(Wide) + 16>(name, 16, [&](const std::uint8_t* at) {
    return run(register_from<Wide>(at), register_from<__m128i>(at + sizeof(Wide)));
  });
}

constexpr __mmask16 every = 0xffff;
constexpr __mmask8 every_half = 0xff;

#define ONE(Register, name) check_one<Register>(#name, [](Register a) { return name(a); })
#define ONE_BY(Register, name, number) check_one<Register>(#name, [](Register a) { return name(a, number); })
#define TWO(Register, name) check_two<Register>(#name, [](Register a, Register b) { return name(a, b); })
#define TWO_BY(Register, name, number) \
  check_two<Register>(#name, [](Register a, Register b) { return name(a, b, number); })
#define UNDER(mask, Register, name) \
  check_two<Register>(#name, [](Register a, Register b) { return name(mask, a, b); })
#define UNDER_BY(mask, Register, name, number) \
  check_one<Register>(#name, [](Register a) { return name(mask, a, number); })
#define OF_WORDS(Result, name, ...)                                      \
  check_octets<4>(#name, 4, [](const std::uint8_t* at) {                 \
    const int word = static_cast<int>(register_from<std::uint32_t>(at)); \
    return name(__VA_ARGS__);                                            \
  })

void check_128() {
  check_octets<16>("_mm_loadu_si128", 16, [](const std::uint8_t* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  });
  check_octets<16>("_mm_load_si128", 16, [](const std::uint8_t* at) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(at));
  });
  check_one<__m128i>("_mm_storeu_si128", [](__m128i a) {
    std::array<std::uint8_t, 16> out;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.data()), a);
    return out;
  });
  TWO(__m128i, _mm_aesenc_si128);
  TWO(__m128i, _mm_aesenclast_si128);
  TWO(__m128i, _mm_xor_si128);
  TWO(__m128i, _mm_and_si128);
  TWO(__m128i, _mm_or_si128);
  TWO(__m128i, _mm_add_epi32);
  TWO(__m128i, _mm_add_epi64);
  TWO(__m128i, _mm_shuffle_epi8);
  TWO(__m128i, _mm_unpacklo_epi32);
  TWO(__m128i, _mm_unpackhi_epi32);
  TWO(__m128i, _mm_unpacklo_epi64);
  TWO(__m128i, _mm_unpackhi_epi64);
  TWO(__m128i, _mm_testz_si128);
  TWO_BY(__m128i, _mm_clmulepi64_si128, 0x00);
  TWO_BY(__m128i, _mm_clmulepi64_si128, 0x01);
  TWO_BY(__m128i, _mm_clmulepi64_si128, 0x10);
  TWO_BY(__m128i, _mm_clmulepi64_si128, 0x11);
  ONE_BY(__m128i, _mm_slli_si128, 4);
  ONE_BY(__m128i, _mm_slli_si128, 8);
  ONE_BY(__m128i, _mm_srli_si128, 8);
  ONE_BY(__m128i, _mm_srai_epi32, 31);
  ONE_BY(__m128i, _mm_shuffle_epi32, 0x13);
  ONE_BY(__m128i, _mm_shuffle_epi32, 0x4e);
  OF_WORDS(__m128i, _mm_set1_epi32, word);
  OF_WORDS(__m128i, _mm_set_epi32, word, 0, 0, 0);
  OF_WORDS(__m128i, _mm_set_epi64x, word, 0);
}

void check_256() {
  check_octets<32>("_mm256_loadu_si256", 32, [](const std::uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  });
  check_octets<32>("_mm256_load_si256", 32, [](const std::uint8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
  });
  check_one<__m256i>("_mm256_storeu_si256", [](__m256i a) {
    std::array<std::uint8_t, 32> out;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.data()), a);
    return out;
  });
  TWO(__m256i, _mm256_aesenc_epi128);
  TWO(__m256i, _mm256_aesenclast_epi128);
  TWO(__m256i, _mm256_xor_si256);
  TWO(__m256i, _mm256_and_si256);
  TWO(__m256i, _mm256_or_si256);
  TWO(__m256i, _mm256_add_epi32);
  TWO(__m256i, _mm256_add_epi64);
  TWO(__m256i, _mm256_shuffle_epi8);
  TWO(__m256i, _mm256_unpacklo_epi32);
  TWO(__m256i, _mm256_unpackhi_epi32);
  TWO(__m256i, _mm256_unpacklo_epi64);
  TWO(__m256i, _mm256_unpackhi_epi64);
  TWO(__m256i, _mm256_cmpeq_epi64);
  TWO_BY(__m256i, _mm256_clmulepi64_epi128, 0x00);
  TWO_BY(__m256i, _mm256_clmulepi64_epi128, 0x01);
  TWO_BY(__m256i, _mm256_clmulepi64_epi128, 0x10);
  TWO_BY(__m256i, _mm256_clmulepi64_epi128, 0x11);
  ONE(__m256i, _mm256_castsi256_pd);
  ONE(__m256d, _mm256_movemask_pd);
  ONE(__m256i, _mm256_castsi256_si128);
  ONE_BY(__m256i, _mm256_slli_si256, 4);
  ONE_BY(__m256i, _mm256_slli_si256, 8);
  ONE_BY(__m256i, _mm256_srli_si256, 8);
  ONE_BY(__m256i, _mm256_srai_epi32, 31);
  ONE_BY(__m256i, _mm256_shuffle_epi32, 0x13);
  ONE_BY(__m256i, _mm256_shuffle_epi32, 0x4e);
  ONE_BY(__m256i, _mm256_extracti128_si256, 1);
  ONE(__m128i, _mm256_broadcastsi128_si256);
  check_one<__m128i>("_mm256_castsi128_si256",  // its higher half is nobody's
                     [](__m128i a) { return _mm256_castsi256_si128(_mm256_castsi128_si256(a)); });
  check_wide_and_block<__m256i>("_mm256_inserti128_si256",
                                [](__m256i a, __m128i b) { return _mm256_inserti128_si256(a, b, 1); });
  OF_WORDS(__m256i, _mm256_set1_epi32, word);
  OF_WORDS(__m256i, _mm256_set_epi32, word, 0, 0, 0, word, 0, 0, 0);
}

void check_512() {
  check_octets<64>("_mm512_loadu_si512", 64, [](const std::uint8_t* at) { return _mm512_loadu_si512(at); });
  check_octets<64>("_mm512_load_si512", 64, [](const std::uint8_t* at) { return _mm512_load_si512(at); });
  check_one<__m512i>("_mm512_storeu_si512", [](__m512i a) {
    std::array<std::uint8_t, 64> out;
    _mm512_storeu_si512(out.data(), a);
    return out;
  });
  check_octets<64>("_mm512_maskz_loadu_epi8", 64, [](const std::uint8_t* at) {
    return _mm512_maskz_loadu_epi8(~std::uint64_t{0} >> 23, at);
  });
  check_one<__m512i>("_mm512_mask_storeu_epi8", [](__m512i a) {
    std::array<std::uint8_t, 64> out{};
    _mm512_mask_storeu_epi8(out.data(), ~std::uint64_t{0} >> 23, a);
    return out;
  });
  TWO(__m512i, _mm512_aesenc_epi128);
  TWO(__m512i, _mm512_aesenclast_epi128);
  TWO(__m512i, _mm512_xor_si512);
  TWO(__m512i, _mm512_and_si512);
  TWO(__m512i, _mm512_or_si512);
  TWO(__m512i, _mm512_add_epi32);
  TWO(__m512i, _mm512_add_epi64);
  TWO(__m512i, _mm512_shuffle_epi8);
  UNDER(every, __m512i, _mm512_maskz_unpacklo_epi32);
  UNDER(every, __m512i, _mm512_maskz_unpackhi_epi32);
  UNDER(every_half, __m512i, _mm512_maskz_unpacklo_epi64);
  UNDER(every_half, __m512i, _mm512_maskz_unpackhi_epi64);
  TWO(__m512i, _mm512_cmpeq_epi32_mask);
  TWO(__m512i, _mm512_cmpneq_epi64_mask);
  TWO_BY(__m512i, _mm512_clmulepi64_epi128, 0x00);
  TWO_BY(__m512i, _mm512_clmulepi64_epi128, 0x01);
  TWO_BY(__m512i, _mm512_clmulepi64_epi128, 0x10);
  TWO_BY(__m512i, _mm512_clmulepi64_epi128, 0x11);
  check_octets<192>("_mm512_ternarylogic_epi64", 64, [](const std::uint8_t* at) {
    return _mm512_ternarylogic_epi64(register_from<__m512i>(at), register_from<__m512i>(at + 64),
                                     register_from<__m512i>(at + 128), 0x96);
  });
  ONE_BY(__m512i, _mm512_bslli_epi128, 4);
  ONE_BY(__m512i, _mm512_bslli_epi128, 8);
  ONE_BY(__m512i, _mm512_bsrli_epi128, 8);
  UNDER_BY(every, __m512i, _mm512_maskz_srai_epi32, 31);
  UNDER_BY(every, __m512i, _mm512_maskz_shuffle_epi32, _MM_PERM_ABAD);
  UNDER_BY(every, __m512i, _mm512_maskz_shuffle_epi32, _MM_PERM_BADC);
  UNDER_BY(every_half, __m512i, _mm512_maskz_extracti32x4_epi32, 1);
  UNDER_BY(every_half, __m512i, _mm512_maskz_extracti32x4_epi32, 3);
  check_one<__m128i>("_mm512_maskz_broadcast_i32x4",
                     [](__m128i a) { return _mm512_maskz_broadcast_i32x4(every, a); });
  check_one<__m128i>("_mm512_castsi128_si512",  // its higher three quarters are nobody's
                     [](__m128i a) { return _mm512_castsi512_si128(_mm512_castsi128_si512(a)); });
  check_wide_and_block<__m512i>("_mm512_inserti32x4",
                                [](__m512i a, __m128i b) { return _mm512_inserti32x4(a, b, 2); });
  check_one<__m512i>("__builtin_shufflevector",
                     [](__m512i a) { return __builtin_shufflevector(a, a, 0, 1); });
  OF_WORDS(__m512i, _mm512_set1_epi32, word);
  OF_WORDS(__m512i, _mm512_set_epi32, word, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, word);
}

}  // namespace

int main(int count, char**) {
  if (count == 2) {
    // clang's own rule for a shuffle: the shadow stays where the octet was.
    check_two<__m128i>("planted", [](__m128i a, __m128i b) {
      return reinterpret_cast<__m128i>(
          __builtin_ia32_pshufb128(reinterpret_cast<__v16qi>(a), reinterpret_cast<__v16qi>(b)));
    });
  } else {
    check_128();
    check_256();
    check_512();
  }
  return lost == 0 ? 0 : 1;
}
