// K07 for AEAD 17: a tier of AES-SIV-CMAC-512 with one constant wrong is refused at start.
#include <array>
#include <gtest/gtest.h>

#include "nts/siv/siv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define NOONMARK_SIV_KEY_BITS 512
// Tiers inlined to the last round would take the compiler minutes.
#define always_inline unused
#define aesni_x4 aesni_x4_512_of_this_test
#include "nts/siv/siv_aesni_x4.cc"
#undef always_inline
#include "tests/tiers/broken_long_keys.h"

namespace nts::siv {
namespace {

TEST(BrokenTier512, K07_IsRefusedWhicheverRowIsWrong) { expect_whatever_row_is_wrong_is_found(); }
TEST(BrokenTier512, K07_IsPassedOver) { expect_a_broken_tier_is_passed_over(); }

}  // namespace
}  // namespace nts::siv
#endif
