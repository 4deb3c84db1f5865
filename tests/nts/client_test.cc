// The client half against our own server: every request here is answered by a real nts::Server.
#include "nts/client.h"

#include <gtest/gtest.h>
#include <random>
#include <set>

#include "nts/server.h"
#include "nts/wire.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::Answer;
using nts::AnswerVerdict;
using nts::ClientRequest;
using nts::ClientSession;
using nts::CookieJar;
using nts::KeyState;
using nts::NtpTime;
using tests::key_of;
using tests::Octets;

class SeededRandom : public nts::RandomSource {
 public:
  explicit SeededRandom(unsigned seed) : engine_(seed) {}
  void fill(std::span<std::uint8_t> bytes) noexcept override {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

// The server runs on nettle and the client on the best tier of this machine: an answer that verifies is one
// on which two implementations agree.
class ClientTest : public testing::Test {
 protected:
  ClientTest() : tier_(*nts::siv::choose_tier()), keys_(oracle_), server_(oracle_, server_random_) {
    keys_.load(
        tests::make_ring({tests::RingEntry{6, KeyState::retired}, tests::RingEntry{7, KeyState::current}}));
    clock_.leap = 0;
    clock_.stratum = 1;
    clock_.root_delay = 7;
    clock_.root_dispersion = 99;
    clock_.reference_id = 0x47505300;
    clock_.reference = {received_.units - (1ULL << 33)};
    agree(session_, 8);
  }

  static void agree(ClientSession& session, std::uint8_t cookies) {
    std::ranges::copy(key_of(0xc2), session.c2s.bytes().begin());
    std::ranges::copy(key_of(0x52), session.s2c.bytes().begin());
    for (std::uint8_t i = 0; i < cookies; ++i) ASSERT_TRUE(session.cookies.add(tests::usual_cookie(i)));
  }

  Octets serve(const ClientRequest& request) {
    Octets octets(request.payload().begin(), request.payload().end());
    nts::Batch batch;
    batch.count = 1;
    batch.packet[0] = octets.data();
    batch.packet_bytes[0] = request.bytes;
    batch.received[0] = received_;
    server_.open_requests(batch, keys_, {});
    server_.prepare_answers(batch, keys_, clock_);
    server_.seal_answers(batch, transmit_);
    octets.resize(batch.answer_bytes[0]);
    return octets;
  }

  ClientRequest ask() { return nts::make_nts_request(session_, tier_, random_); }
  Answer judge(const Octets& octets, const ClientRequest& request) {
    return nts::read_answer(octets, request, &session_, &tier_);
  }

  // The header of a good answer.
  static Octets plain_header(const ClientRequest& request) {
    Octets head = tests::RequestBuilder(4, 4).transmit(0xe000000022345678).octets();
    head[1] = 2;
    nts::store_u64(head.data() + 24, request.origin.units);
    nts::store_u64(head.data() + 32, 0xe000000012345678);
    return head;
  }
  static Octets answer_with(const ClientRequest& request, const Octets& plaintext,
                            std::size_t nonce_bytes = 16, std::size_t padding = 0, const Octets& clear = {}) {
    return seal(plain_header(request), request, plaintext, nonce_bytes, padding, clear);
  }
  // An answer of our own making, sealed by nettle: header, identifier, `clear` fields, then the seal.
  static Octets seal(const Octets& head, const ClientRequest& request, const Octets& plaintext,
                     std::size_t nonce_bytes = 16, std::size_t padding = 0, const Octets& clear = {}) {
    Octets octets = head;
    octets.insert(octets.end(), {1, 4, 0, 36});
    octets.insert(octets.end(), request.unique_identifier.begin(), request.unique_identifier.end());
    octets.insert(octets.end(), clear.begin(), clear.end());
    const Octets nonce(nonce_bytes, 0x6b);
    const Octets sealed = tests::nettle_seal(key_of(0x52), octets, nonce, plaintext);
    const std::size_t sealed_at = 8 + nts::padded_to_4(static_cast<std::uint32_t>(nonce.size()));
    Octets field(sealed_at + nts::padded_to_4(static_cast<std::uint32_t>(sealed.size())) + padding);
    nts::store_u16(field.data(), 0x0404);
    nts::store_u16(field.data() + 2, static_cast<std::uint16_t>(field.size()));
    nts::store_u16(field.data() + 4, static_cast<std::uint16_t>(nonce.size()));
    nts::store_u16(field.data() + 6, static_cast<std::uint16_t>(sealed.size()));
    std::copy(nonce.begin(), nonce.end(), field.begin() + 8);
    std::copy(sealed.begin(), sealed.end(), field.begin() + static_cast<std::ptrdiff_t>(sealed_at));
    octets.insert(octets.end(), field.begin(), field.end());
    return octets;
  }
  static Octets cookie_field(std::size_t bytes, std::uint8_t fill = 0x77) {
    Octets field(4 + bytes, fill);
    nts::store_u16(field.data(), 0x0204);
    nts::store_u16(field.data() + 2, static_cast<std::uint16_t>(field.size()));
    return field;
  }

  const nts::siv::Kernels& oracle_ = tests::nettle_kernels();
  const nts::siv::Kernels& tier_;
  SeededRandom random_{1};
  SeededRandom server_random_{2};
  nts::ExpandedKeyRing keys_;
  nts::Server server_;
  nts::ClockReading clock_;
  ClientSession session_;
  NtpTime received_{0xe000000012345678};
  NtpTime transmit_{0xe000000022345678};
};

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

TEST_F(ClientTest, NoOctetOfAnAnswerCanBeChangedAndNoneCutOff) {
  const ClientRequest request = ask();
  const Octets whole = serve(request);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int bit : {1, 0x80}) {
      Octets changed = whole;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ bit);
      const Answer answer = judge(changed, request);
      EXPECT_TRUE(nts::is_refused(answer.verdict)) << "octet " << i;
      EXPECT_FALSE(answer.authenticated);
    }
  }
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    const Answer answer = judge(cut, request);
    EXPECT_TRUE(nts::is_refused(answer.verdict)) << "cut at " << bytes;
    EXPECT_EQ(answer.verdict == AnswerVerdict::refused_short, bytes < 48) << bytes;
  }
  EXPECT_EQ(session_.cookies.count(), 7U) << "nothing refused brought a cookie";
  EXPECT_EQ(judge(whole, request).verdict, AnswerVerdict::good) << "and the true answer still counts";
  EXPECT_EQ(session_.cookies.count(), 8U);
}

TEST_F(ClientTest, EachPartOfAnAnswerIsRefusedByItsOwnName) {
  const ClientRequest request = ask();
  const Octets whole = serve(request);
  const auto changed = [&](std::size_t at, std::uint8_t to) {
    Octets octets = whole;
    octets[at] = to;
    return judge(octets, request).verdict;
  };
  EXPECT_EQ(changed(0, 4 << 3 | 3), AnswerVerdict::refused_mode) << "our own request come back";
  EXPECT_EQ(changed(0, 3 << 3 | 4), AnswerVerdict::refused_mode) << "version 3";
  EXPECT_EQ(changed(24, static_cast<std::uint8_t>(whole[24] ^ 1)), AnswerVerdict::refused_origin);
  EXPECT_EQ(changed(51, 12), AnswerVerdict::refused_field) << "a field of 12 octets";
  EXPECT_EQ(changed(51, 34), AnswerVerdict::refused_field) << "of no multiple of 4";
  EXPECT_EQ(changed(50, 0xff), AnswerVerdict::refused_field) << "beyond the end";
  EXPECT_EQ(changed(60, static_cast<std::uint8_t>(whole[60] ^ 1)), AnswerVerdict::refused_identifier);
  EXPECT_EQ(changed(49, 0x77), AnswerVerdict::refused_identifier) << "another field in its place";
  EXPECT_EQ(changed(85, 0x77), AnswerVerdict::refused_unauthenticated) << "another field in the seal's place";
  EXPECT_EQ(changed(89, 0), AnswerVerdict::refused_field) << "a nonce of no octets";
  EXPECT_EQ(changed(91, 15), AnswerVerdict::refused_field) << "no room for a tag";
  EXPECT_EQ(changed(90, 0xff), AnswerVerdict::refused_field) << "more ciphertext than field";
  EXPECT_EQ(changed(4, static_cast<std::uint8_t>(whole[4] ^ 1)), AnswerVerdict::refused_tag) << "the header";
  EXPECT_EQ(changed(92, static_cast<std::uint8_t>(whole[92] ^ 1)), AnswerVerdict::refused_tag) << "the nonce";
  EXPECT_EQ(changed(whole.size() - 1, static_cast<std::uint8_t>(whole.back() ^ 1)),
            AnswerVerdict::refused_tag);
  EXPECT_EQ(session_.cookies.count(), 7U);
}

TEST_F(ClientTest, AnAnswerToAnotherRequestIsRefusedWhateverIsCopied) {
  const ClientRequest first = ask();
  const Octets first_answer = serve(first);
  ASSERT_EQ(judge(first_answer, first).verdict, AnswerVerdict::good);
  const ClientRequest second = ask();
  EXPECT_EQ(judge(first_answer, second).verdict, AnswerVerdict::refused_origin) << "a replay";
  Octets with_origin = first_answer;
  nts::store_u64(with_origin.data() + 24, second.origin.units);
  EXPECT_EQ(judge(with_origin, second).verdict, AnswerVerdict::refused_identifier);
  std::ranges::copy(second.unique_identifier, with_origin.begin() + 52);
  EXPECT_EQ(judge(with_origin, second).verdict, AnswerVerdict::refused_tag);
}

TEST_F(ClientTest, TheIdentifierMustComeOnceWholeAndBeforeTheSeal) {
  const ClientRequest request = ask();
  Octets identifier{1, 4, 0, 36};
  identifier.insert(identifier.end(), request.unique_identifier.begin(), request.unique_identifier.end());
  EXPECT_EQ(judge(answer_with(request, cookie_field(100), 16, 0, identifier), request).verdict,
            AnswerVerdict::refused_identifier)
      << "twice";
  Octets none = plain_header(request);
  EXPECT_EQ(judge(none, request).verdict, AnswerVerdict::refused_identifier)
      << "a bare header (NTS stripped)";
  Octets longer = none;
  longer.insert(longer.end(), {1, 4, 0, 40});
  longer.insert(longer.end(), request.unique_identifier.begin(), request.unique_identifier.end());
  longer.resize(longer.size() + 4);
  EXPECT_EQ(judge(longer, request).verdict, AnswerVerdict::refused_identifier) << "with four octets more";
  Octets echoed = none;
  echoed.insert(echoed.end(), identifier.begin(), identifier.end());
  EXPECT_EQ(judge(echoed, request).verdict, AnswerVerdict::refused_unauthenticated);
}

TEST_F(ClientTest, BeLiberalWithNoncesPaddingUnknownFieldsAndWhatFollowsTheSeal) {
  const Octets unknown = [] {
    Octets field(20, 0x77);
    nts::store_u16(field.data() + 2, 20);
    return field;
  }();
  for (const std::size_t nonce_bytes : {1U, 12U, 15U, 16U, 20U, 32U}) {
    for (const std::size_t padding : {0U, 4U, 64U}) {
      const ClientRequest request = ask();
      Octets octets = answer_with(request, cookie_field(100), nonce_bytes, padding, unknown);
      octets.insert(octets.end(), {1, 2, 3, 4, 5});
      EXPECT_EQ(judge(octets, request).verdict, AnswerVerdict::good) << nonce_bytes << "," << padding;
      EXPECT_EQ(session_.cookies.count(), 8U);
    }
  }
}

TEST_F(ClientTest, AFieldInTheClearHasSixteenOctetsOrMore) {
  for (const std::uint16_t bytes : {std::uint16_t{12}, std::uint16_t{16}}) {
    const ClientRequest request = ask();
    Octets unknown(bytes, 0x77);
    nts::store_u16(unknown.data() + 2, bytes);
    EXPECT_EQ(judge(answer_with(request, cookie_field(100), 16, 0, unknown), request).verdict,
              bytes < 16 ? AnswerVerdict::refused_field : AnswerVerdict::good);
  }
}

TEST_F(ClientTest, EncryptedFieldsMayBeShortButMustBeWholeAndBringACookie) {
  const Octets short_unknown{0x55, 0x55, 0, 4};
  const auto joined = [](std::initializer_list<Octets> parts) {
    Octets all;
    for (const Octets& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const ClientRequest request = ask();
  for (const Octets& bad :
       {Octets{}, short_unknown, joined({cookie_field(100), Octets{1, 2, 0, 0}}),
        joined({cookie_field(100), Octets{1, 2, 0, 8}}), joined({cookie_field(100), Octets{1, 2}}),
        joined({cookie_field(100), Octets{2, 4, 0, 6, 0, 0}})}) {
    const Answer answer = judge(answer_with(request, bad), request);
    EXPECT_EQ(answer.verdict, AnswerVerdict::refused_encrypted) << bad.size();
    EXPECT_EQ(session_.cookies.count(), 7U);
  }
  const Answer good = judge(answer_with(request, joined({short_unknown, cookie_field(100)})), request);
  EXPECT_EQ(good.verdict, AnswerVerdict::good);
  EXPECT_EQ(session_.cookies.count(), 8U);
}

TEST_F(ClientTest, SurplusCookiesAndImpossibleOnesAreLeftWhereTheyAre) {
  ClientSession session;
  agree(session, 1);
  const ClientRequest request = nts::make_nts_request(session, tier_, random_);
  Octets plaintext = cookie_field(8);  // no field could send it back
  for (std::uint8_t i = 0; i < 10; ++i) {
    const Octets field = cookie_field(96, i);
    plaintext.insert(plaintext.end(), field.begin(), field.end());
  }
  const Answer answer = nts::read_answer(answer_with(request, plaintext), request, &session, &tier_);
  EXPECT_EQ(answer.verdict, AnswerVerdict::good);
  EXPECT_EQ(answer.cookies_received, 8);
  EXPECT_EQ(session.cookies.count(), 8U);
  std::array<std::uint8_t, nts::client_cookie_bytes_max> room{};
  ASSERT_EQ(session.cookies.take(room), 96);
  EXPECT_EQ(room[0], 0) << "in the order they came";
}

TEST_F(ClientTest, SealedMoreThanThereIsRoomForIsRefusedUnopened) {
  const ClientRequest request = ask();
  EXPECT_EQ(judge(answer_with(request, cookie_field(nts::client_packet_bytes_max - 20)), request).verdict,
            AnswerVerdict::good);
  EXPECT_EQ(judge(answer_with(request, cookie_field(nts::client_packet_bytes_max - 16)), request).verdict,
            AnswerVerdict::refused_field);
}

TEST_F(ClientTest, P27_ANakIsToldApartFromAnAnswerAndTakesNothing) {
  keys_.load(tests::make_ring({tests::RingEntry{9, KeyState::current}}));  // the server lost its keys
  const ClientRequest request = ask();
  const Octets nak = serve(request);
  ASSERT_FALSE(nak.empty());
  const Answer answer = judge(nak, request);
  EXPECT_EQ(answer.verdict, AnswerVerdict::nts_nak);
  EXPECT_FALSE(answer.authenticated);
  EXPECT_EQ(session_.cookies.count(), 7U);
  const ClientRequest other = ask();
  EXPECT_EQ(judge(nak, other).verdict, AnswerVerdict::refused_origin);
  Octets without_identifier(nak.begin(), nak.begin() + 48);
  EXPECT_EQ(judge(without_identifier, request).verdict, AnswerVerdict::refused_identifier)
      << "anybody on the path but out of our sight could have sent it";
}

TEST_F(ClientTest, P43_AKissNeedsOurIdentifierAndIsAuthenticOnlyWithASeal) {
  for (const char* code : {"RATE", "DENY", "RSTR", "NTSN", "INIT"}) {
    const std::string text = code;
    const AnswerVerdict expected = text == "NTSN"   ? AnswerVerdict::nts_nak
                                   : text == "INIT" ? AnswerVerdict::unsynchronised
                                                    : AnswerVerdict::kiss;
    const ClientRequest request = ask();
    Octets head = plain_header(request);
    head[0] |= 0xc0;
    head[1] = 0;
    std::copy(text.begin(), text.end(), head.begin() + 12);
    EXPECT_EQ(judge(head, request).verdict, AnswerVerdict::refused_identifier) << code;

    Octets unsealed = head;
    unsealed.insert(unsealed.end(), {1, 4, 0, 36});
    unsealed.insert(unsealed.end(), request.unique_identifier.begin(), request.unique_identifier.end());
    const Answer bare = judge(unsealed, request);
    EXPECT_EQ(bare.verdict, text == "INIT" ? AnswerVerdict::refused_unauthenticated : expected) << code;
    EXPECT_FALSE(bare.authenticated);

    const Answer sealed = judge(seal(head, request, cookie_field(100)), request);
    EXPECT_EQ(sealed.verdict, expected) << code;
    EXPECT_TRUE(sealed.authenticated);
    const Answer without_cookie = judge(seal(head, request, {}), request);
    EXPECT_EQ(without_cookie.verdict, text == "INIT" ? AnswerVerdict::refused_encrypted : expected) << code;

    Octets forged = seal(head, request, cookie_field(100));
    forged.back() ^= 1;
    EXPECT_EQ(judge(forged, request).verdict, AnswerVerdict::refused_tag) << code;

    const ClientRequest plain = nts::make_plain_request(random_);
    nts::store_u64(head.data() + 24, plain.origin.units);
    EXPECT_EQ(nts::read_answer(head, plain, nullptr, nullptr).verdict,
              text == "NTSN" ? AnswerVerdict::unsynchronised : expected)
        << "NTSN means nothing without NTS";
  }
}

TEST_F(ClientTest, P42_AServerThatDoesNotKnowTheTimeIsBelieved) {
  clock_ = nts::ClockReading{};
  const ClientRequest request = ask();
  const Answer answer = judge(serve(request), request);
  EXPECT_EQ(answer.verdict, AnswerVerdict::unsynchronised);
  EXPECT_TRUE(answer.authenticated);
  EXPECT_EQ(answer.leap, 3);
  EXPECT_EQ(session_.cookies.count(), 8U) << "its cookies are good all the same";
}

TEST_F(ClientTest, EachBoundOfAHeaderIsTriedFromBothSides) {
  struct Case {
    const char* what;
    std::uint8_t leap, stratum;
    std::uint32_t root_delay, root_dispersion;
    std::uint64_t receive, transmit;
    AnswerVerdict expected;
  };
  constexpr std::uint64_t t = 0xe000000012345678;
  const std::vector<Case> cases = {
      {"usual", 0, 1, 7, 99, t, t + 1, AnswerVerdict::good},
      {"leap second to be added", 1, 1, 7, 99, t, t + 1, AnswerVerdict::good},
      {"leap second to be removed", 2, 1, 7, 99, t, t + 1, AnswerVerdict::good},
      {"leap 3", 3, 1, 7, 99, t, t + 1, AnswerVerdict::unsynchronised},
      {"stratum 15", 0, 15, 7, 99, t, t + 1, AnswerVerdict::good},
      {"stratum 16", 0, 16, 7, 99, t, t + 1, AnswerVerdict::unsynchronised},
      {"stratum 255", 0, 255, 7, 99, t, t + 1, AnswerVerdict::unsynchronised},
      {"dispersion just below 16 s", 0, 1, 0, 0xfffff, t, t + 1, AnswerVerdict::good},
      {"dispersion 16 s", 0, 1, 0, 0x100000, t, t + 1, AnswerVerdict::implausible},
      {"delay just below 32 s", 0, 1, 0x1fffff, 0, t, t + 1, AnswerVerdict::good},
      {"delay 32 s", 0, 1, 0x200000, 0, t, t + 1, AnswerVerdict::implausible},
      {"both halves together", 0, 1, 0x100000, 0x80000, t, t + 1, AnswerVerdict::implausible},
      {"both at their largest", 0, 1, ~0U, ~0U, t, t + 1, AnswerVerdict::implausible},
      {"sent when received", 0, 1, 7, 99, t, t, AnswerVerdict::good},
      {"sent before received", 0, 1, 7, 99, t, t - 1, AnswerVerdict::implausible},
      {"no transmit stamp", 0, 1, 7, 99, t, 0, AnswerVerdict::implausible},
      {"no receive stamp", 0, 1, 7, 99, 0, 5, AnswerVerdict::implausible},
      {"over the era boundary", 0, 1, 7, 99, ~0ULL, 5, AnswerVerdict::good},
  };
  for (const Case& c : cases) {
    const ClientRequest request = nts::make_plain_request(random_);
    Octets head = plain_header(request);
    head[0] = static_cast<std::uint8_t>(c.leap << 6 | 4 << 3 | 4);
    head[1] = c.stratum;
    nts::store_u32(head.data() + 4, c.root_delay);
    nts::store_u32(head.data() + 8, c.root_dispersion);
    nts::store_u64(head.data() + 32, c.receive);
    nts::store_u64(head.data() + 40, c.transmit);
    EXPECT_EQ(nts::read_answer(head, request, nullptr, nullptr).verdict, c.expected) << c.what;
  }
}

TEST_F(ClientTest, KeysOfTheWrongDirectionOpenNothing) {
  const ClientRequest request = ask();
  const Octets octets = serve(request);
  ClientSession swapped;
  swapped.c2s = session_.s2c;
  swapped.s2c = session_.c2s;
  EXPECT_EQ(nts::read_answer(octets, request, &swapped, &tier_).verdict, AnswerVerdict::refused_tag);
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
