// A burst of any mixture is answered, row by row, as each of its requests alone: nobody's octets depend on
// the company that the lanes were shared with, nor on the order in which they were filled.
#include <gtest/gtest.h>
#include <random>
#include <string>

#include "nts/server.h"
#include "tests/nts/aead_session.h"
#include "tests/nts/server_fixture.h"

namespace {

using nts::AeadRow;
using nts::KeyState;
using nts::Verdict;
using tests::AeadSession;
using tests::Answered;
using tests::Octets;
using tests::RequestBuilder;

// The same sixteen octets again and again, so that no answer depends on who was served first. (That nonces
// differ is what other tests look at.)
class SameRandom : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> bytes) noexcept override {
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(0x91 + 7 * (i % 16));
  }
};

struct Served {
  explicit Served(const nts::siv::Kernels& tier) : keys(tier), server(nts::all_kernels_beside(tier), random) {
    keys.load(tests::make_ring({{5, KeyState::retired}, {6, KeyState::accepting}, {7, KeyState::current}}));
  }

  std::vector<Answered> serve(std::vector<Octets> requests) {
    nts::ClockReading clock;
    clock.leap = 0;
    clock.stratum = 1;
    clock.reference = {0xe0000000'00000000};
    nts::Batch batch;
    batch.count = static_cast<std::uint32_t>(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      batch.packet[i] = requests[i].data();
      batch.packet_bytes[i] = static_cast<std::uint16_t>(requests[i].size());
      batch.received[i] = {0xe0000001'00000000};
    }
    server.open_requests(batch, keys, {});
    server.prepare_answers(batch, keys, clock);
    server.seal_answers(batch, {0xe0000001'80000000});
    std::vector<Answered> answers;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(tests::EarnsNoMore(requests[i].size(), batch.answer_bytes[i]));
      requests[i].resize(batch.answer_bytes[i]);
      answers.push_back({batch.request[i].verdict, requests[i]});
    }
    return answers;
  }

  SameRandom random;
  nts::ExpandedKeyRing keys;
  nts::Server server;
};

// One kind of client: what its requests are like but for their keys and octets.
struct Kind {
  AeadRow aead;
  std::size_t identifier_bytes, placeholders, unknown_bytes, nonce_bytes, encrypted_placeholders;
};

Kind any_kind(std::mt19937& random, std::uint32_t aeads) {
  Kind kind{static_cast<AeadRow>(random() % aeads), 32, 0, 0, 16, 0};
  if (random() % 2 == 0) kind.identifier_bytes += 4 * (random() % 12);
  if (random() % 3 == 0) kind.placeholders = random() % 4;
  if (random() % 4 == 0) kind.unknown_bytes = 16 + 4 * (random() % 30);
  if (random() % 4 == 0) kind.nonce_bytes = 1 + random() % 24;
  if (random() % 4 == 0) kind.encrypted_placeholders = random() % 3;
  if (!nts::aead_at(kind.aead).takes_any_nonce && random() % 8 != 0) {
    kind.nonce_bytes = nts::aead_at(kind.aead).nonce_bytes;
  }
  return kind;
}

// Of a client with keys of its own.
Octets request_of(const Kind& kind, std::uint8_t client, std::uint32_t key_id) {
  AeadSession session(kind.aead);
  for (std::uint8_t& octet : session.c2s) octet = static_cast<std::uint8_t>(octet + 3 * client);
  for (std::uint8_t& octet : session.s2c) octet = static_cast<std::uint8_t>(octet ^ client);
  Octets keys = session.c2s;
  keys.insert(keys.end(), session.s2c.begin(), session.s2c.end());
  const std::size_t cookie_bytes = session.aead_of().cookie_bytes();
  RequestBuilder builder;
  builder.transmit(0x1111'2222'0000'0000 + client).unique_identifier(kind.identifier_bytes, client);
  if (kind.unknown_bytes != 0) builder.field(0x7777, Octets(kind.unknown_bytes, client));
  builder.cookie(tests::make_cookie(key_id, tests::ring_key_of(key_id), keys, client))
      .placeholders(kind.placeholders, cookie_bytes);
  const Octets fields = RequestBuilder().placeholders(kind.encrypted_placeholders, cookie_bytes).octets();
  session.authenticate(builder, session.c2s, kind.nonce_bytes, Octets(fields.begin() + 48, fields.end()),
                       kind.nonce_bytes < 16 ? 16 : 0);
  return builder.octets();
}

Octets any_request(std::mt19937& random, const std::vector<Kind>& kinds) {
  const auto client = static_cast<std::uint8_t>(random());
  const auto spoil = random() % 16;
  if (spoil == 0) return tests::plain_request();
  if (spoil == 1) return RequestBuilder().unique_identifier(32, client).octets();
  if (spoil == 2) {
    Octets garbage(1 + random() % 300);
    for (std::uint8_t& octet : garbage) octet = static_cast<std::uint8_t>(random());
    return garbage;
  }
  const std::uint32_t key_id = random() % 8 == 0 ? static_cast<std::uint32_t>(4 + random() % 3) : 7;
  Octets request = request_of(kinds[random() % kinds.size()], client, key_id);
  if (spoil == 3) request.back() ^= 1;
  if (spoil == 4) request[request.size() / 2] ^= 0x10;
  if (spoil == 5) request.resize(request.size() - 4 * (random() % 8));
  return request;
}

class ServerMixture : public testing::TestWithParam<const nts::siv::Kernels*> {};

TEST_P(ServerMixture, EveryRowIsAnsweredAsItsRequestAlone) {
  const nts::siv::Kernels& tier = *GetParam();
  if (tier.cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks " << tier.instruction_sets;
  Served alone(tests::nettle_kernels());
  Served together(tier);
  std::mt19937 random(1530);
  std::uint32_t authenticated = 0;
  std::array<std::uint32_t, nts::verdict_count> met{};
  for (int round = 0; round < 250; ++round) {
    // From one shape to as many as there are rows, under one AEAD or all.
    const std::uint32_t aeads = random() % 2 == 0 ? 1 : 1 + random() % nts::aeads_count;
    std::vector<Kind> kinds;
    const std::size_t shapes = random() % 4 == 0 ? nts::burst_max : 1 + random() % 5;
    while (kinds.size() < shapes) kinds.push_back(any_kind(random, aeads));
    std::vector<Octets> burst;
    const std::size_t count = random() % 4 == 0 ? 1 + random() % nts::burst_max : nts::burst_max;
    while (burst.size() < count) burst.push_back(any_request(random, kinds));

    const std::vector<Answered> answers = together.serve(burst);
    for (std::size_t i = 0; i < burst.size(); ++i) {
      const Answered expected = alone.serve({burst[i]}).at(0);
      ASSERT_EQ(answers[i].verdict, expected.verdict) << "round " << round << ", row " << i;
      ASSERT_EQ(answers[i].octets, expected.octets) << "round " << round << ", row " << i;
      authenticated += expected.verdict == Verdict::answer_nts;
      ++met[static_cast<std::size_t>(expected.verdict)];
    }
  }
  EXPECT_GT(authenticated, 2000U);
  for (const Verdict verdict : {Verdict::answer_plain, Verdict::nak_cookie, Verdict::nak_authenticator,
                                Verdict::nak_key_retired, Verdict::nak_key_unknown}) {
    EXPECT_GT(met[static_cast<std::size_t>(verdict)], 20U)
        << "the mixture lacks verdict " << static_cast<int>(verdict);
  }
}

// Two shapes by turns, every number of each: the runs meet every fill of the lanes, whole groups and rests.
TEST_P(ServerMixture, TwoShapesInEveryProportion) {
  const nts::siv::Kernels& tier = *GetParam();
  if (tier.cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks " << tier.instruction_sets;
  Served alone(tests::nettle_kernels());
  Served together(tier);
  const Kind usual{AeadRow::siv_256, 32, 0, 0, 16, 0};
  const Kind longer{AeadRow::siv_256, 64, 0, 0, 16, 0};
  std::vector<Octets> requests[2];
  std::vector<Octets> answers[2];
  for (std::uint8_t i = 0; i < nts::burst_max; ++i) {
    for (const int shape : {0, 1}) {
      const auto client = static_cast<std::uint8_t>(2 * i + shape);
      requests[shape].push_back(request_of(shape == 0 ? usual : longer, client, 7));
      answers[shape].push_back(alone.serve({requests[shape].back()}).at(0).octets);
      ASSERT_FALSE(answers[shape].back().empty());
    }
  }
  for (std::size_t first = 0; first <= nts::burst_max; ++first) {
    for (std::size_t second = 0; first + second <= nts::burst_max; ++second) {
      std::vector<Octets> burst;
      std::vector<Octets> expected;
      for (std::size_t i = 0; i < std::max(first, second); ++i) {
        for (const int shape : {0, 1}) {
          if (i >= (shape == 0 ? first : second)) continue;
          burst.push_back(requests[shape][i]);
          expected.push_back(answers[shape][i]);
        }
      }
      if (burst.empty()) continue;
      const std::vector<Answered> answered = together.serve(burst);
      for (std::size_t i = 0; i < burst.size(); ++i) {
        ASSERT_EQ(answered[i].octets, expected[i]) << first << " and " << second << ", row " << i;
      }
    }
  }
}

std::vector<const nts::siv::Kernels*> tiers() {
  const auto all = nts::siv::all_tiers();
  std::vector<const nts::siv::Kernels*> tiers(all.begin(), all.end());
  tiers.push_back(&tests::nettle_kernels());
  return tiers;
}

INSTANTIATE_TEST_SUITE_P(AllTiers, ServerMixture, testing::ValuesIn(tiers()),
                         [](const auto& tier) { return std::string(tier.param->name); });

}  // namespace
