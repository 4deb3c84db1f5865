// K07: a tier with one constant wrong must be refused at start, whichever constant it is.
//
// The AES-NI tier is compiled here once more with one step replaced; everything else is the real source. The
// file is included for its lane type, under another name so that the library's own table stays the only one.
#include <array>
#include <gtest/gtest.h>

#include "nts/siv/siv.h"

#if defined(__x86_64__)
#include <immintrin.h>
// Fifteen tiers in one file, each inlined to the last round, would take the compiler minutes.
#define always_inline unused
#define aesni_x4 aesni_x4_of_this_test
#include "nts/siv/siv_aesni_x4.cc"
#undef always_inline

namespace nts::siv {
namespace {

// One octet of every lane changed where a constant would have changed it.
AesniLane::Block spoiled(const AesniLane::Block& block, int low) {
  AesniLane::Block out = block;
  for (__m128i& lane : out.lane) lane = _mm_xor_si128(lane, _mm_cvtsi32_si128(low));
  return out;
}

struct WrongPolynomial : AesniLane {  // 0x86 for 0x87
  static Block doubled(const Block& block) {
    Block out = AesniLane::doubled(block);
    for (uint32_t i = 0; i < width; ++i) {
      const int carry = _mm_extract_epi8(block.lane[i], 0) >> 7 & 1;
      out.lane[i] = _mm_xor_si128(out.lane[i], _mm_set_epi32(carry << 24, 0, 0, 0));
    }
    return out;
  }
};
struct WrongRoundConstant : AesniLane {  // 0x37 for 0x36, the last one
  static Block next_round_key(const Block& key, uint8_t constant) {
    return AesniLane::next_round_key(key, constant == 0x36 ? 0x37 : constant);
  }
};
struct WrongRound : AesniLane {
  static State round(const State& state, const State& key) {
    return spoiled(AesniLane::round(state, key), 1);
  }
};
struct WrongCounterMask : AesniLane {  // the two bits of RFC 5297 section 2.6 stay
  static Block counter_base(const Block& tag) { return tag; }
};
struct CounterThatStands : AesniLane {  // every block under the first one's key stream
  static Block counter(const Block& base, uint32_t) { return AesniLane::counter(base, 0); }
};
struct CounterFromTheWrongEnd : AesniLane {
  static Block counter(const Block& base, uint32_t number) {
    return spoiled(AesniLane::counter(base, 0), static_cast<int>(number));
  }
};
struct AcceptsAll : AesniLane {
  static void compare(const Block&, const Block&, uint32_t (&equal)[width]) {
    for (uint32_t& one : equal) one = 1;
  }
};
struct RefusesAll : AesniLane {
  static void compare(const Block&, const Block&, uint32_t (&equal)[width]) {
    for (uint32_t& one : equal) one = 0;
  }
};
struct LooksAtLaneZeroOnly : AesniLane {
  static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    AesniLane::compare(a, b, equal);
    for (uint32_t& one : equal) one = equal[0];
  }
};
// The start that only cookies use: S2V after an empty component.
struct WrongStartOfCookies : AesniLane {
  class Keys : public AesniLane::Keys {
   public:
    using AesniLane::Keys::Keys;
    Block s2v_empty() const { return spoiled(AesniLane::Keys::s2v_empty(), 1); }
  };
};
struct WrongPaddedSubkey : AesniLane {
  class Keys : public AesniLane::Keys {
   public:
    using AesniLane::Keys::Keys;
    Block padded() const { return spoiled(AesniLane::Keys::padded(), 1); }
  };
};
struct WrongWholeSubkey : AesniLane {
  class Keys : public AesniLane::Keys {
   public:
    using AesniLane::Keys::Keys;
    Block whole() const { return spoiled(AesniLane::Keys::whole(), 1); }
  };
};

// What only runs where messages of unlike lengths share a group: the usual burst has one shape.
struct SelectsTheOtherLane : AesniLane {
  static Block select(const Block& mask, const Block& a, const Block& b) {
    return AesniLane::select(mask, b, a);
  }
};
struct KeepsLanesThatHaveNotBegun : AesniLane {
  static State only(const State& state, const State&) { return state; }
};

template <class Lane>
Kernels kernels_of(const char* name) {
  return make_kernels<Lane>(name, "AES, SSSE3, SSE4.1", cpu_can_run);
}

TEST(BrokenTier, K07_IsRefusedWhicheverConstantIsWrong) {
  if (cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks AES-NI";
  ASSERT_TRUE(gives_known_answers(kernels_of<AesniLane>("right")));
  const std::array broken = {kernels_of<WrongPolynomial>("polynomial"),
                             kernels_of<WrongRoundConstant>("round constant"),
                             kernels_of<WrongRound>("round"),
                             kernels_of<WrongCounterMask>("counter mask"),
                             kernels_of<CounterThatStands>("counter that stands"),
                             kernels_of<CounterFromTheWrongEnd>("counter from the wrong end"),
                             kernels_of<AcceptsAll>("accepts all"),
                             kernels_of<RefusesAll>("refuses all"),
                             kernels_of<LooksAtLaneZeroOnly>("looks at lane zero only"),
                             kernels_of<WrongStartOfCookies>("start of cookies"),
                             kernels_of<WrongPaddedSubkey>("padded subkey"),
                             kernels_of<WrongWholeSubkey>("whole subkey"),
                             kernels_of<SelectsTheOtherLane>("selects the other lane"),
                             kernels_of<KeepsLanesThatHaveNotBegun>("keeps lanes that have not begun")};
  for (const Kernels& tier : broken) EXPECT_FALSE(gives_known_answers(tier)) << tier.name;
}

TEST(BrokenTier, K07_ABrokenTierIsPassedOverAndWithNoOtherNothingIsServed) {
  const Kernels broken = kernels_of<CounterThatStands>("broken");
  const Kernels* right = all_tiers().back();
  const std::array<const Kernels*, 2> both = {&broken, right};
  EXPECT_EQ(choose_tier_of(both), right);
  EXPECT_EQ(choose_tier_of(both, "broken"), nullptr) << "not even when it is asked for by name";
  EXPECT_EQ(choose_tier_of(std::span(both).first(1)), nullptr);
  EXPECT_EQ(choose_tier_of({}), nullptr);
}

}  // namespace
}  // namespace nts::siv
#endif
