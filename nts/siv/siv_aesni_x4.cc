// AES-SIV for four packets side by side with AES-NI: one 128-bit register a packet. The AES unit is pipelined
// about four deep, so four independent chains keep it busy where one would wait.

#include <immintrin.h>

#include "nts/siv/expansion.h"

namespace nts::siv {
namespace {

struct AesniLane {
  static constexpr uint32_t width = 4;

  struct Block {
    __m128i lane[width];
  };
  using State = Block;

  // Borrows the schedules: a round key is one load, and nothing is copied that would have to be wiped.
  class Keys {
   public:
    [[gnu::always_inline]] Keys(const Schedule* const (&schedules)[width], bool, bool knows_empty)
        : knows_empty_(knows_empty) {
      for (uint32_t i = 0; i < width; ++i) schedules_[i] = schedules[i];
    }
    [[gnu::always_inline]] Block mac(uint32_t round) const {
      return load(offsetof(Schedule, mac) + round * 16);
    }
    [[gnu::always_inline]] Block ctr(uint32_t round) const {
      return load(offsetof(Schedule, ctr) + round * 16);
    }
    [[gnu::always_inline]] Block fold() const { return load(offsetof(Schedule, fold)); }
    [[gnu::always_inline]] Block whole() const { return load(offsetof(Schedule, whole)); }
    [[gnu::always_inline]] Block padded() const { return load(offsetof(Schedule, padded)); }
    [[gnu::always_inline]] Block s2v_start() const { return load(offsetof(Schedule, s2v_start)); }
    [[gnu::always_inline]] Block s2v_empty() const { return load(offsetof(Schedule, s2v_empty)); }
    [[gnu::always_inline]] bool knows_empty() const { return knows_empty_; }

   private:
    [[gnu::always_inline]] Block load(size_t offset) const {
      Block block;
      for (uint32_t i = 0; i < width; ++i) {
        const uint8_t* at = reinterpret_cast<const uint8_t*>(schedules_[i]) + offset;
        block.lane[i] = _mm_load_si128(reinterpret_cast<const __m128i*>(at));
      }
      return block;
    }
    const Schedule* schedules_[width];
    bool knows_empty_;
  };

  template <class Operation>
  [[gnu::always_inline]] static Block each(const Operation& operation) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) out.lane[i] = operation(i);
    return out;
  }

  [[gnu::always_inline]] static State enter(const Block& block) { return block; }
  [[gnu::always_inline]] static Block leave(const State& state) { return state; }
  [[gnu::always_inline]] static State round(const State& s, const State& key) {
    return each([&](uint32_t i) { return _mm_aesenc_si128(s.lane[i], key.lane[i]); });
  }
  [[gnu::always_inline]] static State last(const State& s, const State& key) {
    return each([&](uint32_t i) { return _mm_aesenclast_si128(s.lane[i], key.lane[i]); });
  }
  [[gnu::always_inline]] static Block both(const Block& a, const Block& b) {
    return each([&](uint32_t i) { return _mm_xor_si128(a.lane[i], b.lane[i]); });
  }
  [[gnu::always_inline]] static Block only(const Block& a, const Block& mask) {
    return each([&](uint32_t i) { return _mm_and_si128(a.lane[i], mask.lane[i]); });
  }
  [[gnu::always_inline]] static Block select(const Block& mask, const Block& a, const Block& b) {
    return each([&](uint32_t i) { return _mm_blendv_epi8(b.lane[i], a.lane[i], mask.lane[i]); });
  }
  [[gnu::always_inline]] static Block gather(const uint8_t* const (&from)[width], size_t offset) {
    return each(
        [&](uint32_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[i] + offset)); });
  }
  [[gnu::always_inline]] static void scatter(uint8_t* const (&to)[width], size_t offset, const Block& block) {
    for (uint32_t i = 0; i < width; ++i) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to[i] + offset), block.lane[i]);
    }
  }
  [[gnu::always_inline]] static Block from_octets(const Octets (&octets)[width]) {
    return each([&](uint32_t i) { return set(octets[i].high, octets[i].low); });
  }
  [[gnu::always_inline]] static void to_octets(const Block& block, Octets (&octets)[width]) {
    for (uint32_t i = 0; i < width; ++i) {
      octets[i].low = static_cast<uint64_t>(_mm_cvtsi128_si64(block.lane[i]));
      octets[i].high = static_cast<uint64_t>(_mm_extract_epi64(block.lane[i], 1));
    }
  }

  // Doubling in GF(2^128), RFC 5297 section 2.3: the block is one big-endian number.
  [[gnu::always_inline]] static Block doubled(const Block& block) {
    const __m128i reverse = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i feedback = _mm_set_epi32(0, 1, 0, 0x87);  // the carry between halves, and the polynomial
    return each([&](uint32_t i) {
      const __m128i number = _mm_shuffle_epi8(block.lane[i], reverse);
      const __m128i signs =
          _mm_shuffle_epi32(_mm_srai_epi32(number, 31), 0x13);  // high half's sign low, and back
      return _mm_shuffle_epi8(_mm_xor_si128(_mm_add_epi64(number, number), _mm_and_si128(signs, feedback)),
                              reverse);
    });
  }

  // Octets move `by` places towards the end (up) or the front (down); zeros follow.
  [[gnu::always_inline]] static Block moved_up(const Block& block, const uint32_t (&by)[width]) {
    return each([&](uint32_t i) { return moved(block.lane[i], -static_cast<int>(by[i])); });
  }
  [[gnu::always_inline]] static Block moved_down(const Block& block, const uint32_t (&by)[width]) {
    return each([&](uint32_t i) { return moved(block.lane[i], static_cast<int>(by[i])); });
  }

  // The tag with two bits cleared, as a number to count on from (RFC 5297 section 2.6).
  [[gnu::always_inline]] static Block counter_base(const Block& tag) {
    const __m128i clear = _mm_set_epi8(-1, -1, -1, 0x7f, -1, -1, -1, 0x7f, -1, -1, -1, -1, -1, -1, -1, -1);
    return each([&](uint32_t i) { return _mm_and_si128(tag.lane[i], clear); });
  }
  // The cleared bit 31 keeps a count of blocks below 2^31 from carrying out of the last four octets.
  [[gnu::always_inline]] static Block counter(const Block& base, uint32_t number) {
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m128i add = _mm_set_epi32(static_cast<int>(number), 0, 0, 0);
    return each([&](uint32_t i) {
      return _mm_shuffle_epi8(_mm_add_epi32(_mm_shuffle_epi8(base.lane[i], swap), add), swap);
    });
  }

  // equal[i] is 1 when lane i is the same in both. No branch: all octets are always compared.
  [[gnu::always_inline]] static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    for (uint32_t i = 0; i < width; ++i) {
      const __m128i difference = _mm_xor_si128(a.lane[i], b.lane[i]);
      equal[i] = static_cast<uint32_t>(_mm_testz_si128(difference, difference));
    }
  }

  // The S-box of the rotated last word comes out of aesenclast: with four equal columns its ShiftRows moves
  // nothing, and the round constant is its key.
  [[gnu::always_inline]] static Block next_round_key(const Block& key, uint8_t round_constant) {
    const __m128i rotate = _mm_set1_epi32(0x0c0f0e0d);
    const __m128i constant = _mm_set1_epi32(round_constant);
    return each([&](uint32_t i) {
      __m128i k = key.lane[i];
      const __m128i word = _mm_aesenclast_si128(_mm_shuffle_epi8(k, rotate), constant);
      k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
      k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
      return _mm_xor_si128(k, word);
    });
  }

 private:
  [[gnu::always_inline]] static __m128i set(uint64_t high, uint64_t low) {
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  }
  // Octet i of the result is octet i + by, or zero outside: pshufb clears where the index is negative. The
  // index is a window of 16 octets on a longer row; where it lies depends on a length alone.
  [[gnu::always_inline]] static __m128i moved(__m128i block, int by) {
    alignas(64) static constexpr int8_t places[48] = {
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,  //
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,  //
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    return _mm_shuffle_epi8(block, _mm_loadu_si128(reinterpret_cast<const __m128i*>(places + 16 + by)));
  }
};

int cpu_can_run() {
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

}  // namespace

extern const Kernels aesni_x4;
const Kernels aesni_x4 = make_kernels<AesniLane>("aesni_x4", "AES, SSSE3, SSE4.1", cpu_can_run);

}  // namespace nts::siv
