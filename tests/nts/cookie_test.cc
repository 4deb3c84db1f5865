// What an eavesdropper sees of cookies: octets without a pattern, and nothing that two cookies of one session
// share but the key's id (TESTS.md K13).
#include <gtest/gtest.h>
#include <set>

#include "tests/nts/aead_session.h"
#include "tests/nts/server_fixture.h"

namespace {

using tests::AeadSession;
using tests::Octets;
using Block = std::array<std::uint8_t, 16>;

class CookieTest : public tests::ServerTest {
 protected:
  CookieTest() : tests::ServerTest(nts::all_kernels_beside(tests::counting_kernels())) {}

  // `answers` answers of eight cookies each, all of one session.
  std::vector<Octets> cookies_of(const AeadSession& session, int answers) {
    const Octets request = session.request(7);
    std::vector<Octets> cookies;
    for (int i = 0; i < answers; ++i) {
      bool authentic = false;
      const std::vector<Octets> some = session.cookies_of(serve_one(request).octets, authentic);
      EXPECT_TRUE(authentic);
      cookies.insert(cookies.end(), some.begin(), some.end());
    }
    return cookies;
  }
};

// Pearson's statistic of how often each octet comes, which is 255 +- 22.6 when none is preferred. The octets
// are the same in every run: what is not far off once never is.
double chi_square(const std::vector<Octets>& cookies) {
  std::array<double, 256> seen{};
  double octets = 0;
  for (const Octets& cookie : cookies) {
    for (std::size_t at = nts::cookie_key_id_bytes; at < cookie.size(); ++at, ++octets) seen[cookie[at]] += 1;
  }
  double sum = 0;
  for (const double count : seen) sum += (count - octets / 256) * (count - octets / 256) / (octets / 256);
  return sum;
}

std::size_t repeated_blocks(const std::vector<Octets>& cookies) {
  std::set<Block> seen;
  std::size_t blocks = 0;
  for (const Octets& cookie : cookies) {
    for (std::size_t at = nts::cookie_key_id_bytes; at + 16 <= cookie.size(); at += 16, ++blocks) {
      Block block;
      std::copy_n(cookie.begin() + static_cast<std::ptrdiff_t>(at), block.size(), block.begin());
      seen.insert(block);
    }
  }
  return blocks - seen.size();
}

TEST_F(CookieTest, K13_CookiesOfOneSessionLookRandomAndShareNoBlockUnderEveryAead) {
  for (const AeadSession& session : tests::all_sessions()) {
    SCOPED_TRACE(session.aead_of().name);
    const std::vector<Octets> cookies = cookies_of(session, 1000);
    ASSERT_EQ(cookies.size(), 8000U);
    EXPECT_LT(chi_square(cookies), 255 + 5 * 22.6);
    EXPECT_GT(chi_square(cookies), 255 - 5 * 22.6);
    EXPECT_EQ(repeated_blocks(cookies), 0U);
  }
}

TEST_F(CookieTest, K13_APatternWouldBeSeen) {
  std::vector<Octets> cookies = cookies_of(tests::all_sessions().front(), 1000);
  for (Octets& cookie : cookies) cookie[50] = 0x42;
  EXPECT_GT(chi_square(cookies), 255 + 5 * 22.6);
  cookies[7] = cookies[4000];
  EXPECT_GT(repeated_blocks(cookies), 0U);
}

}  // namespace
