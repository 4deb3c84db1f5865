// What a client believes: every octet of an answer changed, every part missing, and each bound from both
// sides.
#include <algorithm>

#include "tests/nts/client_fixture.h"

namespace {

using nts::Answer;
using nts::AnswerVerdict;
using nts::ClientRequest;
using nts::ClientSession;
using nts::KeyState;
using tests::ClientTest;
using tests::Octets;

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

}  // namespace
