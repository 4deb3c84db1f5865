#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

#include "nts/server.h"
#include "tests/nts/server_fixture.h"

namespace {

using nts::Batch;
using nts::KeyState;
using nts::Verdict;
using tests::Answered;
using tests::expect_nak;
using tests::key_of;
using tests::nts_request;
using tests::Octets;
using tests::plain_request;
using tests::RequestBuilder;
using tests::RingEntry;
using tests::ServerTest;
using tests::usual_cookie;

TEST_F(ServerTest, C22_P26_P29_AnAuthenticatedAnswerVerifiesAndItsCookiesAllOpen) {
  std::set<Octets> seen;
  for (std::size_t placeholders = 0; placeholders <= 7; ++placeholders) {
    const Answered answer = serve_one(nts_request(placeholders));
    ASSERT_EQ(answer.verdict, Verdict::answer_nts);
    bool authentic = false;
    const auto cookies = tests::cookies_of_answer(answer.octets, key_of(0x52), authentic);
    ASSERT_TRUE(authentic);
    EXPECT_EQ(cookies.size(), placeholders + 1);
    EXPECT_EQ(answer.octets.size(), nts_request(placeholders).size()) << "NTPsec's arithmetic: same length";
    for (const Octets& cookie : cookies) {
      EXPECT_EQ(cookie.size(), 100U) << "C28: one length for ever";
      EXPECT_EQ(nts::load_u32(cookie.data()), 7U) << "sealed under the current key";
      EXPECT_TRUE(seen.insert(cookie).second) << "no cookie twice";
      Octets keys;
      ASSERT_TRUE(tests::nettle_open(tests::ring_key_of(7), {}, std::span(cookie).subspan(4, 16),
                                     std::span(cookie).subspan(20), keys));
      EXPECT_TRUE(std::equal(keys.begin(), keys.begin() + 32, key_of(0xc2).begin()));
      EXPECT_TRUE(std::equal(keys.begin() + 32, keys.end(), key_of(0x52).begin()));
      const Octets next =
          RequestBuilder().unique_identifier().cookie(cookie).authenticator(key_of(0xc2)).octets();
      EXPECT_EQ(serve_one(next).verdict, Verdict::answer_nts);
    }
  }
}

TEST_F(ServerTest, P20_TheIdentifierIsEchoedOctetForOctetWhereverItStood) {
  const Octets request = RequestBuilder()
                             .cookie(usual_cookie())
                             .field(0x7777, Octets(28, 1))
                             .unique_identifier(64, 0x21)
                             .authenticator(key_of(0xc2))
                             .octets();
  const Answered answer = serve_one(request);
  ASSERT_EQ(answer.verdict, Verdict::answer_nts);
  bool whole = false;
  const auto fields = tests::fields_of(answer.octets, 48, whole);
  ASSERT_TRUE(whole);
  ASSERT_EQ(fields.size(), 2U);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(fields[0].body[i], 0x21 + i);
  bool authentic = false;
  EXPECT_EQ(tests::cookies_of_answer(answer.octets, key_of(0x52), authentic).size(), 1U);
  EXPECT_TRUE(authentic);
}

TEST_F(ServerTest, C16_AuthenticButMalformedEncryptedFieldsAreDropped) {
  for (const Octets& plaintext :
       {Octets{1, 2, 0, 0}, Octets{1, 2, 0, 8}, Octets{1, 2, 0xff, 0xff}, Octets{1, 2, 0, 5, 0, 0, 0, 0}}) {
    const Octets request = RequestBuilder()
                               .unique_identifier()
                               .cookie(usual_cookie())
                               .authenticator(key_of(0xc2), plaintext)
                               .octets();
    EXPECT_EQ(serve_one(request).verdict, Verdict::drop_encrypted);
  }
}

TEST_F(ServerTest, C09_KeysThatAreRetiredOrUnknownGetNtsnAndAcceptingOnesServe) {
  Octets keys(64);
  std::copy_n(key_of(0xc2).begin(), 32, keys.begin());
  std::copy_n(key_of(0x52).begin(), 32, keys.begin() + 32);
  const std::map<std::uint32_t, Verdict> expected = {{5, Verdict::nak_key_retired},
                                                     {6, Verdict::answer_nts},
                                                     {7, Verdict::answer_nts},
                                                     {8, Verdict::answer_nts},
                                                     {9, Verdict::nak_key_unknown},
                                                     {0, Verdict::nak_key_unknown},
                                                     {0xffffffff, Verdict::nak_key_unknown},
                                                     {7 + 128, Verdict::nak_key_unknown}};
  for (const auto& [id, verdict] : expected) {
    const Octets cookie = tests::make_cookie(id, tests::ring_key_of(id), keys);
    const Octets request =
        RequestBuilder().unique_identifier().cookie(cookie).authenticator(key_of(0xc2)).octets();
    const Answered answer = serve_one(request);
    EXPECT_EQ(answer.verdict, verdict) << id;
    if (verdict != Verdict::answer_nts) expect_nak(answer, request);
  }
}

TEST_F(ServerTest, C10_CookiesForgedWithTheMasterKeyButOfAnotherShapeDoNotServe) {
  for (const std::size_t plaintext : {0U, 4U, 32U, 60U, 68U, 96U, 128U}) {
    const Octets cookie = tests::make_cookie(7, tests::ring_key_of(7), Octets(plaintext, 1));
    const Octets request =
        RequestBuilder().unique_identifier().cookie(cookie).authenticator(key_of(0xc2)).octets();
    EXPECT_EQ(serve_one(request).verdict, Verdict::nak_cookie) << plaintext;
  }
}

TEST_F(ServerTest, C13_C14_OnlyTheRightTagIsAuthentic) {
  const Octets good = nts_request();
  ASSERT_EQ(serve_one(good).verdict, Verdict::answer_nts);
  for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{0xff}}) {
    Octets request = good;
    std::fill(request.end() - 16, request.end(), fill);
    EXPECT_EQ(serve_one(request).verdict, Verdict::nak_authenticator);
  }
  for (std::size_t bit = 0; bit < 128; ++bit) {
    Octets request = good;
    request[request.size() - 16 + bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_EQ(serve_one(request).verdict, Verdict::nak_authenticator);
  }
  for (std::size_t i = good.size() - 32; i < good.size() - 16; ++i) {
    Octets request = good;
    request[i] ^= 1;
    EXPECT_EQ(serve_one(request).verdict, Verdict::nak_authenticator) << "nonce " << i;
  }
}

TEST_F(ServerTest, C14_P24_EveryOctetBeforeTheAuthenticatorIsSigned) {
  const Octets good = nts_request(1);
  const std::size_t authenticator = good.size() - 40;
  for (std::size_t i = 0; i < authenticator; ++i) {
    Octets request = good;
    request[i] ^= 0x40;
    EXPECT_NE(serve_one(request).verdict, Verdict::answer_nts) << i;
  }
}

TEST_F(ServerTest, C15_NoncesOfOtherLengthsServeWhenTheyVerify) {
  for (const std::size_t nonce : {1U, 4U, 12U, 15U, 16U, 17U, 20U, 32U, 64U}) {
    const std::size_t padded = (nonce + 3) / 4 * 4;
    const Octets request = RequestBuilder()
                               .unique_identifier()
                               .cookie(usual_cookie())
                               .authenticator(key_of(0xc2), {}, nonce, padded < 16 ? 16 - padded : 0)
                               .octets();
    const Answered answer = serve_one(request);
    ASSERT_EQ(answer.verdict, Verdict::answer_nts) << nonce;
    bool authentic = false;
    (void)tests::cookies_of_answer(answer.octets, key_of(0x52), authentic);
    EXPECT_TRUE(authentic) << nonce;
  }
}

TEST_F(ServerTest, C26_WithoutKeysNtsIsDroppedAndPlainIsServed) {
  nts::ExpandedKeyRing none(tests::nettle_kernels());
  Octets nts = nts_request();
  Octets plain = plain_request();
  Batch batch;
  batch.count = 2;
  batch.packet = {nts.data(), plain.data()};
  batch.packet_bytes = {static_cast<std::uint16_t>(nts.size()), 48};
  batch.received = {received_, received_};
  server_.open_requests(batch, none, policy_);
  server_.prepare_answers(batch, none, clock_);
  server_.seal_answers(batch, transmit_);
  EXPECT_EQ(batch.request[0].verdict, Verdict::drop_no_keys);
  EXPECT_EQ(batch.answer_bytes[0], 0);
  EXPECT_EQ(batch.request[1].verdict, Verdict::answer_plain);
  policy_.answer_nts = false;
  EXPECT_EQ(serve_one(nts_request()).verdict, Verdict::drop_no_keys);
  policy_.answer_plain = false;
  EXPECT_EQ(serve_one(plain_request()).verdict, Verdict::drop_plain_refused);
}

TEST_F(ServerTest, NoRowOfABurstDependsOnItsNeighbours) {
  std::mt19937 random(5);
  Octets bad_tag = nts_request();
  bad_tag.back() ^= 1;
  Octets bad_cookie = nts_request(2);
  bad_cookie[120] ^= 1;
  const std::vector<std::pair<Octets, Verdict>> kinds = {
      {plain_request(), Verdict::answer_plain}, {nts_request(), Verdict::answer_nts},
      {nts_request(7), Verdict::answer_nts},    {bad_tag, Verdict::nak_authenticator},
      {bad_cookie, Verdict::nak_cookie},        {Octets(20, 1), Verdict::drop_short},
      {plain_request(4, 4), Verdict::drop_mode}};
  for (int round = 0; round < 300; ++round) {
    std::vector<Octets> burst;
    std::vector<Verdict> expected;
    for (std::size_t i = 0, count = 1 + random() % nts::burst_max; i < count; ++i) {
      const auto& [request, verdict] = kinds[random() % kinds.size()];
      burst.push_back(request);
      expected.push_back(verdict);
    }
    const auto answers = serve(burst);
    for (std::size_t i = 0; i < burst.size(); ++i) {
      ASSERT_EQ(answers[i].verdict, expected[i]);
      if (expected[i] != Verdict::answer_nts) continue;
      bool authentic = false;
      (void)tests::cookies_of_answer(answers[i].octets, key_of(0x52), authentic);
      ASSERT_TRUE(authentic);
    }
  }
}

TEST_F(ServerTest, J01_MutatedRequestsNeverEarnALongerAnswerAndNeverAnUnsignedOne) {
  std::mt19937 random(11);
  const std::vector<Octets> seeds = {plain_request(), nts_request(), nts_request(7),
                                     RequestBuilder().unique_identifier().octets()};
  std::vector<Octets> burst;
  for (int i = 0; i < 200'000; ++i) {
    Octets request = seeds[random() % seeds.size()];
    for (std::uint32_t flips = 1 + random() % 4; flips > 0; --flips) {
      request[random() % request.size()] = static_cast<std::uint8_t>(random());
    }
    if (random() % 4 == 0) request.resize(random() % (request.size() + 40));
    burst.push_back(request);
    if (burst.size() < nts::burst_max) continue;
    for (const Answered& answer : serve(burst)) {
      if (answer.octets.empty()) continue;
      ASSERT_EQ(answer.octets[0] & 7, 4) << "only server packets leave";
      if (answer.verdict != Verdict::answer_nts) continue;
      bool authentic = false;
      (void)tests::cookies_of_answer(answer.octets, key_of(0x52), authentic);
      ASSERT_TRUE(authentic);
    }
    burst.clear();
  }
}

// Octets 0 to 3 name a key that the ring does not have, or another one; the rest fails to open.
TEST_F(ServerTest, C08_P27_P43_ACookieWithAnyBitChangedIsAnsweredWithNtsn) {
  const Octets good = nts_request();
  const std::size_t cookie_at = 48 + 36 + 4;
  std::vector<Octets> requests;
  for (std::size_t bit = 0; bit < 800; ++bit) {
    requests.push_back(good);
    requests.back()[cookie_at + bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
  }
  const std::map<std::uint32_t, Verdict> known = {
      {5, Verdict::nak_key_retired}, {6, Verdict::nak_cookie}, {8, Verdict::nak_cookie}};
  const auto answers = serve(requests);
  for (std::size_t bit = 0; bit < 800; ++bit) {
    SCOPED_TRACE(bit);
    Verdict expected = Verdict::nak_cookie;
    if (bit < 32) {
      const auto named = known.find(nts::load_u32(requests[bit].data() + cookie_at));
      expected = named == known.end() ? Verdict::nak_key_unknown : named->second;
    }
    EXPECT_EQ(answers[bit].verdict, expected);
    expect_nak(answers[bit], requests[bit]);
  }
}

TEST_F(ServerTest, C07_C08_EveryTruncatedOrExtendedCookieIsAnsweredWithNtsnOrDropped) {
  std::vector<std::size_t> lengths = {1000};
  for (std::size_t bytes = 0; bytes <= 300; ++bytes) lengths.push_back(bytes);
  for (const std::size_t bytes : lengths) {
    SCOPED_TRACE(bytes);
    Octets cookie = usual_cookie();
    cookie.resize(bytes, 0);
    const Octets request =
        RequestBuilder().unique_identifier().cookie(cookie).authenticator(key_of(0xc2)).octets();
    const Answered answer = serve_one(request);
    if (bytes % 4 != 0 || bytes < 12) {
      EXPECT_EQ(answer.verdict, Verdict::drop_extension) << "no field has such a length";
    } else if (bytes == 100) {
      EXPECT_EQ(answer.verdict, Verdict::answer_nts);
    } else {
      EXPECT_EQ(answer.verdict, Verdict::nak_cookie);
      expect_nak(answer, request);
    }
  }
}

TEST_F(ServerTest, C05_P28_AVersion3PacketThatIsProperlySignedIsDropped) {
  for (const std::size_t placeholders : {0U, 1U, 7U}) {
    const Octets request = RequestBuilder(3)
                               .unique_identifier()
                               .cookie(usual_cookie())
                               .placeholders(placeholders)
                               .authenticator(key_of(0xc2))
                               .octets();
    EXPECT_EQ(serve_one(request).verdict, Verdict::drop_trailing);
  }
}

TEST_F(ServerTest, C04_P45_UnknownFieldsAnywhereInAnNtsRequestChangeNothing) {
  for (const std::size_t place : {0U, 1U, 2U}) {
    for (const std::size_t body : {12U, 16U, 400U}) {
      RequestBuilder builder;
      if (place == 0) builder.field(0x0105, Octets(body, 1));
      builder.unique_identifier();
      if (place == 1) builder.field(0x0105, Octets(body, 1));
      builder.cookie(usual_cookie());
      if (place == 2) builder.field(0x0105, Octets(body, 1));
      const Answered answer = serve_one(builder.authenticator(key_of(0xc2)).octets());
      ASSERT_EQ(answer.verdict, Verdict::answer_nts) << place << " " << body;
      EXPECT_EQ(answer.octets.size(), nts_request().size()) << "nothing of it comes back";
    }
  }
}

TEST_F(ServerTest, C11_P25_OnlyTheFirstAuthenticatorCountsAndWhatFollowsIsNeverActedOn) {
  const Octets good = nts_request();
  const Octets other = RequestBuilder()
                           .unique_identifier()
                           .cookie(usual_cookie())
                           .authenticator(key_of(0x77))
                           .placeholders(7)
                           .authenticator(key_of(0xc2))
                           .octets();
  EXPECT_EQ(serve_one(other).verdict, Verdict::nak_authenticator) << "a right one behind a wrong one";
  for (const Octets& tail :
       {Octets(other.end() - 40, other.end()), Octets(1, 9), Octets(3, 9), Octets(20, 0)}) {
    Octets request = good;
    request.insert(request.end(), tail.begin(), tail.end());
    const Answered answer = serve_one(request);
    ASSERT_EQ(answer.verdict, Verdict::answer_nts);
    EXPECT_EQ(answer.octets.size(), good.size());
  }
  Octets request = good;
  const Octets late = RequestBuilder().placeholders(3).unique_identifier().octets();
  request.insert(request.end(), late.begin() + 48, late.end());
  const Answered answer = serve_one(request);
  ASSERT_EQ(answer.verdict, Verdict::answer_nts);
  bool authentic = false;
  EXPECT_EQ(tests::cookies_of_answer(answer.octets, key_of(0x52), authentic).size(), 1U);
  EXPECT_TRUE(authentic);
}

// Lengths that lie, over a signature that is right: dropped or refused, never answered, never read beyond.
TEST_F(ServerTest, C12_LyingInnerLengthsAreDroppedOrRefused) {
  const Octets good = nts_request();
  const std::size_t lengths = good.size() - 36;
  std::vector<Octets> requests;
  for (const std::uint32_t nonce : {0U, 1U, 12U, 15U, 16U, 17U, 20U, 32U, 65516U, 65520U, 65535U}) {
    for (const std::uint32_t sealed : {0U, 1U, 15U, 16U, 17U, 32U, 65516U, 65520U, 65535U}) {
      if (nonce == 16 && sealed == 16) continue;
      requests.push_back(good);
      nts::store_u16(requests.back().data() + lengths, static_cast<std::uint16_t>(nonce));
      nts::store_u16(requests.back().data() + lengths + 2, static_cast<std::uint16_t>(sealed));
    }
  }
  for (const Answered& answer : serve(requests)) {
    EXPECT_TRUE(answer.verdict == Verdict::drop_authenticator ||
                answer.verdict == Verdict::nak_authenticator);
  }
}

TEST_F(ServerTest, C24_P27_NtsnHasNoCookieAndNoAuthenticatorAndLeavesPlainTrafficAlone) {
  std::vector<Octets> burst(31, nts_request(7));
  for (std::size_t i = 0; i < burst.size(); ++i) burst[i][100] ^= static_cast<std::uint8_t>(1 + i);
  burst.insert(burst.begin() + 15, plain_request());
  const std::uint64_t sealed_before = tests::cookies_sealed;
  const auto answers = serve(burst);
  EXPECT_EQ(tests::cookies_sealed, sealed_before);
  for (std::size_t i = 0; i < burst.size(); ++i) {
    if (i == 15) {
      EXPECT_EQ(answers[i].verdict, Verdict::answer_plain);
      continue;
    }
    EXPECT_EQ(answers[i].verdict, Verdict::nak_cookie);
    expect_nak(answers[i], burst[i]);
    EXPECT_EQ(answers[i].octets.size(), 48U + 36U);
  }
}

TEST_F(ServerTest, C26_ARingWithoutACurrentKeyServesNoNts) {
  keys_.load(tests::make_ring({RingEntry{7, KeyState::accepting}}));
  EXPECT_EQ(serve_one(nts_request()).verdict, Verdict::drop_no_keys);
  EXPECT_EQ(serve_one(plain_request()).verdict, Verdict::answer_plain);
}

// The client keeps its eight cookies through ten rotations, and never sees another length.
TEST_F(ServerTest, C28_TheCookieLengthIsTheSameAcrossRotations) {
  std::vector<Octets> jar = {usual_cookie()};
  for (std::uint32_t current = 7; current < 17; ++current) {
    keys_.load(
        tests::make_ring({RingEntry{current, KeyState::current}, RingEntry{current - 1, KeyState::accepting},
                          RingEntry{current + 1, KeyState::accepting}},
                         current));
    std::vector<Octets> fresh;
    for (const Octets& cookie : jar) {
      const Answered answer = serve_one(RequestBuilder()
                                            .unique_identifier()
                                            .cookie(cookie)
                                            .placeholders(1)
                                            .authenticator(key_of(0xc2))
                                            .octets());
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      bool authentic = false;
      for (Octets& next : tests::cookies_of_answer(answer.octets, key_of(0x52), authentic)) {
        EXPECT_EQ(next.size(), nts::cookie_bytes);
        EXPECT_EQ(next.size() % 4, 0U);
        EXPECT_EQ(nts::load_u32(next.data()), current);
        fresh.push_back(next);
      }
      EXPECT_TRUE(authentic);
    }
    fresh.resize(std::min<std::size_t>(fresh.size(), 8));
    jar = fresh;
  }
}

// The key id is all that two cookies, or two answers, have in common (RFC 8915 section 6).
TEST_F(ServerTest, P29_NoTwoCookiesAndNoTwoAnswersShareANonce) {
  std::set<Octets> nonces;
  std::vector<Octets> cookies;
  const std::vector<Octets> burst(nts::burst_max, nts_request(7));
  for (int round = 0; round < 8; ++round) {
    for (const Answered& answer : serve(burst)) {
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      EXPECT_TRUE(nonces.insert(Octets(answer.octets.begin() + 92, answer.octets.begin() + 108)).second);
      bool authentic = false;
      for (const Octets& cookie : tests::cookies_of_answer(answer.octets, key_of(0x52), authentic)) {
        EXPECT_TRUE(nonces.insert(Octets(cookie.begin() + 4, cookie.begin() + 20)).second);
        cookies.push_back(cookie);
      }
    }
  }
  ASSERT_EQ(cookies.size(), 8U * 8U * nts::burst_max);
  for (std::size_t at = 4; at < 100; ++at) {
    std::set<std::uint8_t> seen;
    for (const Octets& cookie : cookies) seen.insert(cookie[at]);
    EXPECT_GT(seen.size(), 200U) << "octet " << at << " hardly varies";
  }
}

// Nor in a burst that is sorted by shape, whose rows get their nonces in another order than they are served.
TEST_F(ServerTest, P29_NoncesAreAllDifferentInABurstOfManyShapes) {
  std::set<Octets> nonces;
  std::vector<Octets> burst;
  std::vector<std::size_t> identifier_bytes;
  while (burst.size() < nts::burst_max) {
    const std::size_t number = burst.size();
    identifier_bytes.push_back(number % 3 == 0 ? 64 : 32);
    burst.push_back(RequestBuilder()
                        .unique_identifier(identifier_bytes.back())
                        .cookie(tests::usual_cookie())
                        .placeholders(number % 8)
                        .authenticator(key_of(0xc2))
                        .octets());
  }
  std::size_t cookies = 0;
  for (int round = 0; round < 8; ++round) {
    const std::vector<Answered> answers = serve(burst);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const Octets& octets = answers[i].octets;
      ASSERT_EQ(answers[i].verdict, Verdict::answer_nts);
      const auto nonce = octets.begin() + static_cast<std::ptrdiff_t>(48 + 4 + identifier_bytes[i] + 8);
      EXPECT_TRUE(nonces.insert(Octets(nonce, nonce + 16)).second) << "row " << i;
      bool authentic = false;
      for (const Octets& cookie : tests::cookies_of_answer(octets, key_of(0x52), authentic)) {
        EXPECT_TRUE(nonces.insert(Octets(cookie.begin() + 4, cookie.begin() + 20)).second) << "row " << i;
        ++cookies;
      }
      EXPECT_TRUE(authentic);
    }
  }
  EXPECT_EQ(nonces.size(), cookies + 8 * burst.size());
}

}  // namespace
