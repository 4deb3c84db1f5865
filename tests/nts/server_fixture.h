// A whole server on an oracle's crypto, with the invariants of TESTS.md checked on every burst that any test
// sends through it: never more octets or packets out than in (I1), every packet one verdict, every answer
// with an answering verdict and no other.
#pragma once

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <random>

#include "nts/server.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace tests {

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
  nts::Verdict verdict;
  Octets octets;  // empty when there is no answer
};

// I1 of TESTS.md, for one request and what it earned: no test of a packet path does without.
[[nodiscard]] inline testing::AssertionResult EarnsNoMore(std::size_t request_bytes,
                                                          std::size_t answer_bytes) {
  if (answer_bytes <= request_bytes) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "amplifies " << request_bytes << " octets to " << answer_bytes;
}

// I7: no key shows in what leaves. Eight octets of one do not come about by chance.
[[nodiscard]] inline bool shows_a_key(std::span<const std::uint8_t> octets) {
  static const std::array<SessionKey, 4> secrets = {key_of(0xc2), key_of(0x52), ring_key_of(7),
                                                    ring_key_of(8)};
  return std::any_of(secrets.begin(), secrets.end(), [&](const SessionKey& key) {
    return std::search(octets.begin(), octets.end(), key.begin(), key.begin() + 8) != octets.end() ||
           std::search(octets.begin(), octets.end(), key.begin() + 16, key.begin() + 24) != octets.end();
  });
}

// nettle, with the cookies it seals counted.
inline std::uint64_t cookies_sealed = 0;
[[nodiscard]] inline const nts::siv::Kernels& counting_kernels() {
  static const nts::siv::Kernels kernels = [] {
    nts::siv::Kernels counting = nettle_kernels();
    counting.seal_with_ring_key = [](const nts::siv::RingKeySchedule* key, nts::siv::Job* jobs,
                                     std::uint32_t count) {
      cookies_sealed += count;
      nettle_kernels().seal_with_ring_key(key, jobs, count);
    };
    return counting;
  }();
  return kernels;
}

class ServerTest : public testing::Test {
 protected:
  explicit ServerTest(const nts::AeadKernels& kernels = counting_kernels())
      : keys_(counting_kernels()), server_(kernels, random_) {
    using nts::KeyState;
    keys_.load(make_ring({RingEntry{5, KeyState::retired}, RingEntry{6, KeyState::accepting},
                          RingEntry{7, KeyState::current}, RingEntry{8, KeyState::accepting}}));
    clock_.leap = 0;
    clock_.stratum = 1;
    clock_.precision = -25;
    clock_.root_delay = 7;
    clock_.root_dispersion = 99;
    clock_.reference_id = 0x47505300;
    clock_.reference = {received_.units - (1ULL << 33)};
  }

  std::vector<Answered> serve(const std::vector<Octets>& requests) { return serve_by(server_, requests); }
  std::vector<Answered> serve_by(nts::Server& server, const std::vector<Octets>& requests) {
    std::vector<Answered> answers;
    for (std::size_t from = 0; from < requests.size(); from += nts::burst_max) {
      const std::size_t count = std::min<std::size_t>(nts::burst_max, requests.size() - from);
      // Buffers of exactly the request's size, so that AddressSanitizer sees any octet beyond.
      std::vector<Octets> buffers(requests.begin() + static_cast<std::ptrdiff_t>(from),
                                  requests.begin() + static_cast<std::ptrdiff_t>(from + count));
      nts::Batch batch;
      batch.count = static_cast<std::uint32_t>(count);
      for (std::size_t i = 0; i < count; ++i) {
        batch.packet[i] = buffers[i].data();
        batch.packet_bytes[i] = static_cast<std::uint16_t>(buffers[i].size());
        batch.received[i] = received_;
      }
      server.open_requests(batch, keys_, policy_);
      server.prepare_answers(batch, keys_, clock_);
      server.seal_answers(batch, transmit_);
      for (std::size_t i = 0; i < count; ++i) {
        const nts::Verdict verdict = batch.request[i].verdict;
        EXPECT_LT(verdict, nts::Verdict::count);
        EXPECT_TRUE(EarnsNoMore(buffers[i].size(), batch.answer_bytes[i]));
        EXPECT_EQ(batch.answer_bytes[i] != 0, nts::is_answered(verdict));
        buffers[i].resize(batch.answer_bytes[i]);
        EXPECT_FALSE(shows_a_key(buffers[i])) << "I7";
        answers.push_back({verdict, buffers[i]});
      }
    }
    return answers;
  }

  Answered serve_one(const Octets& request) { return serve({request}).at(0); }
  Answered serve_one_by(nts::Server& server, const Octets& request) {
    return serve_by(server, {request}).at(0);
  }

  CountingRandom random_;
  nts::ExpandedKeyRing keys_;
  nts::Server server_;
  nts::Policy policy_;
  nts::ClockReading clock_;
  nts::NtpTime received_{0xe000000012345678};
  nts::NtpTime transmit_{0xe000000022345678};
};

// What a kiss must look like: NTSN, no clock, the identifier echoed, no cookie and no authenticator.
inline void expect_nak(const Answered& answer, const Octets& request) {
  ASSERT_FALSE(answer.octets.empty());
  EXPECT_TRUE(EarnsNoMore(request.size(), answer.octets.size()));
  EXPECT_EQ(answer.octets[0], 3 << 6 | 4 << 3 | 4);
  EXPECT_EQ(answer.octets[1], 0) << "stratum 0";
  EXPECT_EQ(nts::load_u64(answer.octets.data() + 4), 0U) << "no root delay and dispersion";
  EXPECT_EQ(nts::load_u32(answer.octets.data() + 12), 0x4e54534eU) << "NTSN";
  EXPECT_EQ(nts::load_u64(answer.octets.data() + 16), 0U) << "no reference time";
  EXPECT_TRUE(std::equal(answer.octets.begin() + 24, answer.octets.begin() + 32, request.begin() + 40));
  bool whole = false;
  const auto fields = fields_of(answer.octets, 48, whole);
  EXPECT_TRUE(whole);
  ASSERT_EQ(fields.size(), 1U);
  EXPECT_EQ(fields[0].type, 0x0104);
  const auto asked = fields_of(request, 48, whole);
  const auto identifier =
      std::find_if(asked.begin(), asked.end(), [](const SeenField& field) { return field.type == 0x0104; });
  ASSERT_NE(identifier, asked.end());
  EXPECT_EQ(fields[0].body, identifier->body) << "octet for octet";
}

}  // namespace tests
