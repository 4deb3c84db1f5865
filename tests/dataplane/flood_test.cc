// Floods at the server's own capacity (TESTS.md J02, J05) on rings, where whatever is lost is lost by us: a
// veth loses frames before they reach anybody (tests/peers/flood_test.py).
//
// Nothing here waits for a clock. Beside the flooded worker runs a second one just like it, which gets good
// requests only. What it needs for a burst of them is a slot: while a slot lasts, the link brings as much as
// is asked for in units of that capacity, into a receive ring of 1023 frames as a card has one, and the
// flooded worker serves for as long. What finds the ring full is lost. So a slower machine makes longer
// slots, and shares stay what they are.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "tests/support/served_worker.h"

#ifndef __has_feature  // clang's
#define __has_feature(feature) 0
#endif
#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define NOONMARK_COSTS_ARE_OTHERS 1
#endif

namespace {

using nts::Verdict;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::Octets;

constexpr std::uint32_t slot_requests = nts::burst_max;
constexpr std::size_t cookie_at = 48 + 36 + 4;

// Clients with cookies of their own, as many as a burst has and more.
constexpr std::size_t good_clients = 64;

// What a frame takes of the link: at least 60 octets, checksum, preamble and gap (IEEE 802.3 section 4.2.7).
std::size_t link_octets(const Octets& frame) { return std::max<std::size_t>(frame.size(), 60) + 24; }

// The machine's pauses are none of the server's work: no burst costs so many times the usual one. What a
// pause that is not seen as one brings, the ring holds.
constexpr std::uint64_t pause_ratio = 4;

struct Outcome {
  std::uint64_t good = 0;      // that the link brought
  std::uint64_t flood = 0;     // likewise
  std::uint64_t answered = 0;  // good ones
  std::uint64_t lost = 0;      // of all that the link brought: the ring was full
  double busy = 0;             // the share of its time that the server had to work
  [[nodiscard]] double share() const { return static_cast<double>(answered) / static_cast<double>(good); }
};

class Flooded : public tests::ServedWorker {
 protected:
  void SetUp() override {
    tests::ServedWorker::SetUp();
    if (IsSkipped()) return;
    worker_ = worker_at(*rings_, line_);
    for (std::size_t i = 0; i < good_clients; ++i) {
      const auto fill = static_cast<std::uint8_t>(i);
      tests::RequestBuilder builder;
      const tests::SessionKey c2s = tests::key_of(fill);
      const tests::SessionKey s2c = tests::key_of(static_cast<std::uint8_t>(~fill));
      Octets keys(c2s.begin(), c2s.end());
      keys.insert(keys.end(), s2c.begin(), s2c.end());
      builder.unique_identifier(32, fill).cookie(
          tests::make_cookie(tests::usual_key_id, tests::ring_key_of(tests::usual_key_id), keys, fill));
      good_nts_.push_back(request(builder.authenticator(c2s).octets()).build());
      good_plain_.push_back(request().build());
    }
  }

  // As it serves, and not as most tests ask it: with the best tier of this machine.
  std::unique_ptr<dataplane::Worker> worker_at(const tests::RingPort& rings, shm::CoreStats& line) {
    dataplane::WorkerSetup setup;
    setup.tier = nts::siv::choose_tier();
    setup.pages = &current_;
    setup.line = &line;
    setup.instance_id = tests::instance_id;
    setup.tsc_hz = rte_get_tsc_hz();
    setup.queues = rings.queues();
    return std::make_unique<dataplane::Worker>(setup);
  }

  // Serves one burst and drops the answers. Returns the TSC cycles it took, pauses of the machine left out,
  // by what that worker's bursts usually take: junk costs a part of what good requests do.
  static std::uint64_t cost_of_burst(dataplane::Worker& worker, std::uint64_t& usual_cost) {
    const std::uint64_t begin = rte_rdtsc();
    worker.serve_once();
    const std::uint64_t cost = rte_rdtsc() - begin;
    if (usual_cost == 0) usual_cost = cost;
    const std::uint64_t most = pause_ratio * usual_cost;
    const std::uint64_t counted = cost > most ? usual_cost : cost;
    usual_cost = (15 * usual_cost + std::min(cost, most)) / 16;  // what stays dear becomes the usual
    return counted;
  }

  static const Octets& next_of(const std::vector<Octets>& frames, std::size_t& number) {
    return frames[number++ % frames.size()];
  }

  // What the link brings of the flood while the server could answer one good NTS request.
  struct Link {
    double frames = 0;
    double octets = 0;  // instead of frames
  };

  // The link brings `flood` as it can, and on top a tenth as many of `good` as the server could answer NTS
  // requests.
  Outcome endure(const std::vector<Octets>& good, const std::vector<Octets>& flood, Link link,
                 Verdict answered) {
    tests::RingPort other_rings;
    shm::CoreStats other_line{};
    const std::unique_ptr<dataplane::Worker> other = worker_at(other_rings, other_line);
    std::mt19937 random(3);  // NOLINT: the same order every time
    Outcome outcome;
    std::size_t good_number = 0;
    std::size_t flood_number = 0;
    std::size_t reference_number = 0;
    double flood_due = 0;  // in what the link is measured by
    std::int64_t time_given = 0;
    std::int64_t time_worked = 0;
    double good_due = 0;
    std::int64_t time_left = 0;
    const std::uint64_t before = counted(answered);
    std::uint64_t usual_reference_cost = 0;
    std::uint64_t usual_flood_cost = 0;
    std::vector<const Octets*> arriving;
    const auto give_back = [](tests::RingPort& rings) { static_cast<void>(rings.take_transmitted()); };
    for (int slot = 0; slot < slots + warm_slots; ++slot) {
      for (std::uint32_t i = 0; i < slot_requests; ++i)
        other_rings.arrive(next_of(good_nts_, reference_number));
      const std::uint64_t slot_cycles = cost_of_burst(*other, usual_reference_cost);
      give_back(other_rings);
      if (slot < warm_slots) continue;  // and its cost is the usual one

      arriving.clear();
      const bool by_octets = link.octets > 0;
      flood_due += slot_requests * (by_octets ? link.octets : link.frames);
      while (flood_due > 0) {
        arriving.push_back(&next_of(flood, flood_number));
        flood_due -= by_octets ? static_cast<double>(link_octets(*arriving.back())) : 1;
        ++outcome.flood;
      }
      for (good_due += slot_requests / 10.0; good_due >= 1; --good_due) {
        arriving.push_back(&next_of(good, good_number));
        ++outcome.good;
      }
      std::shuffle(arriving.begin(), arriving.end(), random);
      for (const Octets* frame : arriving) {
        if (rings_->has_room()) {
          rings_->arrive(*frame);
        } else {
          ++outcome.lost;
        }
      }
      time_left += static_cast<std::int64_t>(slot_cycles);
      time_given += static_cast<std::int64_t>(slot_cycles);
      while (time_left > 0 && rings_->waiting() != 0) {
        const auto cost = static_cast<std::int64_t>(cost_of_burst(*worker_, usual_flood_cost));
        time_left -= cost;
        time_worked += cost;
      }
      time_left = std::min<std::int64_t>(time_left, 0);  // an idle slot is not kept
      give_back(*rings_);
    }
    while (rings_->waiting() != 0) static_cast<void>(serve());  // what waits is not lost
    expect_conservation();
    outcome.answered = counted(answered) - before;
    outcome.busy = static_cast<double>(time_worked) / static_cast<double>(time_given);
    return outcome;
  }

  static constexpr int slots = 20'000;
  static constexpr int warm_slots = 64;
  std::vector<Octets> good_nts_;
  std::vector<Octets> good_plain_;
};

// What the rig itself does: more good requests than can be answered are not all answered.
TEST_F(Flooded, MoreGoodRequestsThanItsCapacityAreNotAllAnswered) {
  const Outcome outcome = endure(good_nts_, good_nts_, {.frames = 1}, Verdict::answer_nts);
  EXPECT_GT(outcome.lost * 100, outcome.good + outcome.flood) << "a tenth was too much";
}

TEST_F(Flooded, J02_AFloodOfInvalidCookiesAtFullCapacityCostsNoGoodClientItsAnswer) {
  constexpr std::uint32_t kisses_per_s = 200;
  settings_.rate_limit.kisses_per_s = kisses_per_s;
  publish_settings();
  std::vector<Octets> flood;
  for (const Octets& good : good_nts_) {
    Octets payload(good.begin() + tests::payload_offset, good.end());
    Octets other_key = payload;
    other_key[cookie_at] ^= 0xff;
    flood.push_back(request(other_key).build());
    payload[cookie_at + 30] ^= 0xff;  // our key's, and does not open
    flood.push_back(request(payload).build());
  }
  const std::uint64_t begin = rte_rdtsc();
  const Outcome outcome = endure(good_nts_, flood, {.frames = 1}, Verdict::answer_nts);
  const double seconds = static_cast<double>(rte_rdtsc() - begin) / static_cast<double>(rte_get_tsc_hz());
  const std::uint64_t naks = counted(Verdict::nak_key_unknown) + counted(Verdict::nak_cookie);
  std::printf(
      "J02: %llu invalid, %llu good of which %.3f %% answered, %llu lost, busy %.0f %%; %llu NAKs in %.1f "
      "s\n",
      static_cast<unsigned long long>(outcome.flood), static_cast<unsigned long long>(outcome.good),
      100 * outcome.share(), static_cast<unsigned long long>(outcome.lost), 100 * outcome.busy,
      static_cast<unsigned long long>(naks), seconds);
  EXPECT_GE(outcome.share(), 0.99);
  EXPECT_GT(counted(Verdict::nak_key_unknown), 0U);
  EXPECT_GT(counted(Verdict::nak_cookie), 0U);
  EXPECT_LE(static_cast<double>(naks), kisses_per_s * (seconds + 1));
  EXPECT_EQ(naks + counted(Verdict::drop_kiss_limited) + outcome.lost,
            outcome.flood + outcome.good - outcome.answered);
}

// Rows A, B and C of TESTS.md at the full rate of a link which the server, were it full of NTS requests,
// could just answer (bench/README.md: 25 GbE for one core): as many octets of junk, however short its frames
// are.
class FloodedWithJunk : public Flooded {
 protected:
  void SetUp() override {
#ifdef NOONMARK_COSTS_ARE_OTHERS
    GTEST_SKIP() << "costs of code that is not optimised, or watched, are in other proportions";
#else
    Flooded::SetUp();
#endif
  }

  void expect_plain_clients_are_served(const char* row, const std::vector<Octets>& junk) {
    const double octets = static_cast<double>(link_octets(good_nts_[0]));
    const Outcome outcome = endure(good_plain_, junk, {.octets = octets}, Verdict::answer_plain);
    std::printf("J05 %s: %llu frames of junk, %llu good of which %.3f %% answered, %llu lost, busy %.0f %%\n",
                row, static_cast<unsigned long long>(outcome.flood),
                static_cast<unsigned long long>(outcome.good), 100 * outcome.share(),
                static_cast<unsigned long long>(outcome.lost), 100 * outcome.busy);
    EXPECT_GE(outcome.share(), 0.999);
    EXPECT_LE(outcome.share(), 1) << "junk was answered";
    EXPECT_EQ(worker_->counters().sent_packets, outcome.answered) << "nothing was sent for the junk";
  }
};

TEST_F(FloodedWithJunk, J05_BrokenFramesAtTheLinksRateCostNoPlainClientItsAnswer) {
  std::vector<Octets> junk;
  for (int i = 0; i < 64; ++i) {
    FrameSpec spec = request();
    spec.source_port = static_cast<std::uint16_t>(1024 + i);
    switch (i % 8) {
      case 0:
        spec.udp_checksum = 0x1234;
        break;
      case 1:
        spec.ipv4_checksum = 0x1234;
        break;
      case 2:
        spec.udp_length = 7;
        break;
      case 3:
        spec.hops = 0;
        break;
      case 4:
        spec.fragment = 0x2001;
        break;
      case 5:
        spec.source = {127, 0, 0, 1};
        break;
      case 6:
        spec.source_port = 0;
        break;
      default:
        spec.ip_length = 4000;
        break;
    }
    junk.push_back(spec.build());
    if (i % 16 == 15) junk.back().resize(30);
  }
  expect_plain_clients_are_served("A", junk);
}

TEST_F(FloodedWithJunk, J05_WrongHeadersAtTheLinksRateCostNoPlainClientItsAnswer) {
  std::vector<Octets> junk;
  for (int i = 0; i < 64; ++i) {
    Octets payload = tests::plain_request();
    switch (i % 4) {
      case 0:
        payload.resize(1 + static_cast<std::size_t>(i) % 47);
        break;  // too short
      case 1:
        payload[0] = static_cast<std::uint8_t>((5 + i % 3) << 3 | 3);
        break;  // version 5 to 7
      case 2:
        payload[0] = static_cast<std::uint8_t>(4 << 3 | (i / 4 % 2 == 0 ? 4 : 6));
        break;  // an answer, mode 6
      default:
        payload.resize(48 + 20, 0x5a);
        break;  // a MAC of a symmetric key
    }
    junk.push_back(request(payload).build());
  }
  expect_plain_clients_are_served("B", junk);
}

TEST_F(FloodedWithJunk, J05_BrokenExtensionFieldsAtTheLinksRateCostNoPlainClientItsAnswer) {
  std::vector<Octets> junk;
  std::mt19937 random(5);  // NOLINT: the same junk every time
  for (int i = 0; i < 64; ++i) {
    Octets payload = tests::nts_request(static_cast<std::size_t>(i) % 3);
    switch (i % 5) {
      case 0:
        payload.resize(payload.size() - 1 - random() % 100);
        break;  // cut
      case 1:
        payload[48 + 2] = 0xff;
        break;  // a field longer than the packet
      case 2:
        payload[48 + 3] = 17;
        break;  // a length that is no multiple of four
      case 3:
        payload.resize(48 + 36 + 104);
        break;  // NTS without a seal ...
      default:  // ... and random octets behind a header
        for (std::size_t at = 48; at < payload.size(); ++at)
          payload[at] = static_cast<std::uint8_t>(random());
        break;
    }
    junk.push_back(request(payload).build());
  }
  expect_plain_clients_are_served("C", junk);
}

}  // namespace
