// Our client and our server, under every AEAD.
#include <algorithm>
#include <gtest/gtest.h>

#include "nts/client.h"
#include "tests/nts/aead_session.h"
#include "tests/nts/server_fixture.h"

namespace {

using nts::AnswerVerdict;
using nts::ClientRequest;
using tests::AeadSession;
using tests::Octets;

class ClientAeadTest : public tests::ServerTest {
 protected:
  ClientAeadTest() : tests::ServerTest(nts::all_kernels_beside(tests::counting_kernels())) {}

  static void agree(const AeadSession& agreed, nts::ClientSession& session) {
    session.aead = agreed.row;
    std::copy(agreed.c2s.begin(), agreed.c2s.end(), session.c2s.bytes().begin());
    std::copy(agreed.s2c.begin(), agreed.s2c.end(), session.s2c.bytes().begin());
    for (std::uint8_t i = 0; i < 6; ++i) ASSERT_TRUE(session.cookies.add(agreed.cookie(i)));
  }
  ClientRequest ask(nts::ClientSession& session) {
    return nts::make_nts_request(session, kernels_, client_random_);
  }
  Octets answer_to(const ClientRequest& request) {
    return serve_one(Octets(request.payload().begin(), request.payload().end())).octets;
  }

  const nts::AeadKernels kernels_ = nts::all_kernels_beside(*nts::siv::choose_tier());
  tests::CountingRandom client_random_;
};

TEST_F(ClientAeadTest, TakesTimeAndKeepsItsJarFullUnderEveryAead) {
  for (const AeadSession& agreed : tests::all_sessions()) {
    nts::ClientSession session;
    agree(agreed, session);
    for (int round = 0; round < 12; ++round) {
      const ClientRequest request = ask(session);
      EXPECT_EQ(request.placeholders, round == 0 ? 2 : 0);
      const Octets octets = answer_to(request);
      EXPECT_LE(octets.size(), request.payload().size());
      const nts::Answer answer = nts::read_answer(octets, request, &session, &kernels_);
      ASSERT_EQ(answer.verdict, AnswerVerdict::good) << agreed.aead_of().name;
      EXPECT_TRUE(answer.authenticated);
      EXPECT_EQ(session.cookies.count(), nts::client_cookies_max);
      EXPECT_EQ(session.cookies.next_bytes(), agreed.aead_of().cookie_bytes());
    }
  }
}

TEST_F(ClientAeadTest, RefusesAnAnswerWithAnyBitChangedUnderEveryAead) {
  for (const AeadSession& agreed : tests::all_sessions()) {
    nts::ClientSession session;
    agree(agreed, session);
    const ClientRequest request = ask(session);
    const Octets good = answer_to(request);
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      Octets octets = good;
      octets[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      EXPECT_FALSE(nts::read_answer(octets, request, &session, &kernels_).authenticated) << bit;
    }
    EXPECT_TRUE(nts::read_answer(good, request, &session, &kernels_).authenticated);
  }
}

}  // namespace
