// The keeper's cookies, opened by an oracle (nettle) that nobody here wrote.

#include "control/cookie_sealer.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <set>
#include <vector>

#include "nts/cookie.h"
#include "tests/control/cookies.h"

namespace control {
namespace {

using nts::KeyState;
using tests::make_ring;

class CookieSealerTest : public testing::Test {
 protected:
  SealReply seal(SealRequest request = tests::seal_request(1)) {
    SealReply reply;
    std::memset(&reply, 0xee, sizeof reply);  // what was there before must not shine through
    sealer_.seal(request, reply);
    last_request_ = request;
    return reply;
  }
  CookieSealer sealer_{*nts::siv::choose_tier()};
  SealRequest last_request_{};
};

TEST_F(CookieSealerTest, P07_GivesEightCookiesThatHoldTheSessionsKeys) {
  const nts::KeyRing ring = make_ring({{7, KeyState::accepting}, {8, KeyState::current}}, 5);
  sealer_.load(ring);
  const SealReply reply = seal();
  ASSERT_EQ(reply.status, Status::ok);
  EXPECT_EQ(reply.ring_generation, 5U);
  EXPECT_EQ(reply.cookies.size(), 8U);
  for (const auto& cookie : reply.cookies) {
    EXPECT_EQ(nts::cookie_key_id(cookie.data()), 8U) << "only the current key seals";
    EXPECT_EQ(tests::session_keys_in(cookie, ring), tests::session_keys_of(tests::seal_request(1)));
  }
}

TEST_F(CookieSealerTest, C28_ACookieHas100OctetsUnderEveryKey) {
  for (const std::uint32_t id : {1U, 127U, 128U, 0xfffffffeU}) {
    sealer_.load(make_ring({{id, KeyState::current}}));
    EXPECT_EQ(seal().cookie_bytes, 100U);
  }
}

TEST_F(CookieSealerTest, C28_UnderEveryAeadCookiesHoldBothKeysAndHaveOneLength) {
  const nts::KeyRing ring = make_ring({{7, KeyState::current}});
  sealer_.load(ring);
  for (const nts::Aead& aead : nts::aeads) {
    SealRequest request{};
    request.aead = aead.number;
    request.key_bytes = aead.key_bytes;
    std::fill_n(request.c2s.begin(), aead.key_bytes, std::uint8_t{0xc2});
    std::fill_n(request.s2c.begin(), aead.key_bytes, std::uint8_t{0x52});
    tests::Octets keys(aead.key_bytes, 0xc2);
    keys.resize(2 * std::size_t{aead.key_bytes}, 0x52);
    const SealReply reply = seal(request);
    ASSERT_EQ(reply.status, Status::ok) << aead.name;
    EXPECT_EQ(reply.cookie_bytes, aead.cookie_bytes());
    for (const auto& cookie : reply.cookies) {
      const auto whole = std::span(cookie).first(reply.cookie_bytes);
      tests::Octets opened;
      EXPECT_TRUE(
          tests::nettle_open(ring.slot_of(7).key, {}, whole.subspan(4, 16), whole.subspan(20), opened));
      EXPECT_EQ(opened, keys);
    }
  }
}

TEST_F(CookieSealerTest, P29_T11_NoTwoCookiesHaveMoreInCommonThanTheKeyId) {
  const nts::KeyRing ring = make_ring({{0x01020304, KeyState::current}});
  sealer_.load(ring);
  // Three sessions, one of them twice: also cookies of the same keys must not be told to belong together.
  std::vector<std::array<std::uint8_t, cookie_bytes_max>> cookies;
  for (const std::uint8_t fill : std::initializer_list<std::uint8_t>{1, 1, 2}) {
    const SealReply reply = seal(tests::seal_request(fill));
    cookies.insert(cookies.end(), reply.cookies.begin(), reply.cookies.end());
  }
  // Any 8 octets at any place: by chance two agree with 2^-64.
  std::set<std::vector<std::uint8_t>> pieces;
  std::size_t count = 0;
  for (const auto& cookie : cookies) {
    EXPECT_EQ(nts::cookie_key_id(cookie.data()), 0x01020304U);
    for (std::size_t at = nts::cookie_key_id_bytes; at + 8 <= nts::cookie_bytes; ++at, ++count) {
      pieces.emplace(cookie.begin() + static_cast<std::ptrdiff_t>(at),
                     cookie.begin() + static_cast<std::ptrdiff_t>(at + 8));
    }
  }
  EXPECT_EQ(pieces.size(), count);
}

TEST_F(CookieSealerTest, WithoutACurrentKeyNothingIsSealed) {
  EXPECT_EQ(seal().status, Status::no_current_key);
  sealer_.load(make_ring({{7, KeyState::current}}));
  EXPECT_EQ(seal().status, Status::ok);
  sealer_.load(make_ring({{7, KeyState::accepting}}));
  const SealReply reply = seal();
  EXPECT_EQ(reply.status, Status::no_current_key);
  EXPECT_EQ(reply.cookie_bytes, 0U);
}

TEST_F(CookieSealerTest, ANumberAndAKeyThatDoNotBelongTogetherAreRefused) {
  sealer_.load(make_ring({{7, KeyState::current}}));
  const auto status_of = [&](std::uint32_t aead, std::uint32_t key_bytes) {
    SealRequest request = tests::seal_request(1);
    request.aead = aead;
    request.key_bytes = key_bytes;
    const SealReply reply = seal(request);
    EXPECT_EQ(reply.cookie_bytes, reply.status == Status::ok ? 100U : 0U);
    return reply.status;
  };
  EXPECT_EQ(status_of(15, 32), Status::ok);
  for (const std::uint32_t key_bytes : {0U, 16U, 31U, 33U, 48U, 64U, 0xffffffffU}) {
    EXPECT_EQ(status_of(15, key_bytes), Status::unknown_aead) << key_bytes;
  }
  for (const std::uint32_t aead : {0U, 14U, 16U, 17U, 30U, 0x0001000fU}) {
    EXPECT_EQ(status_of(aead, 32), Status::unknown_aead) << aead;
  }
}

TEST_F(CookieSealerTest, TheSessionsKeysAreWipedInEachCase) {
  const auto is_wiped = [&] {
    const auto is_zero = [](std::uint8_t octet) { return octet == 0; };
    return std::all_of(last_request_.c2s.begin(), last_request_.c2s.end(), is_zero) &&
           std::all_of(last_request_.s2c.begin(), last_request_.s2c.end(), is_zero);
  };
  (void)seal();
  EXPECT_TRUE(is_wiped()) << "no key";
  sealer_.load(make_ring({{7, KeyState::current}}));
  (void)seal();
  EXPECT_TRUE(is_wiped()) << "sealed";
  SealRequest other = tests::seal_request(1);
  other.aead = 30;
  (void)seal(other);
  EXPECT_TRUE(is_wiped()) << "refused";
}

}  // namespace
}  // namespace control
