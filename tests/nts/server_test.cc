#include "nts/server.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::Batch;
using nts::KeyState;
using nts::NtpTime;
using nts::Verdict;
using tests::key_of;
using tests::nts_request;
using tests::Octets;
using tests::plain_request;
using tests::RequestBuilder;
using tests::RingEntry;
using tests::usual_cookie;

// Deterministic, never repeating: what a test needs to see nonces differ.
class CountingRandom : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> bytes) noexcept override {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_{99};
};

struct Answered {
  Verdict verdict;
  Octets octets;  // empty when there is no answer
};

// A whole server on nettle, with the invariants checked on every burst that any test sends through it.
class ServerTest : public testing::Test {
 protected:
  ServerTest() : keys_(tests::nettle_kernels()), server_(tests::nettle_kernels(), random_) {
    keys_.load(tests::make_ring({RingEntry{5, KeyState::retired}, RingEntry{6, KeyState::accepting},
                                 RingEntry{7, KeyState::current}, RingEntry{8, KeyState::accepting}}));
    clock_.leap = 0;
    clock_.stratum = 1;
    clock_.precision = -25;
    clock_.root_delay = 7;
    clock_.root_dispersion = 99;
    clock_.reference_id = 0x47505300;
    clock_.reference = {received_.units - (1ULL << 33)};
  }

  std::vector<Answered> serve(const std::vector<Octets>& requests) {
    std::vector<Answered> answers;
    for (std::size_t from = 0; from < requests.size(); from += nts::burst_max) {
      const std::size_t count = std::min<std::size_t>(nts::burst_max, requests.size() - from);
      std::vector<Octets> buffers(requests.begin() + static_cast<std::ptrdiff_t>(from),
                                  requests.begin() + static_cast<std::ptrdiff_t>(from + count));
      Batch batch;
      batch.count = static_cast<std::uint32_t>(count);
      for (std::size_t i = 0; i < count; ++i) {
        batch.packet[i] = buffers[i].data();
        batch.packet_bytes[i] = static_cast<std::uint16_t>(buffers[i].size());
        batch.received[i] = received_;
      }
      server_.open_requests(batch, keys_, policy_);
      server_.prepare_answers(batch, keys_, clock_);
      server_.seal_answers(batch, transmit_);
      for (std::size_t i = 0; i < count; ++i) {
        const Verdict verdict = batch.request[i].verdict;
        EXPECT_LT(verdict, Verdict::count);
        EXPECT_LE(batch.answer_bytes[i], buffers[i].size()) << "P48, C19, J01: never longer than the request";
        EXPECT_EQ(batch.answer_bytes[i] != 0, nts::is_answered(verdict));
        buffers[i].resize(batch.answer_bytes[i]);
        answers.push_back({verdict, buffers[i]});
      }
    }
    return answers;
  }

  Answered serve_one(const Octets& request) { return serve({request}).at(0); }

  CountingRandom random_;
  nts::ExpandedKeyRing keys_;
  nts::Server server_;
  nts::Policy policy_;
  nts::ClockReading clock_;
  NtpTime received_{0xe000000012345678};
  NtpTime transmit_{0xe000000022345678};
};

TEST_F(ServerTest, P40_P41_APlainAnswerCarriesTheClockAndEchoesTheOriginBitExactly) {
  for (const std::uint8_t version : {std::uint8_t{3}, std::uint8_t{4}}) {
    const Answered answer = serve_one(RequestBuilder(version).poll(9).octets());
    ASSERT_EQ(answer.verdict, Verdict::answer_plain);
    const Octets expected = [&] {
      Octets e(48, 0);
      e[0] = static_cast<std::uint8_t>(version << 3 | 4);
      e[1] = 1;
      e[2] = 9;
      e[3] = static_cast<std::uint8_t>(-25);
      nts::store_u32(e.data() + 4, 7);
      nts::store_u32(e.data() + 8, 99);
      nts::store_u32(e.data() + 12, 0x47505300);
      nts::store_u64(e.data() + 16, clock_.reference.units);
      nts::store_u64(e.data() + 24, 0xfeedfacecafebeef);
      nts::store_u64(e.data() + 32, received_.units);
      nts::store_u64(e.data() + 40, transmit_.units);
      return e;
    }();
    EXPECT_EQ(answer.octets, expected);
  }
}

TEST_F(ServerTest, B06_PollIsClampedAndAllElseInTheRequestIsIgnored) {
  for (int poll = -128; poll <= 127; ++poll) {
    Octets request = RequestBuilder().poll(static_cast<std::int8_t>(poll)).octets();
    for (std::size_t i = 3; i < 40; ++i) request[i] = static_cast<std::uint8_t>(poll + static_cast<int>(i));
    request[0] |= 0xc0;
    const Answered answer = serve_one(request);
    ASSERT_EQ(answer.verdict, Verdict::answer_plain);
    EXPECT_EQ(static_cast<std::int8_t>(answer.octets[2]), std::clamp(poll, 4, 17));
    EXPECT_EQ(answer.octets[0], 4 << 3 | 4);
  }
}

TEST_F(ServerTest, B07_AnyTransmitTimestampComesBackAsOrigin) {
  for (const unsigned long long stamp : {0ULL, ~0ULL, 1ULL, 0xffffffff00000000ULL, 0x8000000000000000ULL}) {
    const Answered answer = serve_one(RequestBuilder().transmit(stamp).octets());
    EXPECT_EQ(nts::load_u64(answer.octets.data() + 24), stamp);
  }
}

TEST_F(ServerTest, B08_AnInterleavedRequestGetsABasicAnswer) {
  Octets request = plain_request();
  nts::store_u64(request.data() + 24, 0xe0000000aaaaaaaa);
  nts::store_u64(request.data() + 32, 0xe0000000bbbbbbbb);
  const Answered answer = serve_one(request);
  EXPECT_EQ(nts::load_u64(answer.octets.data() + 24), 0xfeedfacecafebeefULL);
  EXPECT_EQ(nts::load_u64(answer.octets.data() + 32), received_.units);
}

TEST_F(ServerTest, B10_P42_UnsynchronisedIsLeapThreeAndStratumZero) {
  clock_.leap = 3;
  clock_.stratum = 1;
  clock_.reference_id = 0x494e4954;
  for (const Octets& request : {plain_request(), nts_request()}) {
    const Answered answer = serve_one(request);
    EXPECT_EQ(answer.octets[0] >> 6, 3);
    EXPECT_EQ(answer.octets[1], 0);
    EXPECT_EQ(nts::load_u32(answer.octets.data() + 12), 0x494e4954U);
  }
}

TEST_F(ServerTest, B11_P41_TransmitIsAlwaysAfterReceiveAndReferenceNeverAfterIt) {
  clock_.reference = {received_.units + 5};
  for (const std::int64_t late : {-1'000'000, -1, 0, 1, 1'000'000}) {
    transmit_ = {received_.units + static_cast<std::uint64_t>(late)};
    const Answered answer = serve_one(plain_request());
    const std::uint64_t receive = nts::load_u64(answer.octets.data() + 32);
    const std::uint64_t transmit = nts::load_u64(answer.octets.data() + 40);
    EXPECT_EQ(receive, received_.units);
    EXPECT_EQ(transmit, late > 0 ? transmit_.units : received_.units + 1);
    EXPECT_LE(nts::load_u64(answer.octets.data() + 16), receive);
  }
}

TEST_F(ServerTest, B11_HoldsAcrossTheEraBoundary) {
  received_ = {0xffffffffffffffff};
  transmit_ = {5};
  clock_.reference = {0xfffffffff0000000};
  const Answered answer = serve_one(plain_request());
  EXPECT_EQ(nts::load_u64(answer.octets.data() + 40), 5U);
  EXPECT_EQ(nts::load_u64(answer.octets.data() + 16), 0xfffffffff0000000U);
}

TEST_F(ServerTest, B13_AllAnswersOfABurstAgreeOnTheClock) {
  const auto answers = serve(std::vector<Octets>(nts::burst_max, plain_request()));
  for (const Answered& answer : answers) EXPECT_EQ(answer.octets, answers.front().octets);
}

TEST_F(ServerTest, B04_OurOwnAnswersAndNaksFedBackGetNothing) {
  for (const Octets& request :
       {plain_request(), nts_request(), RequestBuilder().unique_identifier().octets()}) {
    const Answered first = serve_one(request);
    ASSERT_FALSE(first.octets.empty());
    EXPECT_TRUE(serve_one(first.octets).octets.empty());
  }
  Octets bad = nts_request();
  bad[60] ^= 1;
  const Answered nak = serve_one(bad);
  ASSERT_EQ(nak.verdict, Verdict::nak_authenticator);
  EXPECT_EQ(serve_one(nak.octets).verdict, Verdict::drop_mode);
}

TEST_F(ServerTest, B05_Mode6And7QueriesGetNothing) {
  EXPECT_EQ(serve_one(RequestBuilder(2, 6).octets()).verdict, Verdict::drop_version);
  EXPECT_EQ(serve_one(RequestBuilder(4, 6).octets()).verdict, Verdict::drop_mode);
  Octets monlist(48 + 144, 0);
  monlist[0] = 0x17;
  monlist[2] = 3;
  monlist[3] = 0x2a;
  EXPECT_TRUE(serve_one(monlist).octets.empty());
}

TEST_F(ServerTest, P20_P45_APlainRequestsIdentifierIsEchoedAndNothingElse) {
  const Octets request = RequestBuilder()
                             .field(0x7777, Octets(24, 9))
                             .unique_identifier(40, 3)
                             .field(0x8888, Octets(60, 8))
                             .octets();
  const Answered answer = serve_one(request);
  ASSERT_EQ(answer.verdict, Verdict::answer_plain);
  bool whole = false;
  const auto fields = tests::fields_of(answer.octets, 48, whole);
  ASSERT_TRUE(whole);
  ASSERT_EQ(fields.size(), 1U);
  EXPECT_EQ(fields[0].type, 0x0104);
  EXPECT_EQ(fields[0].body, Octets(request.begin() + 48 + 28 + 4, request.begin() + 48 + 28 + 44));
}

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

TEST_F(ServerTest, P22_EncryptedPlaceholdersCountToo) {
  Octets plaintext;
  for (int i = 0; i < 3; ++i) {
    plaintext.insert(plaintext.end(), {3, 4, 0, 104});
    plaintext.resize(plaintext.size() + 100);
  }
  const Octets request = RequestBuilder()
                             .unique_identifier()
                             .cookie(usual_cookie())
                             .placeholders(1)
                             .authenticator(key_of(0xc2), plaintext)
                             .octets();
  const Answered answer = serve_one(request);
  ASSERT_EQ(answer.verdict, Verdict::answer_nts);
  bool authentic = false;
  EXPECT_EQ(tests::cookies_of_answer(answer.octets, key_of(0x52), authentic).size(), 5U);
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

void expect_nak(const Answered& answer, const Octets& request) {
  ASSERT_FALSE(answer.octets.empty());
  EXPECT_LE(answer.octets.size(), request.size());
  EXPECT_EQ(answer.octets[0], 3 << 6 | 4 << 3 | 4);
  EXPECT_EQ(answer.octets[1], 0);
  EXPECT_EQ(nts::load_u32(answer.octets.data() + 12), 0x4e54534eU);
  EXPECT_TRUE(std::equal(answer.octets.begin() + 24, answer.octets.begin() + 32, request.begin() + 40));
  bool whole = false;
  const auto fields = tests::fields_of(answer.octets, 48, whole);
  EXPECT_TRUE(whole);
  ASSERT_EQ(fields.size(), 1U);
  EXPECT_EQ(fields[0].type, 0x0104);
}

TEST_F(ServerTest, C08_P27_ACookieWithAnyOctetChangedIsAnsweredWithNtsn) {
  const Octets good = nts_request();
  const std::size_t cookie_at = 48 + 36 + 4;
  for (std::size_t i = 0; i < 100; ++i) {
    Octets request = good;
    request[cookie_at + i] ^= 0x10;
    const Answered answer = serve_one(request);
    SCOPED_TRACE(i);
    EXPECT_EQ(answer.verdict, i < 4 ? Verdict::nak_key_unknown : Verdict::nak_cookie);
    expect_nak(answer, request);
  }
}

TEST_F(ServerTest, C07_C08_ACookieOfAnyOtherLengthIsAnsweredWithNtsn) {
  for (std::size_t bytes = 12; bytes <= 256; bytes += 4) {
    Octets cookie = usual_cookie();
    cookie.resize(bytes, 0);
    const Octets request =
        RequestBuilder().unique_identifier().cookie(cookie).authenticator(key_of(0xc2)).octets();
    const Answered answer = serve_one(request);
    EXPECT_EQ(answer.verdict, bytes == 100 ? Verdict::answer_nts : Verdict::nak_cookie) << bytes;
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

TEST_F(ServerTest, C19_P48_AtEveryRequestLengthTheAnswerIsNoLonger) {
  for (std::size_t pad = 0; pad < 1200; pad += 4) {
    RequestBuilder builder;
    builder.unique_identifier().cookie(usual_cookie()).placeholders(pad % 8);
    if (pad >= 16) builder.field(0x7777, Octets(pad - 4, 0));
    const Octets request = builder.authenticator(key_of(0xc2)).octets();
    EXPECT_EQ(serve_one(request).verdict, Verdict::answer_nts);
  }
}

TEST_F(ServerTest, C24_NtsnLeavesPlainTrafficAlone) {
  std::vector<Octets> burst(31, nts_request());
  for (Octets& request : burst) request[100] ^= 1;
  burst.insert(burst.begin() + 15, plain_request());
  const auto answers = serve(burst);
  EXPECT_EQ(answers[15].verdict, Verdict::answer_plain);
  EXPECT_EQ(std::count_if(answers.begin(), answers.end(),
                          [](const Answered& a) { return a.verdict == Verdict::nak_cookie; }),
            31);
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

}  // namespace
