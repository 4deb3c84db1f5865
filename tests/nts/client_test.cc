// The client half against our own server: every request here is answered by a real nts::Server.
#include "nts/client.h"

#include <algorithm>
#include <set>

#include "tests/nts/client_fixture.h"

namespace {

using nts::Answer;
using nts::AnswerVerdict;
using nts::ClientRequest;
using nts::ClientSession;
using nts::CookieJar;
using nts::NtpTime;
using tests::ClientTest;
using tests::key_of;
using tests::Octets;

TEST(CookieJar, GivesTheOldestFirstAndRefusesWhatCouldNotBeSentBack) {
  CookieJar jar;
  for (const std::size_t bytes : {0U, 4U, 8U, 11U, 13U, 99U, 257U, 260U}) {
    EXPECT_FALSE(jar.add(Octets(bytes))) << bytes;
  }
  EXPECT_EQ(jar.next_bytes(), 0);
  for (const std::size_t bytes : {12U, 16U, 100U, 256U, 100U, 100U, 100U, 100U}) {
    EXPECT_TRUE(jar.add(Octets(bytes, static_cast<std::uint8_t>(bytes)))) << bytes;
  }
  EXPECT_FALSE(jar.add(Octets(100))) << "nine";
  std::array<std::uint8_t, nts::client_cookie_bytes_max> room{};
  for (const std::size_t bytes : {12U, 16U, 100U, 256U, 100U, 100U, 100U, 100U}) {
    EXPECT_EQ(jar.next_bytes(), bytes);
    ASSERT_EQ(jar.take(room), bytes);
    EXPECT_TRUE(std::all_of(room.begin(), room.begin() + bytes,
                            [&](auto octet) { return octet == static_cast<std::uint8_t>(bytes); }));
  }
  EXPECT_EQ(jar.take(room), 0);
  EXPECT_EQ(jar.count(), 0U);
}

TEST_F(ClientTest, APlainRequestIsAnsweredAndMeasured) {
  const ClientRequest request = nts::make_plain_request(random_);
  ASSERT_EQ(request.bytes, 48);
  EXPECT_EQ(request.packet[0], 0x23) << "leap 0, version 4, mode 3";
  for (std::size_t i = 1; i < 40; ++i) EXPECT_EQ(request.packet[i], 0) << "nothing said that need not be";
  const Answer answer = nts::read_answer(serve(request), request, nullptr, nullptr);
  EXPECT_EQ(answer.verdict, AnswerVerdict::good);
  EXPECT_FALSE(answer.authenticated);
  EXPECT_EQ(answer.stratum, 1);
  EXPECT_EQ(answer.root_delay, 7U);
  EXPECT_EQ(answer.root_dispersion, 99U);
  EXPECT_EQ(answer.reference_id, 0x47505300U);
  EXPECT_EQ(answer.reference, clock_.reference);
  EXPECT_EQ(answer.receive, received_);
  EXPECT_EQ(answer.transmit, transmit_);
}

TEST_F(ClientTest, TheServerAnswersARequestAndTheJarIsFullAgain) {
  for (int round = 0; round < 20; ++round) {
    const ClientRequest request = ask();
    EXPECT_EQ(request.bytes, 228) << "48 + 36 + 104 + 40";
    EXPECT_EQ(request.placeholders, 0);
    EXPECT_EQ(session_.cookies.count(), 7U);
    const Answer answer = judge(serve(request), request);
    ASSERT_EQ(answer.verdict, AnswerVerdict::good);
    EXPECT_TRUE(answer.authenticated);
    EXPECT_EQ(answer.cookies_received, 1);
    EXPECT_EQ(session_.cookies.count(), 8U);
  }
}

TEST_F(ClientTest, ARequestAsksForAsManyCookiesAsTheJarLacks) {
  for (std::uint8_t lost = 0; lost < 8; ++lost) {
    ClientSession session;
    agree(session, static_cast<std::uint8_t>(8 - lost));
    const ClientRequest request = nts::make_nts_request(session, tier_, random_);
    EXPECT_EQ(request.placeholders, lost);
    EXPECT_EQ(request.bytes, 228 + 104 * lost);
    const Answer answer = nts::read_answer(serve(request), request, &session, &tier_);
    ASSERT_EQ(answer.verdict, AnswerVerdict::good);
    EXPECT_EQ(answer.cookies_received, lost + 1);
    EXPECT_EQ(session.cookies.count(), 8U);
  }
}

TEST_F(ClientTest, WithoutACookieThereIsNoRequest) {
  ClientSession empty;
  const ClientRequest request = nts::make_nts_request(empty, tier_, random_);
  EXPECT_EQ(request.bytes, 0);
  EXPECT_TRUE(request.payload().empty());
}

TEST_F(ClientTest, NoRequestIsLongerThanTheSmallestMtuWhateverTheCookies) {
  for (std::uint32_t bytes = 12; bytes <= 256; bytes += 4) {
    ClientSession session;
    ASSERT_TRUE(session.cookies.add(Octets(bytes, 1)));
    const ClientRequest request = nts::make_nts_request(session, tier_, random_);
    const std::uint32_t fields = 1U + request.placeholders;
    EXPECT_EQ(request.bytes, 48 + 36 + fields * (4 + bytes) + 40);
    EXPECT_LE(request.bytes, nts::client_packet_bytes_max);
    EXPECT_TRUE(fields == 8 || request.bytes + 4 + bytes > nts::client_packet_bytes_max)
        << "one more would have fitted";
  }
}

TEST_F(ClientTest, ARequestIsWhatRfc8915SaysOctetForOctet) {
  ClientSession session;
  agree(session, 6);
  const ClientRequest request = nts::make_nts_request(session, tier_, random_);
  bool whole = false;
  const auto fields = tests::fields_of(request.payload(), 48, whole);
  ASSERT_TRUE(whole);
  ASSERT_EQ(fields.size(), 5U);
  EXPECT_EQ(fields[0].type, 0x0104);
  EXPECT_EQ(fields[0].body, Octets(request.unique_identifier.begin(), request.unique_identifier.end()));
  EXPECT_EQ(fields[1].type, 0x0204);
  EXPECT_EQ(fields[1].body, tests::usual_cookie(0)) << "the oldest";
  for (const std::size_t i : {2U, 3U}) {
    EXPECT_EQ(fields[i].type, 0x0304);
    EXPECT_EQ(fields[i].body, Octets(100, 0));
  }
  EXPECT_EQ(fields[4].type, 0x0404);
  const Octets& body = fields[4].body;
  ASSERT_EQ(body.size(), 36U);
  EXPECT_EQ(nts::load_u32(body.data()), 16U << 16 | 16U) << "nonce 16, tag 16, nothing encrypted";
  const Octets nonce(body.begin() + 4, body.begin() + 20);
  const auto before = request.payload().first(request.bytes - 40U);
  EXPECT_EQ(Octets(body.begin() + 20, body.end()), tests::nettle_seal(key_of(0xc2), before, nonce, {}));
}

TEST_F(ClientTest, NothingThatMustBeFreshComesTwice) {
  std::set<std::uint64_t> origins;
  std::set<Octets> identifiers, nonces, cookies;
  for (int round = 0; round < 50; ++round) {
    const ClientRequest request = ask();
    const auto octets = request.payload();
    EXPECT_TRUE(origins.insert(request.origin.units).second);
    EXPECT_EQ(nts::load_u64(octets.data() + 40), request.origin.units);
    EXPECT_TRUE(identifiers.emplace(octets.begin() + 52, octets.begin() + 84).second);
    EXPECT_TRUE(cookies.emplace(octets.begin() + 88, octets.begin() + 188).second);
    EXPECT_TRUE(nonces.emplace(octets.end() - 32, octets.end() - 16).second);
    ASSERT_EQ(judge(serve(request), request).verdict, AnswerVerdict::good);
  }
}

NtpTime at_ns(std::int64_t utc_ns) { return nts::ntp_from_utc_ns(utc_ns); }

TEST(Measure, OffsetAndDelayAreThoseOfRfc5905) {
  constexpr std::int64_t now = 1'800'000'000'000'000'000;
  // 3 ms there, 1 ms held, 5 ms back, the server 2 s ahead.
  const auto m = nts::measure(at_ns(now), at_ns(now + 2'003'000'000), at_ns(now + 2'004'000'000),
                              at_ns(now + 9'000'000));
  EXPECT_NEAR(static_cast<double>(m.offset_ns), 2'000'000'000 - 1'000'000, 2);
  EXPECT_NEAR(static_cast<double>(m.delay_ns), 8'000'000, 2);
}

TEST(Measure, TheEraBoundaryOf2036IsNoBoundary) {
  constexpr std::int64_t era_1_utc_ns = 2'085'978'496'000'000'000;
  ASSERT_EQ(at_ns(era_1_utc_ns).units, 0U);
  for (std::int64_t step = -12; step <= 12; ++step) {
    const std::int64_t sent = era_1_utc_ns + step * 1'000'000;
    const auto m = nts::measure(at_ns(sent), at_ns(sent - 500'000'000 + 4'000'000),
                                at_ns(sent - 500'000'000 + 6'000'000), at_ns(sent + 10'000'000));
    EXPECT_NEAR(static_cast<double>(m.offset_ns), -500'000'000, 2) << step;
    EXPECT_NEAR(static_cast<double>(m.delay_ns), 8'000'000, 2) << step;
  }
}

TEST(Measure, FarApartClocksOverflowNothing) {
  constexpr std::int64_t years_60_ns = 60LL * 365 * 86'400 * 1'000'000'000;
  constexpr std::int64_t now = 1'800'000'000'000'000'000;
  for (const std::int64_t away : {years_60_ns, -years_60_ns}) {
    const auto m = nts::measure(at_ns(now), at_ns(now + away), at_ns(now + away), at_ns(now + 2'000));
    EXPECT_NEAR(static_cast<double>(m.offset_ns - away), -1'000, 2);
    EXPECT_NEAR(static_cast<double>(m.delay_ns), 2'000, 2);
  }
  EXPECT_EQ(nts::measure(at_ns(now), at_ns(now), at_ns(now + 3'000), at_ns(now + 1'000)).delay_ns, -2'000)
      << "negative by granularity, and kept";
}

TEST(Measure, ShortFormatIsReadToTheNearestNanosecond) {
  EXPECT_EQ(nts::ns_from_short(0), 0);
  EXPECT_EQ(nts::ns_from_short(1), 15'259);
  EXPECT_EQ(nts::ns_from_short(0x10000), 1'000'000'000);
  EXPECT_EQ(nts::ns_from_short(~0U), 65'535'999'984'741);
}

}  // namespace
