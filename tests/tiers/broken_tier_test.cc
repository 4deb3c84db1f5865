// K07: a tier with one constant wrong must be refused at start, whichever constant it is.
//
// The AES-NI tier is compiled here once more with one step replaced; everything else is the real source. The
// file is included for its lane type, under another name so that the library's own table stays the only one.
#include <array>
#include <gtest/gtest.h>

#include "nts/siv/siv.h"

#if defined(__x86_64__)
#include <immintrin.h>
// Sixteen tiers in one file, each inlined to the last round, would take the compiler minutes.
#define always_inline unused
#define aesni_x4 aesni_x4_of_this_test
#include "nts/siv/siv_aesni_x4.cc"
#undef always_inline

namespace nts::siv {
namespace {

// Lanes of `V` as the tier has them: four, and one for what is left over.
template <class V>
struct One : RegisterLanes<V, 1> {
  using Narrower = void;
};
template <class V>
struct Four : RegisterLanes<V, 4> {
  using Narrower = One<V>;
};

// One octet of every lane changed where a constant would have changed it.
__m128i spoiled(__m128i lane, int low) { return _mm_xor_si128(lane, _mm_cvtsi32_si128(low)); }
AesniLanes::Block spoiled(const AesniLanes::Block& block, int low) {
  AesniLanes::Block out = block;
  for (__m128i& lane : out.part) lane = spoiled(lane, low);
  return out;
}

struct WrongRound : Xmm {
  static Register round(Register a, Register key) { return spoiled(Xmm::round(a, key), 1); }
};
struct AcceptsAll : Xmm {
  static void compare(Register, Register, uint32_t* equal) { *equal = 1; }
};
struct RefusesAll : Xmm {
  static void compare(Register, Register, uint32_t* equal) { *equal = 0; }
};

// What is broken in the wide lanes alone, for the self-test fills these too.
struct WideLanes : AesniLanes {
  using Narrower = void;
};
struct WrongPolynomial : WideLanes {  // 0x86 for 0x87
  static Block doubled(const Block& block) {
    Block out = AesniLanes::doubled(block);
    for (uint32_t i = 0; i < width; ++i) {
      const int carry = _mm_extract_epi8(block.part[i], 0) >> 7 & 1;
      out.part[i] = _mm_xor_si128(out.part[i], _mm_set_epi32(carry << 24, 0, 0, 0));
    }
    return out;
  }
};
struct WrongRoundConstant : WideLanes {  // 0x37 for 0x36, the last one
  static Block next_round_key(const Block& key, uint8_t constant) {
    return AesniLanes::next_round_key(key, constant == 0x36 ? 0x37 : constant);
  }
};
struct WrongCounterMask : WideLanes {  // the two bits of RFC 5297 section 2.6 stay
  static Block counter_base(const Block& tag) {
    Block out = AesniLanes::counter_base(tag);
    for (uint32_t i = 0; i < width; ++i) {
      const __m128i bits = _mm_and_si128(tag.part[i], _mm_set_epi32(0x80, 0x80, 0, 0));
      const __m128i turned = _mm_set_epi32(_mm_extract_epi8(bits, 12) << 24, _mm_extract_epi8(bits, 8), 0, 0);
      out.part[i] = _mm_or_si128(out.part[i], turned);
    }
    return out;
  }
};
struct CounterThatStands : WideLanes {  // every block under the first one's key stream
  static Block counter(const Block& base, uint32_t) { return AesniLanes::counter(base, 0); }
};
struct CounterFromTheWrongEnd : WideLanes {
  static Block counter(const Block& base, uint32_t number) {
    return spoiled(AesniLanes::counter(base, 0), static_cast<int>(number));
  }
};
struct LooksAtLaneZeroOnly : WideLanes {
  static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    AesniLanes::compare(a, b, equal);
    for (uint32_t& one : equal) one = equal[0];
  }
};
// One row of the expanded keys wrong: `Row` is the start that only cookies use, or a subkey.
template <uint32_t Row>
struct WrongRow : WideLanes {
  static Block spoiled_at(uint32_t row, const Block& block) { return row == Row ? spoiled(block, 1) : block; }
  struct SameKey : AesniLanes::SameKey {
    using AesniLanes::SameKey::SameKey;
    Block block(uint32_t row) const { return spoiled_at(row, AesniLanes::SameKey::block(row)); }
  };
  struct RowKeys : AesniLanes::RowKeys {
    using AesniLanes::RowKeys::RowKeys;
    Block block(uint32_t row) const { return spoiled_at(row, AesniLanes::RowKeys::block(row)); }
  };
};
// The narrow lanes wrong, the wide ones right.
struct WrongNarrowLanes : AesniLanes {
  using Narrower = One<WrongRound>;
};

// What only runs where messages of unlike lengths share a group. Four lanes are never that mixed (a shape
// takes a quarter of them at least); eight are.
struct EightLanes : RegisterLanes<Xmm, 8> {
  using Narrower = void;
};
struct SelectsTheOtherLane : EightLanes {
  static Block select(const Block& mask, const Block& a, const Block& b) {
    return EightLanes::select(mask, b, a);
  }
};
struct KeepsLanesThatHaveNotBegun : EightLanes {
  static State only(const State& state, const State&) { return state; }
};

template <class Lane>
Kernels kernels_of(const char* name) {
  return make_kernels<Lane>(name, "AES, SSSE3, SSE4.1", cpu_can_run);
}

TEST(BrokenTier, K07_IsRefusedWhicheverConstantIsWrong) {
  if (cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks AES-NI";
  ASSERT_TRUE(gives_known_answers(kernels_of<AesniLanes>("right")));
  ASSERT_TRUE(gives_known_answers(kernels_of<EightLanes>("right")));
  const std::array broken = {kernels_of<WrongPolynomial>("polynomial"),
                             kernels_of<WrongRoundConstant>("round constant"),
                             kernels_of<Four<WrongRound>>("round"),
                             kernels_of<WrongCounterMask>("counter mask"),
                             kernels_of<CounterThatStands>("counter that stands"),
                             kernels_of<CounterFromTheWrongEnd>("counter from the wrong end"),
                             kernels_of<Four<AcceptsAll>>("accepts all"),
                             kernels_of<Four<RefusesAll>>("refuses all"),
                             kernels_of<LooksAtLaneZeroOnly>("looks at lane zero only"),
                             kernels_of<WrongRow<row::s2v_empty>>("start of cookies"),
                             kernels_of<WrongRow<row::padded>>("padded subkey"),
                             kernels_of<WrongRow<row::whole>>("whole subkey"),
                             kernels_of<WrongNarrowLanes>("narrow lanes"),
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
