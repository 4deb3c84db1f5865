// The same request again and again, from one address and from two: we keep no memory of a client (C20, C21),
// and nothing of one request is seen in the answer to another (C25, I7).
#include <algorithm>
#include <gtest/gtest.h>
#include <malloc.h>
#include <utility>

#include "dataplane/random_pool.h"
#include "nts/siv/siv.h"
#include "tests/invariants/packet_path.h"
#include "tests/support/packet_builder.h"

namespace {

using tests::Octets;

constexpr std::size_t payload_offset = 14 + 20 + 8;

Octets frame_of(const Octets& payload, const tests::Ipv4& source = tests::client_ipv4) {
  tests::FrameSpec spec;
  spec.to = tests::golden_mac;
  spec.source = source;
  spec.payload = payload;
  return spec.build();
}

std::vector<Octets> opened(const Octets& frame) {
  bool is_authentic = false;
  std::vector<Octets> cookies =
      tests::cookies_of_answer(std::span(frame).subspan(payload_offset), tests::key_of(0x52), is_authentic);
  EXPECT_TRUE(is_authentic);
  return cookies;
}

TEST(Replayed, C20_AMillionTimesTheSameRequestIsAnsweredEachTimeAnewAndNothingGrows) {
  constexpr std::size_t bursts = 1'000'000 / nts::burst_max;
  constexpr std::size_t opened_one_in = 500;
  constexpr std::size_t nonce_offset = payload_offset + 48 + 36 + 4 + 4;
  dataplane::RandomPool random;  // the product's own
  tests::PacketPath path(random);
  const Octets request = frame_of(tests::nts_request(1));
  std::vector<std::uint64_t> nonces;
  nonces.reserve(bursts * nts::burst_max);
  std::vector<Octets> cookies;
  cookies.reserve(2 * bursts * nts::burst_max / opened_one_in + 2 * nts::burst_max);
  std::array<Octets, nts::burst_max> frames;
  frames.fill(request);
  const std::size_t heap_before = mallinfo2().uordblks;
  for (std::size_t burst = 0; burst < bursts; ++burst) {
    for (Octets& frame : frames) frame.assign(request.begin(), request.end());
    path.serve(frames, {}, true);
    for (const Octets& frame : frames) {
      ASSERT_EQ(frame.size(), request.size());
      nonces.push_back(nts::load_u64(frame.data() + nonce_offset));
    }
    ASSERT_EQ(mallinfo2().uordblks, heap_before) << "I5, burst " << burst;
  }
  for (std::size_t burst = 0; burst < bursts / opened_one_in; ++burst) {
    for (Octets& frame : frames) frame.assign(request.begin(), request.end());
    path.serve(frames, {}, true);
    for (const Octets& frame : frames) {
      for (Octets& cookie : opened(frame)) cookies.push_back(std::move(cookie));
    }
  }
  EXPECT_EQ(path.counters().verdict[static_cast<std::size_t>(nts::Verdict::answer_nts)],
            path.counters().received_packets);
  std::sort(nonces.begin(), nonces.end());
  EXPECT_EQ(std::adjacent_find(nonces.begin(), nonces.end()), nonces.end()) << "a nonce came twice";
  std::sort(cookies.begin(), cookies.end());
  EXPECT_EQ(std::adjacent_find(cookies.begin(), cookies.end()), cookies.end()) << "a cookie came twice";
  EXPECT_GE(cookies.size(), 2 * (bursts / opened_one_in) * nts::burst_max);
}

TEST(Replayed, C21_OneCookieFromTwoAddressesAtOnceServesBothWithTheirOwnCookies) {
  tests::Chance random(7);
  tests::PacketPath path(random);
  const Octets request = tests::nts_request(3);
  std::array<Octets, 2> frames = {frame_of(request), frame_of(request, {198, 51, 100, 9})};
  const std::array<Octets, 2> asked = frames;
  path.serve(frames, {}, true);
  std::vector<Octets> all;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_FALSE(frames[i].empty());
    EXPECT_TRUE(std::equal(frames[i].begin() + 30, frames[i].begin() + 34, asked[i].begin() + 26))
        << "to whom asked";
    const std::vector<Octets> cookies = opened(frames[i]);
    EXPECT_EQ(cookies.size(), 4U);
    all.insert(all.end(), cookies.begin(), cookies.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

class ConstantRandom final : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> octets) noexcept override {
    std::fill(octets.begin(), octets.end(), 0x77);
  }
};

TEST(Replayed, C25_I7_AnAnswerDoesNotDependOnWhatWasServedBefore) {
  ConstantRandom random;
  const std::vector<Octets> requests = {frame_of(tests::plain_request()), frame_of(tests::nts_request()),
                                        frame_of(tests::nts_request(7))};
  for (const Octets& request : requests) {
    tests::PacketPath fresh(random);
    std::array<Octets, 1> first = {request};
    fresh.serve(first, {}, true);
    ASSERT_FALSE(first[0].empty());

    tests::PacketPath used(random);
    tests::Chance chance(11);
    for (int burst = 0; burst < 100; ++burst) {
      std::array<Octets, nts::burst_max> others;
      for (Octets& other : others) {
        other = frame_of(tests::nts_request(chance.below(8)));
        if (chance.one_in(2)) other[payload_offset + 100 + chance.below(40)] ^= 1;
      }
      used.serve(others, {}, true);
    }
    std::array<Octets, 1> second = {request};
    used.serve(second, {}, true);
    EXPECT_EQ(second[0], first[0]);
  }
}

// No seal can fail and say so: it returns nothing, allocates nothing and asks no library (nts/siv/kernel.h).
// The worst left to think of is one that does nothing at all. A start refuses such a tier (K07); here is what
// would leave if it did not.
TEST(Replayed, C25_ASealThatWritesNothingLeavesNoKeyAndAWholeField) {
  static const nts::siv::Kernels idle = [] {
    nts::siv::Kernels kernels = *nts::siv::choose_tier();
    kernels.seal = [](const nts::siv::KeyTable*, nts::siv::Job*, std::uint32_t) {};
    return kernels;
  }();
  EXPECT_FALSE(nts::siv::gives_known_answers(idle));
  ConstantRandom random;
  std::vector<Octets> seen;
  for (const int stale : {0x00, 0xff}) {
    tests::PacketPath path(random, idle);
    for (int burst = 0; burst < 3; ++burst) {  // what the scratch holds from before
      std::array<Octets, 1> before = {frame_of(tests::nts_request(static_cast<std::size_t>(stale % 8)))};
      path.serve(before, {}, true);
    }
    std::array<Octets, 1> frames = {frame_of(tests::nts_request(2))};
    path.serve(frames, {}, true);
    ASSERT_FALSE(frames[0].empty());
    bool is_whole = false;
    const auto payload = std::span(std::as_const(frames[0])).subspan(payload_offset);
    const std::vector<tests::SeenField> fields = tests::fields_of(payload, 48, is_whole);
    EXPECT_TRUE(is_whole);
    ASSERT_EQ(fields.size(), 2U) << "identifier and authenticator, as counted";
    for (const tests::SessionKey& key : {tests::key_of(0xc2), tests::key_of(0x52), tests::ring_key_of(7)}) {
      EXPECT_EQ(std::search(payload.begin(), payload.end(), key.begin(), key.begin() + 8), payload.end())
          << "I7";
    }
    seen.push_back(frames[0]);
  }
  EXPECT_EQ(seen[0], seen[1]) << "no octet of it is uninitialised";
}

}  // namespace
