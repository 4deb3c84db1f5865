// K07 for AES-GCM-SIV: a tier with one constant wrong must be refused at start, whichever constant it is.
//
// The AES-NI tier is compiled here once more with one step replaced, as broken_tier_test.cc does it for
// AES-SIV.
#include <array>
#include <gtest/gtest.h>

#include "nts/gcm_siv/gcm_siv.h"

#if defined(__x86_64__)
#include <immintrin.h>
// A dozen tiers in one file, each inlined to the last round, would take the compiler minutes.
#define always_inline unused
#define gcm_siv_aesni_x4 gcm_siv_aesni_x4_of_this_test
#include "nts/gcm_siv/gcm_siv_aesni_x4.cc"
#undef always_inline

namespace nts::gcm_siv {
namespace {

// Broken in the wide lanes alone, which then take every fill.
struct WideLanes : RegisterLanes<Xmm, 4> {
  // One octet of every lane changed where a constant would have changed it.
  static Block spoiled(const Block& block, int low) {
    return both(block, same({static_cast<uint64_t>(low), 0}));
  }
};
template <class R>
struct Four : RegisterLanes<R, 4> {};

struct WrongRound : Xmm {
  static Register round(Register a, Register key) {
    return _mm_xor_si128(Xmm::round(a, key), _mm_cvtsi32_si128(1));
  }
};
struct WrongLastRound : Xmm {
  static Register last(Register a, Register key) {
    return _mm_xor_si128(Xmm::last(a, key), _mm_cvtsi32_si128(1));
  }
};
struct WrongModulus : Xmm {  // 0xc3 for 0xc2 in POLYVAL's constant, which nothing else is multiplied by
  template <int Halves>
  static Register multiplied(Register a, Register b) {
    const __m128i right = _mm_set1_epi64x(static_cast<int64_t>(0xc200000000000000ULL));
    const bool is_modulus = _mm_movemask_epi8(_mm_cmpeq_epi8(b, right)) == 0xffff;
    return Xmm::multiplied<Halves>(
        a, is_modulus ? _mm_set1_epi64x(static_cast<int64_t>(0xc300000000000000ULL)) : b);
  }
};
struct AcceptsAll : Xmm {
  static void compare(Register, Register, uint32_t* equal) { *equal = 1; }
};
struct RefusesAll : Xmm {
  static void compare(Register, Register, uint32_t* equal) { *equal = 0; }
};

struct WrongRoundConstant : WideLanes {  // 0x37 for 0x36, the last one
  static Block next_round_key(const Block& key, uint8_t constant) {
    return WideLanes::next_round_key(key, constant == 0x36 ? 0x37 : constant);
  }
};
struct CounterThatStands : WideLanes {  // in the text, and so in the derivation of keys
  static Block counted(const Block& a, uint32_t) { return WideLanes::counted(a, 0); }
};
struct CounterThatDoesNotWrap : WideLanes {  // carries out of its 32 bits
  static Block counted(const Block& a, uint32_t number) {
    Block out = a;
    for (auto& lane : out.at) lane = _mm_add_epi64(lane, _mm_cvtsi32_si128(static_cast<int>(number)));
    return out;
  }
};
struct TagKeepsItsTopBit : WideLanes {
  static Block without_top_bit(const Block& a) { return a; }
};
struct CounterWithoutTheTopBit : WideLanes {
  static Block with_top_bit(const Block& a) { return a; }
};
struct NoHashSquared : WideLanes {  // H for H^2 where two blocks are taken at once
  static Block folded(const Block& a, const Block&, const Block& c, const Block& hash) {
    return WideLanes::folded(a, hash, c, hash);
  }
};
struct ShiftsTooFar : WideLanes {  // short last blocks of a group of one shape
  static Block moved_down(const Block& a, uint32_t by) {
    return WideLanes::moved_down(a, by == 16 ? 16 : by + 1);
  }
};
struct LooksAtLaneZeroOnly : WideLanes {
  static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    WideLanes::compare(a, b, equal);
    for (uint32_t& one : equal) one = equal[0];
  }
};
struct NarrowLane : RegisterLanes<WrongRound, 1> {};
struct WrongNarrowLanes : RegisterLanes<Xmm, 4> {  // the wide ones right
  using Narrower = NarrowLane;
  static constexpr bool has_narrower = true;
};

template <class Lanes>
Kernels kernels_of(const char* name) {
  return make_kernels<Lanes>(name, "AES, PCLMULQDQ, SSSE3, SSE4.1", cpu_can_run);
}

TEST(BrokenGcmSivTier, K07_IsRefusedWhicheverConstantIsWrong) {
  if (cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks AES-NI or PCLMULQDQ";
  ASSERT_TRUE(gives_known_answers(kernels_of<FourLanes>("right")));
  ASSERT_TRUE(gives_known_answers(kernels_of<WideLanes>("right")));
  const std::array broken = {kernels_of<Four<WrongRound>>("round"),
                             kernels_of<Four<WrongLastRound>>("last round"),
                             kernels_of<Four<WrongModulus>>("modulus"),
                             kernels_of<Four<AcceptsAll>>("accepts all"),
                             kernels_of<Four<RefusesAll>>("refuses all"),
                             kernels_of<WrongRoundConstant>("round constant"),
                             kernels_of<CounterThatStands>("counter that stands"),
                             kernels_of<CounterThatDoesNotWrap>("counter that does not wrap"),
                             kernels_of<TagKeepsItsTopBit>("top bit of the tag"),
                             kernels_of<CounterWithoutTheTopBit>("top bit of the counter"),
                             kernels_of<NoHashSquared>("hash squared"),
                             kernels_of<ShiftsTooFar>("shifts too far"),
                             kernels_of<LooksAtLaneZeroOnly>("looks at lane zero only"),
                             kernels_of<WrongNarrowLanes>("narrow lanes")};
  for (const Kernels& tier : broken) EXPECT_FALSE(gives_known_answers(tier)) << tier.name;
}

TEST(BrokenGcmSivTier, K07_IsPassedOverAndWithNoOtherNothingIsServed) {
  const Kernels broken = kernels_of<TagKeepsItsTopBit>("broken");
  const Kernels* const right = all_tiers().back();
  const std::array<const Kernels*, 2> both = {&broken, right};
  EXPECT_EQ(choose_tier_of(both), right);
  EXPECT_EQ(choose_tier_of(both, "broken"), nullptr) << "not even when it is asked for by name";
  EXPECT_EQ(choose_tier_of(std::span(both).first(1)), nullptr);
  EXPECT_EQ(choose_tier_of({}), nullptr);
}

}  // namespace
}  // namespace nts::gcm_siv
#endif
