// Whatever arrives, no more leaves: octets and packets, at the UDP payload and at the frame (J01, I1), over
// the golden captures and what a mutator makes of them (A40).
//
// 10^6 frames a test; 10^8 with NOONMARK_LONG, with progress. A failure names the seed of its burst:
// NOONMARK_SEED=N serves that burst alone. The histogram of verdicts is printed, and each must have been met.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <set>
#include <unordered_set>

#include "tests/invariants/mutator.h"
#include "tests/support/capture_file.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::Verdict;
using tests::Octets;

constexpr std::uint64_t first_seed = 20261126;
constexpr std::uint64_t progress_bursts = 300'000;
constexpr std::size_t golden_frame_bytes_max = 1700;

// What becomes of a frame for its buffer's or a ring's sake: the worker's business, in tests/dataplane.
const std::set<std::string_view> of_buffers = {"drop_kernel_full", "drop_segmented", "drop_transmit_full",
                                               "pass_kernel"};
// And of a frame for its source's or the core's share: the same (admission_test.cc).
const std::set<std::string_view> of_shares = {"drop_denied", "drop_rate_limited", "drop_kiss_limited"};

// Behind whatever tags an answer carries.
std::size_t ip_offset_of(const Octets& frame) {
  std::size_t offset = 14;
  while (frame[offset - 2] == 0x81 || frame[offset - 2] == 0x88) offset += 4;
  return offset;
}

std::vector<Octets> golden_frames() {
  const std::filesystem::path folder = std::filesystem::path(NOONMARK_ROOT) / "tests/golden/captures";
  std::vector<Octets> frames;
  std::set<std::filesystem::path> files;  // sorted: the same corpus on every machine
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.insert(entry.path());
  for (const auto& file : files) {
    if (!file.native().ends_with(".in.pcap")) continue;
    for (Octets& frame : tests::read_capture(file)) {
      if (frame.size() <= golden_frame_bytes_max) frames.push_back(std::move(frame));
    }
  }
  return frames;
}

// The field of nts/mono_root.h as chrony asks for it.
Octets mono_root_question() {
  Octets field(28, 0);
  nts::store_u64(field.data(), 0xf323001c'f5bedd9a);
  return field;
}

// The captures are of clients that know AEAD 15 alone, and no field 0xF323: requests under each AEAD besides,
// over both families, and some that ask for that field, in the clear and encrypted.
std::vector<Octets> corpus() {
  std::vector<Octets> frames = golden_frames();
  const std::size_t share = frames.size() / 64;  // so many of each kind: one frame in five
  for (const tests::AeadSession& session : tests::all_sessions()) {
    for (const std::size_t placeholders : {0U, 1U, 7U}) {
      tests::FrameSpec spec;
      spec.to = tests::golden_mac;
      spec.is_ipv6 = placeholders == 1;
      spec.payload = session.request(placeholders);
      if (spec.payload.size() > dataplane::request_bytes_max) continue;
      frames.insert(frames.end(), share, spec.build());
    }
    tests::FrameSpec spec;
    spec.to = tests::golden_mac;
    const Octets question = mono_root_question();
    tests::RequestBuilder asking;
    asking.field(0xf323, std::span(question).subspan(4)).unique_identifier();
    spec.payload = asking.octets();
    frames.insert(frames.end(), share, spec.build());
    asking.cookie(session.cookie());
    session.authenticate(asking, session.c2s, session.aead_of().nonce_bytes, question);
    spec.payload = asking.octets();
    frames.insert(frames.end(), share, spec.build());
  }
  return frames;
}

// I7: every eight octets in a row of every key there is. None may be seen in an answer.
class Secrets {
 public:
  Secrets() {
    for (const std::uint32_t id : {6U, 7U, 8U}) add(tests::ring_key_of(id));
    for (const tests::AeadSession& session : tests::all_sessions()) {
      add(session.c2s);
      add(session.s2c);
    }
  }
  [[nodiscard]] bool shows_in(const Octets& frame) const {
    for (std::size_t at = 0; at + 8 <= frame.size(); ++at) {
      const std::uint64_t here = window(frame.data() + at);
      if (filter_[mixed(here)] && windows_.contains(here)) return true;
    }
    return false;
  }

 private:
  template <class Key>
  void add(const Key& key) {
    for (std::size_t at = 0; at + 8 <= key.size(); ++at) {
      windows_.insert(window(key.data() + at));
      filter_[mixed(window(key.data() + at))] = true;
    }
  }
  static std::uint64_t window(const std::uint8_t* octets) {
    std::uint64_t value;
    std::memcpy(&value, octets, sizeof value);
    return value;
  }
  static std::size_t mixed(std::uint64_t value) { return value * 0x9e3779b97f4a7c15 >> 52; }

  std::unordered_set<std::uint64_t> windows_;
  std::array<bool, 4096> filter_{};
};

class Amplification : public testing::Test {
 protected:
  // Serves bursts of mutants, one good request in each, until enough was served.
  void serve_mutants(bool mends) {
    const tests::Mutator mutator(corpus(), mends);
    std::uint64_t bursts = (std::getenv("NOONMARK_LONG") != nullptr ? 100'000'000U : 1'000'000U) / 31 + 1;
    std::uint64_t seed = first_seed;
    if (const char* one = std::getenv("NOONMARK_SEED"); one != nullptr) {
      seed = std::strtoull(one, nullptr, 10);
      bursts = 1;
    }
    const auto began = std::chrono::steady_clock::now();
    for (std::uint64_t burst = 0; burst < bursts; ++burst, ++seed) {
      serve_one_burst(mutator, seed);
      if (HasFailure()) {
        FAIL() << "replay: NOONMARK_SEED=" << seed << " tests-invariants --gtest_filter=*"
               << testing::UnitTest::GetInstance()->current_test_info()->name();
      }
      if ((burst + 1) % progress_bursts == 0) {
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
        std::cout << (burst + 1) * nts::burst_max << " frames, seed " << seed << ", " << passed.count()
                  << " s" << std::endl;
      }
    }
  }

  void serve_one_burst(const tests::Mutator& mutator, std::uint64_t seed) {
    tests::Chance chance(seed);
    std::array<Octets, nts::burst_max> frames;
    for (Octets& frame : frames) frame = mutator.make(chance);
    const nts::Policy policy{.answer_plain = !chance.one_in(16), .answer_nts = !chance.one_in(16)};
    const std::size_t good = chance.below(frames.size());
    frames[good] = good_request();
    const bool has_keys = !chance.one_in(32);
    // One source in eight is refused or limited, in one way or another.
    std::array<nts::Treatment, nts::burst_max> treatment{};
    for (nts::Treatment& one : treatment) {
      if (chance.one_in(8)) one = static_cast<nts::Treatment>(1 + chance.below(4));
    }
    treatment[good] = nts::Treatment::serve;
    check_burst(frames, policy, has_keys, treatment);
    ASSERT_EQ(frames[good].empty(), !policy.answer_plain) << "I6: the good request";
  }

  void check_burst(std::span<Octets> frames, const nts::Policy& policy, bool has_keys,
                   std::span<const nts::Treatment> treatment = {}) {
    std::array<std::size_t, nts::burst_max> asked_bytes{};
    for (std::size_t i = 0; i < frames.size(); ++i) asked_bytes[i] = frames[i].size();
    const auto outcome = path_.serve(frames, policy, has_keys, treatment);
    std::uint64_t answers = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      if (frames[i].empty()) continue;
      ++answers;
      if (outcome.answered_under[i] != nts::AeadRow::none)
        ++answered_under_[static_cast<std::size_t>(outcome.answered_under[i])];
      ASSERT_LE(frames[i].size(), asked_bytes[i]) << "I1 at the frame, row " << i;
      ASSERT_LE(outcome.answer_bytes[i], outcome.payload_bytes[i]) << "I1 at the payload, row " << i;
      ASSERT_FALSE(secrets_.shows_in(frames[i])) << "I7, row " << i;
      ASSERT_TRUE(tests::is_sound(frames[i], ip_offset_of(frames[i]))) << "row " << i;
    }
    const dataplane::Counters& counted = path_.counters();
    ASSERT_LE(answers, frames.size()) << "I1 in packets";
    ASSERT_EQ(counted.verdicts(), counted.received_packets) << "J15";
    std::uint64_t answered = 0;
    for (std::size_t i = 0; i < nts::verdict_count; ++i) {
      if (nts::is_answered(static_cast<Verdict>(i))) answered += counted.verdict[i];
    }
    ASSERT_EQ(answered, counted.sent_packets) << "J15";
    ASSERT_LE(counted.sent_octets, counted.received_octets) << "J01";
  }

  // Prints how often each verdict was met. Those that no octets can bring about are told apart.
  void expect_every_verdict_met() const {
    if (std::getenv("NOONMARK_SEED") != nullptr) return;
    const dataplane::Counters& counted = path_.counters();
    for (std::size_t i = 0; i < counted.frame.size(); ++i) {
      std::cout << "  frame." << shm::frame_verdict_names[i] << ' ' << counted.frame[i] << '\n';
      if (of_buffers.contains(shm::frame_verdict_names[i]) || of_shares.contains(shm::frame_verdict_names[i]))
        continue;
      EXPECT_GT(counted.frame[i], 0U) << "never met: " << shm::frame_verdict_names[i];
    }
    for (std::size_t i = 0; i < counted.verdict.size(); ++i) {
      std::cout << "  " << nts::verdict_names[i] << ' ' << counted.verdict[i] << '\n';
      if (of_shares.contains(nts::verdict_names[i])) continue;
      // A request that is answered with NTS is never shorter than an answer with one cookie.
      if (static_cast<Verdict>(i) == Verdict::drop_no_room) {
        EXPECT_EQ(counted.verdict[i], 0U);
      } else {
        EXPECT_GT(counted.verdict[i], 0U) << "never met: " << nts::verdict_names[i];
      }
    }
    for (std::size_t row = 0; row < answered_under_.size(); ++row) {
      std::cout << "  answered under " << nts::aeads[row].name << ' ' << answered_under_[row] << '\n';
      EXPECT_GT(answered_under_[row], 0U) << "never answered under " << nts::aeads[row].name;
    }
    std::cout << "  octets out per octet in: "
              << static_cast<double>(counted.sent_octets) / static_cast<double>(counted.received_octets)
              << std::endl;
  }

  static Octets good_request() {
    tests::FrameSpec spec;
    spec.to = tests::golden_mac;
    spec.payload = tests::plain_request();
    return spec.build();
  }

  tests::Chance random_{7};
  tests::PacketPath path_{random_};
  std::array<std::uint64_t, nts::aeads_count> answered_under_{};
  Secrets secrets_;
};

TEST_F(Amplification, J01_NoFrameOfTheGoldenCapturesIsAnsweredWithMore) {
  std::vector<Octets> frames = golden_frames();
  ASSERT_GT(frames.size(), 1000U);
  for (std::size_t from = 0; from < frames.size(); from += nts::burst_max) {
    const std::size_t count = std::min<std::size_t>(nts::burst_max, frames.size() - from);
    check_burst(std::span(frames).subspan(from, count), {}, true);
    ASSERT_FALSE(HasFailure()) << "frames from " << from;
  }
  EXPECT_GT(path_.counters().sent_packets, 500U);
}

TEST_F(Amplification, J01_C29_NoMutantThatIsPutRightAndSignedIsAnsweredWithMore) {
  serve_mutants(true);
  expect_every_verdict_met();
}

TEST_F(Amplification, A40_NoMutantOfAGoldenFrameIsAnsweredWithMoreAndEveryoneIsCounted) {
  serve_mutants(false);
  expect_every_verdict_met();
}

}  // namespace
