// K07 for AES-SIV with longer keys: included by one file for each key size, which has the AES-NI tier
// compiled for that size before it (siv_384_aesni_x4.cc says how).
#pragma once

namespace nts::siv {
namespace {

// Wide lanes alone, which then take every fill.
struct WideLanes : AesniLanes {
  using Narrower = void;
  static Block spoiled(const Block& block) {
    Block out = block;
    for (__m128i& lane : out.part) lane = _mm_xor_si128(lane, _mm_cvtsi32_si128(1));
    return out;
  }
};
// One row of the expanded key wrong: a round key, a subkey, a start. A wrong S-box, round constant or word of
// the expansion shows there.
struct WrongRow : WideLanes {
  static inline uint32_t wrong = row::count;
  static void put_row(uint8_t* rows, uint32_t row, const Block& block) {
    WideLanes::put_row(rows, row, row == wrong ? spoiled(block) : block);
  }
};
struct AcceptsAll : WideLanes {
  static void compare(const Block&, const Block&, uint32_t (&equal)[width]) {
    for (uint32_t& one : equal) one = 1;
  }
};
struct CounterThatStands : WideLanes {
  static Block counter(const Block& base, uint32_t) { return WideLanes::counter(base, 0); }
};

template <class Lanes>
Kernels kernels_of(const char* name) {
  return make_kernels<Lanes>(name, "AES, SSSE3, SSE4.1", cpu_can_run);
}

inline void expect_whatever_row_is_wrong_is_found() {
  if (cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks AES-NI";
  const Kernels tier = kernels_of<WrongRow>("one row wrong");
  ASSERT_EQ(tier.key_bytes, NOONMARK_SIV_KEY_BITS / 8);
  ASSERT_TRUE(gives_known_answers(tier)) << "no row is wrong yet";
  for (WrongRow::wrong = 0; WrongRow::wrong < row::count; ++WrongRow::wrong) {
    EXPECT_FALSE(gives_known_answers(tier)) << "row " << WrongRow::wrong;
  }
  EXPECT_FALSE(gives_known_answers(kernels_of<AcceptsAll>("accepts all")));
  EXPECT_FALSE(gives_known_answers(kernels_of<CounterThatStands>("counter that stands")));
}

inline void expect_a_broken_tier_is_passed_over() {
  const Kernels broken = kernels_of<AcceptsAll>("broken");
  const Kernels* const right = all_tiers(NOONMARK_SIV_KEY_BITS / 8).back();
  const std::array<const Kernels*, 2> both = {&broken, right};
  EXPECT_EQ(choose_tier_of(both), right);
  EXPECT_EQ(choose_tier_of(both, "broken"), nullptr) << "not even when it is asked for by name";
  EXPECT_EQ(choose_tier_of(std::span(both).first(1)), nullptr);
}

}  // namespace
}  // namespace nts::siv
