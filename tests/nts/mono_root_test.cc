// Extension field 0xF323: asked for by what chrony sends, in any legal place, and by nothing else.
#include "nts/mono_root.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "tests/nts/aead_session.h"
#include "tests/nts/server_fixture.h"

namespace {

using nts::MonoRoot;
using nts::Verdict;
using tests::Answered;
using tests::key_of;
using tests::Octets;
using tests::RequestBuilder;
using tests::SeenField;
using tests::usual_cookie;

constexpr std::uint16_t mono_root = 0xf323;

// As chronyd asks: the magic, then zeros.
Octets question(std::size_t body_bytes = 24) {
  Octets body(body_bytes, 0);
  constexpr std::array<std::uint8_t, 4> magic = {0xf5, 0xbe, 0xdd, 0x9a};
  std::copy_n(magic.begin(), std::min(magic.size(), body_bytes), body.begin());
  return body;
}

// The same as a field, for where fields are put together by hand.
Octets question_field() {
  Octets field = {0xf3, 0x23, 0, 28};
  const Octets body = question();
  field.insert(field.end(), body.begin(), body.end());
  return field;
}

const MonoRoot told{0x00000123, 0x00004567, {0xe0aabbcc'ddeeff01}, 0x5a5a0001};
const MonoRoot told_smeared{0x00000123, 0x10000000, {}, 0};

Octets body_of(const MonoRoot& root) {
  Octets field(nts::mono_root_field_bytes);
  nts::write_mono_root(field.data(), root);
  return {field.begin() + 4, field.end()};
}

class MonoRootTest : public tests::ServerTest {
 protected:
  // As the worker does it.
  Answered serve_told(const Octets& request, bool is_smeared = false) {
    Octets buffer = request;
    nts::Batch batch;
    batch.count = 1;
    batch.packet[0] = buffer.data();
    batch.packet_bytes[0] = static_cast<std::uint16_t>(buffer.size());
    batch.received[0] = received_;
    batch.smeared = is_smeared ? 1 : 0;
    server_.open_requests(batch, keys_, policy_);
    server_.prepare_answers(batch, keys_, clock_);
    if (batch.asks_mono_root) nts::Server::tell_mono_root(batch, told, told_smeared);
    server_.seal_answers(batch, transmit_, transmit_);
    EXPECT_TRUE(tests::EarnsNoMore(request.size(), batch.answer_bytes[0]));
    buffer.resize(batch.answer_bytes[0]);
    return {batch.request[0].verdict, buffer};
  }

  // The bodies of the field in the answer to `request`, which must be answered with `verdict`.
  std::vector<Octets> told_to(const Octets& request, Verdict verdict, bool is_smeared = false) {
    const Answered answer = serve_told(request, is_smeared);
    EXPECT_EQ(answer.verdict, verdict);
    bool is_whole = false;
    std::vector<Octets> bodies;
    for (const SeenField& field : tests::fields_of(answer.octets, 48, is_whole)) {
      if (field.type == mono_root) bodies.push_back(field.body);
    }
    EXPECT_TRUE(is_whole);
    return bodies;
  }
};

TEST(MonoRoot, FineTimesAreRoundedUpAndSaturate) {
  using nts::fine_from_ns_rounded_up;
  EXPECT_EQ(fine_from_ns_rounded_up(-1), 0U);
  EXPECT_EQ(fine_from_ns_rounded_up(0), 0U);
  EXPECT_EQ(fine_from_ns_rounded_up(1), 1U) << "a step is 3.7 ns";
  EXPECT_EQ(fine_from_ns_rounded_up(3), 1U);
  EXPECT_EQ(fine_from_ns_rounded_up(4), 2U);
  EXPECT_EQ(fine_from_ns_rounded_up(1'000'000'000), 1U << 28);
  EXPECT_EQ(fine_from_ns_rounded_up(15'999'999'990), 0xfffffffeU);
  EXPECT_EQ(fine_from_ns_rounded_up(15'999'999'999), 0xffffffffU);
  EXPECT_EQ(fine_from_ns_rounded_up(16'000'000'000), 0xffffffffU);
  EXPECT_EQ(fine_from_ns_rounded_up(INT64_MAX), 0xffffffffU);
  for (std::int64_t ns = 1; ns < 15'000'000'000; ns = ns * 3 / 2 + 1) {
    const double told_ns = fine_from_ns_rounded_up(ns) / 0x1p28 * 1e9;
    EXPECT_GE(told_ns, static_cast<double>(ns)) << ns;
    EXPECT_LT(told_ns, static_cast<double>(ns) + 3.8) << ns;
  }
}

// What chronyd 4.3 puts on the wire, octet for octet.
TEST(MonoRoot, TheFieldStandsOnTheWireAsChronyReadsIt) {
  Octets field(28, 0xee);
  nts::write_mono_root(field.data(), told);
  const Octets expected = {0xf3, 0x23, 0x00, 0x1c, 0xf5, 0xbe, 0xdd, 0x9a, 0x00, 0x00,
                           0x01, 0x23, 0x00, 0x00, 0x45, 0x67, 0xe0, 0xaa, 0xbb, 0xcc,
                           0xdd, 0xee, 0xff, 0x01, 0x5a, 0x5a, 0x00, 0x01};
  EXPECT_EQ(field, expected);
}

TEST_F(MonoRootTest, APlainRequestIsToldWhateverStandsAroundTheQuestion) {
  const Octets other(24, 9);
  const std::vector<Octets> requests = {
      RequestBuilder().field(mono_root, question()).octets(),
      RequestBuilder().field(mono_root, question()).unique_identifier().octets(),
      RequestBuilder().unique_identifier().field(mono_root, question()).octets(),
      RequestBuilder().field(0x2005, other).field(mono_root, question()).unique_identifier(36).octets(),
      RequestBuilder().unique_identifier(16).field(0x2005, other).field(mono_root, question()).octets(),
      RequestBuilder().field(mono_root, question()).field(0x0002, Octets(12, 1)).field(1, other).octets()};
  for (const Octets& request : requests) {
    SCOPED_TRACE(request.size());
    EXPECT_EQ(told_to(request, Verdict::answer_plain), std::vector<Octets>(1, body_of(told)));
    EXPECT_EQ(told_to(request, Verdict::answer_plain, true), std::vector<Octets>(1, body_of(told_smeared)));
  }
  EXPECT_EQ(serve_told(requests[0]).octets.size(), requests[0].size()) << "as long as it came";
}

TEST_F(MonoRootTest, AskedTwiceItIsToldOnce) {
  const Octets request = RequestBuilder().field(mono_root, question()).field(mono_root, question()).octets();
  EXPECT_EQ(told_to(request, Verdict::answer_plain).size(), 1U);
  const Octets sealed = RequestBuilder()
                            .field(mono_root, question())
                            .unique_identifier()
                            .cookie(usual_cookie())
                            .field(mono_root, question())
                            .authenticator(key_of(0xc2), question_field())
                            .octets();
  EXPECT_EQ(told_to(sealed, Verdict::answer_nts).size(), 1U);
}

TEST_F(MonoRootTest, P45_AnotherLengthOrMagicIsAFieldThatNobodyKnows) {
  for (std::size_t body_bytes = 24; body_bytes <= 1024; body_bytes += 4) {
    const Octets request = RequestBuilder().field(mono_root, question(body_bytes)).octets();
    EXPECT_EQ(told_to(request, Verdict::answer_plain).size(), body_bytes == 24 ? 1U : 0U) << body_bytes;
  }
  for (const std::size_t body_bytes : {12U, 16U, 20U}) {  // long enough where another field follows
    const Octets request =
        RequestBuilder().field(mono_root, question(body_bytes)).unique_identifier().octets();
    EXPECT_TRUE(told_to(request, Verdict::answer_plain).empty()) << body_bytes;
  }
  for (std::size_t bit = 0; bit < 32; ++bit) {
    Octets body = question();
    body[bit / 8] = static_cast<std::uint8_t>(body[bit / 8] ^ 1U << bit % 8);
    EXPECT_TRUE(told_to(RequestBuilder().field(mono_root, body).octets(), Verdict::answer_plain).empty());
  }
  Octets body = question();
  std::fill(body.begin() + 4, body.end(), 0xff);  // chrony does not look at it either
  EXPECT_EQ(told_to(RequestBuilder().field(mono_root, body).octets(), Verdict::answer_plain).size(), 1U);
}

TEST_F(MonoRootTest, LengthsThatAreNoFieldsAreDroppedAsEver) {
  for (std::uint32_t length = 0; length <= 200; ++length) {
    const Octets request =
        RequestBuilder().field_with_length(mono_root, static_cast<std::uint16_t>(length), 24).octets();
    const Verdict verdict = serve_told(request).verdict;
    EXPECT_EQ(verdict == Verdict::answer_plain, length == 28) << length;
  }
  EXPECT_EQ(serve_told(RequestBuilder(3).raw(question_field()).octets()).verdict, Verdict::drop_trailing)
      << "version 3 has no fields";
}

// Under every AEAD, before, between and behind the fields of NTS, as long as the client has signed it.
TEST_F(MonoRootTest, P26_AnAuthenticatedAnswerTellsItUnderTheSeal) {
  for (const tests::AeadSession& session : tests::all_sessions()) {
    nts::Server server(nts::all_kernels_beside(tests::counting_kernels()), random_);
    for (int place = 0; place < 4; ++place) {
      SCOPED_TRACE(testing::Message() << "cookie of " << session.cookie().size() << ", place " << place);
      RequestBuilder builder;
      if (place == 0) builder.field(mono_root, question());
      builder.unique_identifier();
      if (place == 1) builder.field(mono_root, question());
      builder.cookie(session.cookie());
      if (place == 2) builder.field(mono_root, question());
      session.authenticate(builder, session.c2s, session.aead_of().nonce_bytes,
                           place == 3 ? question_field() : Octets{});
      const Answered answer = serve_one_by(server, builder.octets());
      ASSERT_EQ(answer.verdict, Verdict::answer_nts);
      EXPECT_EQ(answer.octets.size(), builder.octets().size()) << "as long as it came";
      bool is_whole = false;
      const std::vector<SeenField> fields = tests::fields_of(answer.octets, 48, is_whole);
      ASSERT_EQ(fields.size(), 3U);
      EXPECT_EQ(fields[0].type, 0x0104);
      EXPECT_EQ(fields[1].type, mono_root) << "in the clear, before the authenticator";
      EXPECT_EQ(fields[1].body, body_of({})) << "nobody told it anything";
      EXPECT_EQ(fields[2].type, 0x0404);
    }
  }
}

TEST_F(MonoRootTest, P24_TheSealCoversWhatIsTold) {
  const Octets request = RequestBuilder()
                             .field(mono_root, question())
                             .unique_identifier()
                             .cookie(usual_cookie())
                             .placeholders(2)
                             .authenticator(key_of(0xc2))
                             .octets();
  const Answered answer = serve_told(request);
  ASSERT_EQ(answer.verdict, Verdict::answer_nts);
  bool is_whole = false;
  const std::vector<SeenField> fields = tests::fields_of(answer.octets, 48, is_whole);
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields[1].body, body_of(told));
  const std::size_t clear_bytes = 48 + 36 + 28;
  const std::span<const std::uint8_t> octets(answer.octets);
  Octets plaintext;
  const auto open = [&](std::span<const std::uint8_t> clear) {
    return tests::nettle_open(key_of(0x52), clear, octets.subspan(clear_bytes + 8, 16),
                              octets.subspan(clear_bytes + 24), plaintext);
  };
  EXPECT_TRUE(open(octets.first(clear_bytes)));
  EXPECT_EQ(plaintext.size(), 3U * 104);
  Octets forged(octets.begin(), octets.begin() + clear_bytes);
  forged[48 + 36 + 10] ^= 1;
  EXPECT_FALSE(open(forged));
}

TEST_F(MonoRootTest, P25_BehindTheAuthenticatorItIsNotAsked) {
  const Octets request = RequestBuilder()
                             .unique_identifier()
                             .cookie(usual_cookie())
                             .authenticator(key_of(0xc2))
                             .field(mono_root, question())
                             .octets();
  EXPECT_TRUE(told_to(request, Verdict::answer_nts).empty());
}

TEST_F(MonoRootTest, P43_AKissTellsNothing) {
  Octets request = RequestBuilder()
                       .field(mono_root, question())
                       .unique_identifier()
                       .cookie(usual_cookie())
                       .authenticator(key_of(0xc2))
                       .octets();
  request.back() ^= 1;
  const Answered answer = serve_told(request);
  EXPECT_EQ(answer.verdict, Verdict::nak_authenticator);
  tests::expect_nak(answer, request);
}

TEST_F(MonoRootTest, InOneBurstEachRowIsAnsweredAsItAsked) {
  std::vector<Octets> requests;
  for (int i = 0; i < 32; ++i) {
    RequestBuilder builder;
    if (i % 2 == 0) builder.field(mono_root, question());
    if (i % 4 >= 2) builder.unique_identifier().cookie(usual_cookie()).authenticator(key_of(0xc2));
    requests.push_back(builder.octets());
  }
  const std::vector<Answered> answers = serve(requests);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    bool is_whole = false;
    const std::vector<SeenField> fields = tests::fields_of(answers[i].octets, 48, is_whole);
    const bool is_told = std::any_of(fields.begin(), fields.end(),
                                     [](const SeenField& field) { return field.type == mono_root; });
    EXPECT_EQ(is_told, i % 2 == 0) << i;
    EXPECT_EQ(answers[i].octets.size(), requests[i].size()) << i;
  }
}

}  // namespace
