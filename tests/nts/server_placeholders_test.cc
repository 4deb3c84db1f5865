// How many cookies a request earns, and that its answer is no longer whatever it asks for.
#include <algorithm>
#include <gtest/gtest.h>
#include <map>

#include "nts/server.h"
#include "tests/nts/server_fixture.h"

namespace {

using nts::Verdict;
using tests::Answered;
using tests::key_of;
using tests::nts_request;
using tests::Octets;
using tests::plain_request;
using tests::RequestBuilder;
using tests::ServerTest;
using tests::usual_cookie;

Octets encrypted_placeholders(std::size_t count, std::size_t body_bytes = 100) {
  const Octets whole = RequestBuilder().placeholders(count, body_bytes).octets();
  return Octets(whole.begin() + 48, whole.end());
}

TEST_F(ServerTest, C17_P22_P26_PlaceholdersInClearOrEncryptedEarnOneCookieEachAndNeverMoreThanEight) {
  for (std::size_t clear = 0; clear <= 13; ++clear) {
    for (std::size_t encrypted = 0; encrypted + clear <= 13; ++encrypted) {
      SCOPED_TRACE(testing::Message() << clear << " in clear, " << encrypted << " encrypted");
      const Octets request = RequestBuilder()
                                 .unique_identifier()
                                 .cookie(usual_cookie())
                                 .placeholders(clear)
                                 .authenticator(key_of(0xc2), encrypted_placeholders(encrypted))
                                 .octets();
      const std::uint64_t sealed_before = tests::cookies_sealed;
      const Answered answer = serve_one(request);
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      bool authentic = false;
      const std::size_t expected = std::min<std::size_t>(1 + clear + encrypted, 8);
      EXPECT_EQ(tests::cookies_of_answer(answer.octets, key_of(0x52), authentic).size(), expected);
      EXPECT_TRUE(authentic);
      EXPECT_EQ(tests::cookies_sealed - sealed_before, expected) << "no work for what is not sent";
    }
  }
}

TEST_F(ServerTest, C17_FiftyOrThreeHundredPlaceholdersAreDroppedWithoutOneSeal) {
  const std::uint64_t sealed_before = tests::cookies_sealed;
  for (const std::size_t count : {32U, 50U, 300U}) {
    EXPECT_EQ(serve_one(nts_request(count)).verdict, Verdict::drop_extension_count) << count;
    const Octets encrypted = RequestBuilder()
                                 .unique_identifier()
                                 .cookie(usual_cookie())
                                 .authenticator(key_of(0xc2), encrypted_placeholders(count + 1))
                                 .octets();
    EXPECT_EQ(serve_one(encrypted).verdict, Verdict::drop_encrypted) << count;
  }
  EXPECT_EQ(tests::cookies_sealed, sealed_before);
}

TEST_F(ServerTest, C17_C18_APlaceholderOfAnotherLengthIsDroppedEncryptedToo) {
  for (const std::size_t body : {0U, 4U, 96U, 104U, 1000U}) {
    Octets plaintext = encrypted_placeholders(1);
    const Octets wrong = encrypted_placeholders(1, body);
    plaintext.insert(plaintext.end(), wrong.begin(), wrong.end());
    const Octets request = RequestBuilder()
                               .unique_identifier()
                               .cookie(usual_cookie())
                               .authenticator(key_of(0xc2), plaintext)
                               .octets();
    EXPECT_EQ(serve_one(request).verdict, Verdict::drop_placeholder) << body;
  }
}

// Every length in octets: plain with an identifier, NTS padded inside the signature and behind it.
TEST_F(ServerTest, C19_P48_AtEveryRequestLengthFrom48To1500TheAnswerIsNoLonger) {
  std::map<Verdict, std::size_t> seen;
  for (std::size_t bytes = 48; bytes <= 1500; ++bytes) {
    std::vector<Octets> requests;
    const std::size_t whole = bytes / 4 * 4;
    requests.push_back(plain_request());
    if (whole >= 48 + 28) requests.back() = RequestBuilder().unique_identifier(whole - 52).octets();
    requests.back().resize(bytes);
    for (const std::size_t placeholders : {0U, 3U, 7U}) {
      const std::size_t fixed = nts_request(placeholders).size();
      if (fixed > bytes) continue;
      requests.push_back(nts_request(placeholders));
      requests.back().resize(bytes);
      RequestBuilder padded;
      padded.unique_identifier().cookie(usual_cookie()).placeholders(placeholders);
      if (whole - fixed >= 16) padded.field(0x7777, Octets(whole - fixed - 4));
      requests.push_back(padded.authenticator(key_of(0xc2)).octets());
    }
    for (const Answered& answer : serve(requests)) ++seen[answer.verdict];  // serve() looks at I1
  }
  EXPECT_GT(seen[Verdict::answer_plain], 300U);
  EXPECT_GT(seen[Verdict::answer_nts], 4000U);
}

}  // namespace
