// Every AEAD through a whole server, alone and side by side in one burst.
#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

#include "nts/server.h"
#include "tests/nts/aead_session.h"
#include "tests/nts/server_fixture.h"

namespace {

using nts::AeadRow;
using nts::KeyState;
using nts::Verdict;
using tests::AeadSession;
using tests::all_sessions;
using tests::Answered;
using tests::CountingRandom;
using tests::expect_nak;
using tests::Octets;
using tests::RequestBuilder;
using tests::RingEntry;

class ServerAeadTest : public tests::ServerTest {
 protected:
  ServerAeadTest() : tests::ServerTest(nts::all_kernels_beside(tests::counting_kernels())) {}
};

TEST_F(ServerAeadTest, C22_C28_UnderEveryAeadTheAnswerVerifiesItsCookiesServeAndHaveOneLength) {
  const std::map<std::uint16_t, std::size_t> lengths = {{15, 100}, {16, 132}, {17, 164}, {30, 68}};
  for (const AeadSession& session : all_sessions()) {
    SCOPED_TRACE(session.aead_of().name);
    const std::size_t length = lengths.at(session.aead_of().number);
    std::set<Octets> seen;
    for (std::size_t placeholders = 0; placeholders <= 7; ++placeholders) {
      const Octets request = session.request(placeholders);
      const Answered answer = serve_one(request);
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      EXPECT_EQ(answer.octets.size(), request.size()) << "as many cookies as were asked for fill it exactly";
      EXPECT_TRUE(std::equal(answer.octets.begin() + 48, answer.octets.begin() + 84, request.begin() + 48));
      bool authentic = false;
      const std::vector<Octets> cookies = session.cookies_of(answer.octets, authentic);
      ASSERT_TRUE(authentic);
      ASSERT_EQ(cookies.size(), placeholders + 1);
      for (const Octets& cookie : cookies) {
        EXPECT_EQ(cookie.size(), length);
        EXPECT_TRUE(seen.insert(cookie).second) << "no cookie twice";
        RequestBuilder next;
        next.unique_identifier().cookie(cookie);
        session.authenticate(next, session.c2s, session.aead_of().nonce_bytes);
        EXPECT_EQ(serve_one(next.octets()).verdict, Verdict::answer_nts);
      }
    }
  }
}

// A request signed as `signer` does, with a key that has `key_bytes` octets of his own, and a cookie of
// `holder`.
TEST_F(ServerAeadTest, C23_OnlyTheAeadThatTheCookieIsOfServes) {
  for (const AeadSession& holder : all_sessions()) {
    for (const AeadSession& signer : all_sessions()) {
      for (const std::size_t nonce_bytes : {std::size_t{12}, std::size_t{16}}) {
        SCOPED_TRACE(std::string(signer.aead_of().name) + " over a cookie of " + holder.aead_of().name);
        if (!signer.aead_of().takes_any_nonce && nonce_bytes != signer.aead_of().nonce_bytes) continue;
        RequestBuilder builder;
        builder.unique_identifier().cookie(holder.cookie());
        signer.authenticate(builder, signer.c2s, nonce_bytes, {}, 16 - nonce_bytes);
        const Answered answer = serve_one(builder.octets());
        if (holder.row == signer.row) {
          EXPECT_EQ(answer.verdict, Verdict::answer_nts);
          bool authentic = false;
          (void)holder.cookies_of(answer.octets, authentic);
          EXPECT_TRUE(authentic);
        } else {
          EXPECT_EQ(answer.verdict, Verdict::nak_authenticator);
          expect_nak(answer, builder.octets());
        }
      }
    }
  }
}

// Cookies made with the master key, whose keys are of another AEAD's length: they open, and prove nothing.
TEST_F(ServerAeadTest, C23_KeysOfAnyLengthInACookieServeOnlyTheAeadOfThatLength) {
  for (std::size_t keys_bytes = 0; keys_bytes <= 160; keys_bytes += 4) {
    Octets keys(keys_bytes);
    for (std::size_t i = 0; i < keys_bytes; ++i) keys[i] = static_cast<std::uint8_t>(0xc2 + 7 * i);
    const Octets cookie =
        tests::make_cookie(tests::usual_key_id, tests::ring_key_of(tests::usual_key_id), keys);
    for (const AeadSession& session : all_sessions()) {
      RequestBuilder builder;
      builder.unique_identifier().cookie(cookie);
      session.authenticate(builder, session.c2s, session.aead_of().nonce_bytes, {},
                           16 - session.aead_of().nonce_bytes);
      const Verdict verdict = serve_one(builder.octets()).verdict;
      const bool is_own = keys_bytes == 2 * session.aead_of().key_bytes;
      const bool is_ours = nts::aead_of_cookie(static_cast<std::uint32_t>(cookie.size())) != AeadRow::none;
      EXPECT_EQ(verdict, is_own    ? Verdict::answer_nts
                         : is_ours ? Verdict::nak_authenticator
                                   : Verdict::nak_cookie)
          << keys_bytes << " " << session.aead_of().name;
    }
  }
}

TEST_F(ServerAeadTest, C13_C14_UnderEveryAeadOnlyTheRightTagAndEveryOctetBeforeIt) {
  for (const AeadSession& session : all_sessions()) {
    const Octets good = session.request();
    for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{0xff}}) {
      Octets request = good;
      std::fill(request.end() - 16, request.end(), fill);
      EXPECT_EQ(serve_one(request).verdict, Verdict::nak_authenticator);
    }
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      Octets request = good;
      request[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      EXPECT_NE(serve_one(request).verdict, Verdict::answer_nts) << session.aead_of().name << " " << bit;
    }
  }
}

// The transmit stamp is chosen last, and the seal covers it as it leaves.
TEST_F(ServerAeadTest, C27_UnderEveryAeadTheSealCoversTheTransmitStampThatIsOnTheWire) {
  for (const AeadSession& session : all_sessions()) {
    for (const std::uint64_t later : {1ULL, 0x100ULL, 1ULL << 32, 1ULL << 40}) {
      SCOPED_TRACE(session.aead_of().name);
      transmit_.units = received_.units + later;
      Answered answer = serve_one(session.request(2));
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      EXPECT_EQ(nts::load_u64(answer.octets.data() + 40), transmit_.units);
      bool authentic = false;
      EXPECT_EQ(session.cookies_of(answer.octets, authentic).size(), 3U);
      EXPECT_TRUE(authentic) << "over every octet as it was sent";
      for (std::size_t at = 40; at < 48; ++at) {
        answer.octets[at] ^= 1;
        (void)session.cookies_of(answer.octets, authentic);
        EXPECT_FALSE(authentic) << "a stamp written after the seal would show, octet " << at;
        answer.octets[at] ^= 1;
      }
    }
  }
}

TEST_F(ServerAeadTest, C15_AeadGcmSivTakesANonceOf12OctetsWithOrWithoutPaddingAndNoOther) {
  const AeadSession session(AeadRow::gcm_siv_128);
  for (const std::size_t nonce_bytes : {1U, 8U, 11U, 12U, 13U, 16U, 20U, 64U}) {
    for (const std::size_t extra : {0U, 4U, 8U, 12U, 16U, 400U}) {
      RequestBuilder builder;
      builder.unique_identifier().cookie(session.cookie());
      session.authenticate(builder, session.c2s, nonce_bytes, {}, extra);
      const Answered answer = serve_one(builder.octets());
      SCOPED_TRACE(testing::Message() << nonce_bytes << " and " << extra);
      if (nts::padded_to_4(static_cast<std::uint32_t>(nonce_bytes)) + extra < 12) {
        EXPECT_EQ(answer.verdict, Verdict::drop_authenticator) << "no room for the answer's nonce";
      } else if (nonce_bytes != 12) {
        EXPECT_EQ(answer.verdict, Verdict::nak_authenticator);
        expect_nak(answer, builder.octets());
      } else {
        EXPECT_EQ(answer.verdict, Verdict::answer_nts);
        bool authentic = false;
        EXPECT_EQ(session.cookies_of(answer.octets, authentic).size(), 1U);
        EXPECT_TRUE(authentic);
      }
    }
  }
}

TEST_F(ServerAeadTest, C17_EncryptedPlaceholdersCountUnderEveryAead) {
  for (const AeadSession& session : all_sessions()) {
    const std::size_t length = session.aead_of().cookie_bytes();
    const Octets fields = RequestBuilder().placeholders(3, length).octets();
    RequestBuilder builder;
    builder.unique_identifier().cookie(session.cookie()).placeholders(2, length);
    session.authenticate(builder, session.c2s, session.aead_of().nonce_bytes,
                         Octets(fields.begin() + 48, fields.end()));
    const Answered answer = serve_one(builder.octets());
    ASSERT_EQ(answer.verdict, Verdict::answer_nts);
    bool authentic = false;
    EXPECT_EQ(session.cookies_of(answer.octets, authentic).size(), 6U);
    EXPECT_TRUE(authentic);
  }
}

TEST_F(ServerAeadTest, NoRowOfABurstDependsOnTheAeadsOfItsNeighbours) {
  std::mt19937 random(30);
  const std::vector<AeadSession> sessions = all_sessions();
  for (int round = 0; round < 300; ++round) {
    std::vector<Octets> burst;
    std::vector<std::size_t> aead_of_row;
    std::vector<std::size_t> placeholders;
    std::vector<Verdict> expected;
    for (std::size_t i = 0, count = 1 + random() % nts::burst_max; i < count; ++i) {
      aead_of_row.push_back(random() % sessions.size());
      placeholders.push_back(random() % 3);
      burst.push_back(sessions[aead_of_row[i]].request(placeholders[i]));
      expected.push_back(Verdict::answer_nts);
      switch (random() % 6) {
        case 0:
          burst[i].back() ^= 1;
          expected[i] = Verdict::nak_authenticator;
          break;
        case 1:
          burst[i][120] ^= 1;
          expected[i] = Verdict::nak_cookie;
          break;
        default:
          break;
      }
    }
    const std::vector<Answered> answers = serve(burst);
    for (std::size_t i = 0; i < burst.size(); ++i) {
      ASSERT_EQ(answers[i].verdict, expected[i]) << round << " " << i;
      if (expected[i] != Verdict::answer_nts) continue;
      bool authentic = false;
      ASSERT_EQ(sessions[aead_of_row[i]].cookies_of(answers[i].octets, authentic).size(),
                placeholders[i] + 1);
      ASSERT_TRUE(authentic);
    }
  }
}

TEST_F(ServerAeadTest, C28_CookieLengthsStayTheSameAcrossRotationsAndARestart) {
  for (const AeadSession& session : all_sessions()) {
    Octets cookie = session.cookie();
    for (std::uint32_t current = 7; current < 12; ++current) {
      keys_.load(tests::make_ring(
          {RingEntry{current, KeyState::current}, RingEntry{current - 1, KeyState::accepting}}, current));
      CountingRandom random;
      nts::Server restarted(nts::all_kernels_beside(tests::counting_kernels()), random);
      RequestBuilder builder;
      builder.unique_identifier().cookie(cookie);
      session.authenticate(builder, session.c2s, session.aead_of().nonce_bytes);
      const Answered answer = serve_one_by(restarted, builder.octets());
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      bool authentic = false;
      const auto cookies = session.cookies_of(answer.octets, authentic);
      ASSERT_TRUE(authentic && cookies.size() == 1);
      EXPECT_EQ(cookies[0].size(), cookie.size());
      EXPECT_EQ(nts::load_u32(cookies[0].data()), current);
      cookie = cookies[0];
    }
  }
}

TEST_F(ServerAeadTest, WithoutItsKernelsAnAeadIsRefusedAsAnUnknownCookieIs) {
  CountingRandom random;
  nts::Server without(tests::counting_kernels(), random);
  for (const AeadSession& session : all_sessions()) {
    if (session.row == AeadRow::siv_256) continue;
    const Answered answer = serve_one_by(without, session.request());
    EXPECT_EQ(answer.verdict, Verdict::nak_cookie) << session.aead_of().name;
    expect_nak(answer, session.request());
  }
}

// Identifiers of 32 octets and up, nonces of other lengths, fields nobody knows, placeholders: exact, and the
// answer no longer than the request, whatever is asked under whichever AEAD.
TEST_F(ServerAeadTest, C19_P48_UnderEveryAeadEveryShapeIsAnsweredInFullAndNoLonger) {
  std::mt19937 random(1648);
  for (int round = 0; round < 60; ++round) {
    std::vector<Octets> burst;
    std::vector<AeadSession> session_of_row;
    std::vector<std::size_t> wanted;
    const std::size_t count = 1 + random() % nts::burst_max;
    while (burst.size() < count) {
      const AeadSession session(static_cast<AeadRow>(random() % nts::aeads_count));
      const std::size_t placeholders = random() % 8;
      RequestBuilder builder;
      builder.unique_identifier(32 + 4 * (random() % 40));
      if (random() % 4 == 0) builder.field(0x7777, Octets(12 + 4 * (random() % 20)));
      builder.cookie(session.cookie()).placeholders(placeholders, session.aead_of().cookie_bytes());
      const std::size_t nonce_bytes = session.aead_of().takes_any_nonce && random() % 2 == 0
                                          ? 1 + random() % 40
                                          : session.aead_of().nonce_bytes;
      session.authenticate(builder, session.c2s, nonce_bytes, {}, nonce_bytes < 16 ? 16 : 0);
      burst.push_back(builder.octets());
      session_of_row.push_back(session);
      wanted.push_back(placeholders + 1);
    }
    const std::vector<Answered> answers = serve(burst);
    for (std::size_t i = 0; i < burst.size(); ++i) {
      SCOPED_TRACE(session_of_row[i].aead_of().name);
      ASSERT_EQ(answers[i].verdict, Verdict::answer_nts);
      ASSERT_LE(answers[i].octets.size(), burst[i].size());
      bool authentic = false;
      EXPECT_EQ(session_of_row[i].cookies_of(answers[i].octets, authentic).size(), wanted[i]);
      EXPECT_TRUE(authentic);
    }
  }
}

}  // namespace
