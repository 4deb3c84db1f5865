#include "nts/server.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

#include "tests/nts/server_fixture.h"

namespace {

using nts::KeyState;
using nts::NtpTime;
using nts::Verdict;
using tests::Answered;
using tests::key_of;
using tests::nts_request;
using tests::Octets;
using tests::plain_request;
using tests::RequestBuilder;
using tests::RingEntry;
using tests::ServerTest;
using tests::usual_cookie;

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

TEST_F(ServerTest, B06_P40_PollIsClampedAndAllElseInTheRequestIsIgnored) {
  for (const std::uint8_t leap : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
    for (int poll = -128; poll <= 127; ++poll) {
      Octets request = RequestBuilder().octets();
      // Stratum, precision, root fields, refid and three timestamps: anything.
      for (std::size_t i = 1; i < 40; ++i) request[i] = static_cast<std::uint8_t>(poll + static_cast<int>(i));
      request[0] = static_cast<std::uint8_t>(request[0] | leap << 6);
      request[2] = static_cast<std::uint8_t>(poll);
      Octets expected = serve_one(plain_request()).octets;
      expected[2] = static_cast<std::uint8_t>(std::clamp(poll, 4, 17));
      const Answered answer = serve_one(request);
      ASSERT_EQ(answer.verdict, Verdict::answer_plain);
      ASSERT_EQ(answer.octets, expected) << int{leap} << " " << poll;
    }
  }
}

TEST_F(ServerTest, B07_AnyTransmitTimestampComesBackAsOrigin) {
  constexpr std::int64_t era_1_utc_ns = 2'085'978'496LL * 1'000'000'000;  // 2036-02-07 06:28:16 UTC
  constexpr std::int64_t second_ns = 1'000'000'000;
  std::vector<std::uint64_t> stamps = {0, ~0ULL, 1, 0xffffffff00000000ULL, 0x8000000000000000ULL};
  for (const std::int64_t away_ns : {-second_ns, std::int64_t{0}, second_ns}) {
    stamps.push_back(nts::ntp_from_utc_ns(era_1_utc_ns + away_ns).units);
  }
  stamps.push_back(nts::ntp_from_utc_ns(-2'208'988'800 * second_ns).units);        // 1900-01-01
  stamps.push_back(nts::ntp_from_utc_ns(4'291'747'200LL * second_ns).units);       // 2106-01-01
  stamps.push_back(nts::ntp_from_utc_ns(4'294'967'295LL * second_ns).units + 99);  // 2106-02-07
  for (const std::uint64_t stamp : stamps) {
    for (const std::uint8_t version : {std::uint8_t{3}, std::uint8_t{4}}) {
      const Answered answer = serve_one(RequestBuilder(version).transmit(stamp).octets());
      EXPECT_EQ(nts::load_u64(answer.octets.data() + 24), stamp);
    }
    // Authenticated too, and whatever our own clock says at the time.
    received_ = {stamp};
    transmit_ = {stamp + 7};
    const Answered answer = serve_one(RequestBuilder()
                                          .transmit(stamp)
                                          .unique_identifier()
                                          .cookie(usual_cookie())
                                          .authenticator(key_of(0xc2))
                                          .octets());
    ASSERT_EQ(answer.verdict, Verdict::answer_nts);
    EXPECT_EQ(nts::load_u64(answer.octets.data() + 24), stamp);
    EXPECT_EQ(nts::load_u64(answer.octets.data() + 32), stamp);
    EXPECT_EQ(nts::load_u64(answer.octets.data() + 40), stamp + 7);
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

// The other modes and versions with every payload that would earn an answer in mode 3 of version 4.
TEST_F(ServerTest, B02_NoOtherModeOfAnyVersionEverGetsAnAnswer) {
  const std::vector<Octets> payloads = {plain_request(), RequestBuilder().unique_identifier().octets(),
                                        nts_request(), nts_request(7)};
  std::vector<Octets> requests;
  for (std::uint8_t version = 0; version < 8; ++version) {
    for (std::uint8_t mode = 0; mode < 8; ++mode) {
      if (mode == 3) continue;
      for (Octets request : payloads) {
        for (const std::uint8_t leap : {std::uint8_t{0}, std::uint8_t{3}}) {
          request[0] = static_cast<std::uint8_t>(leap << 6 | version << 3 | mode);
          requests.push_back(request);
        }
      }
    }
  }
  ASSERT_EQ(requests.size(), 56U * 8U);
  for (const Answered& answer : serve(requests)) {
    EXPECT_TRUE(answer.verdict == Verdict::drop_mode || answer.verdict == Verdict::drop_version);
    EXPECT_TRUE(answer.octets.empty());
  }
}

// The packets that nmap's ntp-monlist and ntp-info and ntpq send, and their replies.
TEST_F(ServerTest, B05_Mode6And7QueriesGetNothing) {
  Octets monlist(8, 0);
  monlist[0] = 0x17;                                            // version 2, mode 7
  monlist[2] = 3;                                               // implementation XNTPD
  monlist[3] = 0x2a;                                            // MON_GETLIST_1
  Octets readvar = {0x16, 0x02, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};  // version 2, mode 6, opcode READVAR
  for (Octets query : {monlist, readvar}) {
    for (const std::size_t bytes : {query.size(), std::size_t{48}, std::size_t{192}, std::size_t{468}}) {
      for (const std::uint8_t response_bit : {std::uint8_t{0}, std::uint8_t{0x80}}) {
        Octets packet = query;
        packet.resize(bytes);
        packet[0] = static_cast<std::uint8_t>(packet[0] | response_bit);
        EXPECT_TRUE(serve_one(packet).octets.empty()) << bytes;
        packet[0] = static_cast<std::uint8_t>((packet[0] & ~0x38) | 4 << 3);
        EXPECT_TRUE(serve_one(packet).octets.empty()) << "version 4, " << bytes;
      }
    }
  }
}

TEST_F(ServerTest, B09_P47_NoPacketWithAMacIsAnsweredAndNoMacCopied) {
  std::vector<Octets> requests;
  for (const std::uint8_t version : {std::uint8_t{3}, std::uint8_t{4}}) {
    for (const std::size_t tail : {4U, 20U, 24U}) {
      requests.push_back(RequestBuilder(version).raw(Octets(tail, 0)).octets());
      requests.push_back(RequestBuilder(version).raw(Octets(tail, 0xa5)).octets());
    }
  }
  for (const Answered& answer : serve(requests)) EXPECT_EQ(answer.verdict, Verdict::drop_mac);
}

TEST_F(ServerTest, B09_AVersion3PacketIsAnsweredAt48OctetsOnly) {
  for (std::size_t tail = 1; tail < 1100; ++tail) {
    EXPECT_TRUE(serve_one(RequestBuilder(3).raw(Octets(tail, 0)).octets()).octets.empty()) << tail;
  }
}

TEST_F(ServerTest, C06_P20_P45_APlainRequestsIdentifierIsEchoedAndNothingElse) {
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

// Two servers wired together, each with keys of its own: whatever starts the talk, it ends with one answer.
TEST_F(ServerTest, B04_TwoServersNeverTalkToEachOther) {
  class Other : public ServerTest {
   public:
    Other() { keys_.load(tests::make_ring({RingEntry{7, KeyState::current}}, 9)); }
    void TestBody() override {}
    using ServerTest::serve_one;
  } other;
  Octets bad_tag = nts_request();
  bad_tag.back() ^= 1;
  for (const Octets& request : {plain_request(3), plain_request(), nts_request(3), bad_tag,
                                RequestBuilder().unique_identifier().octets()}) {
    const Answered answer = serve_one(request);
    ASSERT_FALSE(answer.octets.empty());
    EXPECT_TRUE(other.serve_one(answer.octets).octets.empty());
  }
}

TEST_F(ServerTest, B11_P41_ForAnyPairOfStampsReceiveIsBeforeTransmit) {
  std::mt19937_64 random(41);
  const std::vector<Octets> burst(nts::burst_max, plain_request());
  for (int round = 0; round < 20'000; ++round) {
    received_ = {random()};
    const std::uint64_t spread = 1ULL << random() % 62;
    transmit_ = {received_.units + random() % spread - spread / 2};
    clock_.reference = {received_.units + random() % spread - spread / 2};
    const Answered answer = serve_one(burst[0]);
    const NtpTime receive{nts::load_u64(answer.octets.data() + 32)};
    const NtpTime transmit{nts::load_u64(answer.octets.data() + 40)};
    const NtpTime reference{nts::load_u64(answer.octets.data() + 16)};
    ASSERT_EQ(receive, received_);
    ASSERT_GT(nts::difference(transmit, receive), 0);
    ASSERT_LE(nts::difference(reference, receive), 0);
  }
}

}  // namespace
