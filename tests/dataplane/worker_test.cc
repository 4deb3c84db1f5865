// The whole packet path on a ring port: frames in, frames out, and every counter in between.
#include "dataplane/worker.h"

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include "tests/support/worker_on_rings.h"

namespace {

using dataplane::Worker;
using nts::Verdict;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::good_clock;
using tests::instance_id;
using tests::leap_of;
using tests::Octets;
using tests::payload_of;
using tests::payload_offset;
using tests::refid_of;
using tests::stratum_of;
using tests::with_payload;
using tests::WorkerOnRings;

TEST_F(WorkerOnRings, AnswersAPlainRequestToWhereItCameFrom) {
  clock_page_->clock.publish(good_clock());
  const Octets request = tests::plain_request();
  rings_->arrive(with_payload(request));
  const std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 1U);
  const Octets& answer = answers.front();
  EXPECT_TRUE(tests::is_sound(answer));
  EXPECT_TRUE(std::equal(tests::client_mac.begin(), tests::client_mac.end(), answer.begin()));
  EXPECT_EQ(answer[payload_offset], 0x24) << "leap 0, version 4, mode 4";
  EXPECT_EQ(stratum_of(answer), 1);
  EXPECT_TRUE(std::equal(request.begin() + 40, request.end(), answer.begin() + payload_offset + 24))
      << "origin";
  EXPECT_EQ(counted(Verdict::answer_plain), 1U);
  EXPECT_EQ(line_.sent_packets.load(), 1U);
  EXPECT_EQ(line_.sent_octets.load(), answer.size());
  EXPECT_EQ(line_.received_octets.load(), answer.size());
}

TEST_F(WorkerOnRings, A04_AnswersUnderTheRequestsVlanTag) {
  FrameSpec spec = with_payload(tests::plain_request());
  spec.tags = {0x2064};
  rings_->arrive(spec);
  const std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0][14] << 8 | answers[0][15], 0x2064);
  EXPECT_TRUE(tests::is_sound(answers[0], 18));
}

TEST_F(WorkerOnRings, AnswersNtsWithAsManyCookiesAsWereAskedFor) {
  publish_keys();
  clock_page_->clock.publish(good_clock());
  std::set<Octets> cookies;
  for (std::size_t placeholders = 0; placeholders < 8; ++placeholders) {
    const Octets answer = ask(tests::nts_request(placeholders));
    EXPECT_TRUE(tests::is_sound(answer));
    bool authentic = false;
    const std::vector<Octets> fresh =
        tests::cookies_of_answer(payload_of(answer), tests::key_of(0x52), authentic);
    EXPECT_TRUE(authentic);
    EXPECT_EQ(fresh.size(), 1 + placeholders);
    cookies.insert(fresh.begin(), fresh.end());
  }
  EXPECT_EQ(cookies.size(), 36U) << "1 + 2 + ... + 8, each of them new";
  EXPECT_EQ(line_.cookies_issued.load(), 36U);
  EXPECT_EQ(counted(Verdict::answer_nts), 8U);
}

TEST_F(WorkerOnRings, B02_B05_NothingButModeThreeIsEverAnsweredOnTheWire) {
  publish_keys();
  for (std::uint8_t version = 0; version < 8; ++version) {
    for (std::uint8_t mode = 0; mode < 8; ++mode) {
      if (mode == 3) continue;
      Octets payload = tests::nts_request();
      payload[0] = static_cast<std::uint8_t>(version << 3 | mode);
      rings_->arrive(with_payload(tests::plain_request(version, mode)));
      rings_->arrive(with_payload(payload));
    }
  }
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_mode) + counted(Verdict::drop_version), 112U);
}

TEST_F(WorkerOnRings, C24_P27_P43_AKissGoesOutWhenTheCookieIsWrong) {
  publish_keys();
  Octets request = tests::nts_request(3);
  request[120] ^= 1;
  const Octets answer = ask(request);
  EXPECT_EQ(leap_of(answer), 3);
  EXPECT_EQ(refid_of(answer), 0x4e54534eU);
  EXPECT_EQ(answer.size(), payload_offset + 48 + 36);
  EXPECT_TRUE(tests::is_sound(answer));
  EXPECT_EQ(line_.cookies_issued.load(), 0U);
}

TEST_F(WorkerOnRings, P46_AnySourcePortButZeroIsAnsweredThere) {
  for (const std::uint16_t port :
       {std::uint16_t{1}, std::uint16_t{123}, std::uint16_t{1023}, std::uint16_t{65535}}) {
    FrameSpec spec = with_payload(tests::plain_request());
    spec.source_port = port;
    rings_->arrive(spec);
    const std::vector<Octets> answers = serve();
    ASSERT_EQ(answers.size(), 1U) << port;
    EXPECT_EQ(answers[0][36] << 8 | answers[0][37], port);
  }
  FrameSpec spec = with_payload(tests::plain_request());
  spec.source_port = 0;
  rings_->arrive(spec);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_source_port), 1U);
}

TEST_F(WorkerOnRings, A34_OneGoodRequestAmongThirtyOneBadOnesIsAnsweredInEveryPosition) {
  for (std::size_t good = 0; good < nts::burst_max; ++good) {
    for (std::size_t i = 0; i < nts::burst_max; ++i) {
      FrameSpec spec = with_payload(tests::plain_request());
      if (i != good) {
        switch (i % 5) {
          case 0:
            spec.udp_checksum = 0x1111;
            break;
          case 1:
            spec.payload.resize(40);
            break;
          case 2:
            spec.destination_port = 124;
            break;
          case 3:
            spec.fragment = 0x2000;
            break;
          default:
            spec.payload[0] = 0x26;
            break;  // mode 6
        }
      }
      rings_->arrive(spec);
    }
    EXPECT_EQ(serve().size(), 1U) << good;
  }
  EXPECT_EQ(line_.received_packets.load(), nts::burst_max * nts::burst_max);
  EXPECT_EQ(line_.bursts.load(), nts::burst_max);
  EXPECT_EQ(all_verdicts(), line_.received_packets.load());
}

TEST_F(WorkerOnRings, J15_EveryPacketIsCountedOnceWhateverArrives) {
  publish_keys();
  std::mt19937 random(20240229);  // NOLINT: the same garbage every time
  const std::array<Octets, 3> seeds = {with_payload(tests::plain_request()).build(),
                                       with_payload(tests::nts_request(2)).build(),
                                       with_payload(tests::nts_request()).build()};
  std::uint64_t arrived = 0;
  std::uint64_t answered = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 100; ++i) {
      Octets frame = seeds[random() % seeds.size()];
      for (unsigned changes = random() % 4; changes > 0; --changes) {
        frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
      }
      if (random() % 8 == 0) frame.resize(random() % (frame.size() + 1));
      rings_->arrive(frame);
      ++arrived;
    }
    const std::vector<Octets> answers = serve();
    answered += answers.size();
    ASSERT_EQ(line_.received_packets.load(), arrived);
    ASSERT_EQ(all_verdicts(), arrived);
  }
  EXPECT_EQ(line_.sent_packets.load(), answered);
  EXPECT_LE(line_.sent_octets.load(), line_.received_octets.load()) << "I1";
  std::uint64_t answers_counted = 0;
  for (std::size_t i = 0; i < nts::verdict_count; ++i) {
    if (nts::is_answered(static_cast<Verdict>(i))) answers_counted += line_.verdict[i].load();
  }
  EXPECT_EQ(answers_counted, answered);
  EXPECT_GT(answered, 0U);
  EXPECT_LT(answered, arrived);
}

// Two workers as two cores run them: own queue, own stats line, the same pages.
TEST_F(WorkerOnRings, A38_AFloodOnOneQueueLeavesTheOtherCoresQueueAndCountersAlone) {
  publish_keys();
  constexpr std::uint64_t flood = 20'000;
  constexpr std::uint64_t asked_there = 50;
  tests::RingPort quiet_rings;
  shm::CoreStats quiet_line{};
  Worker quiet(dataplane::WorkerSetup{&tests::nettle_kernels(), &current_, &quiet_line, instance_id, 1,
                                      rte_get_tsc_hz(), quiet_rings.queues()});
  std::uint64_t quiet_answers = 0;
  std::thread other_core([&] {
    for (std::uint64_t i = 0; i < asked_there; ++i) {
      quiet_rings.arrive(with_payload(tests::nts_request()));
      while (quiet.serve_once()) {
      }
      quiet_answers += quiet_rings.take_transmitted().size();
    }
    quiet.keep_house(rte_rdtsc());
  });
  std::uint64_t flood_answers = 0;
  for (std::uint64_t sent = 0; sent < flood; sent += nts::burst_max) {
    for (std::size_t i = 0; i < nts::burst_max; ++i) rings_->arrive(with_payload(tests::plain_request()));
    while (worker_->serve_once()) {
    }
    flood_answers += rings_->take_transmitted().size();
  }
  other_core.join();
  expect_conservation();

  EXPECT_EQ(flood_answers, flood);
  EXPECT_EQ(counted(Verdict::answer_plain), flood);
  EXPECT_EQ(counted(Verdict::answer_nts), 0U) << "the other core's";
  EXPECT_EQ(quiet_answers, asked_there);
  EXPECT_EQ(quiet_line.received_packets.load(), asked_there);
  EXPECT_EQ(quiet_line.verdict[static_cast<std::size_t>(Verdict::answer_nts)].load(), asked_there);
}

TEST_F(WorkerOnRings, A33_AFullTransmitRingDropsCountsAndRecovers) {
  use_port(8);  // room for seven
  for (int i = 0; i < 32; ++i) rings_->arrive(with_payload(tests::plain_request()));
  while (worker_->serve_once()) {
  }
  worker_->keep_house(rte_rdtsc());
  EXPECT_EQ(counted(FrameVerdict::drop_transmit_full), 25U);
  EXPECT_EQ(counted(Verdict::answer_plain), 7U);
  EXPECT_EQ(line_.sent_packets.load(), 7U);
  EXPECT_EQ(line_.sent_octets.load(), 7U * 90);
  EXPECT_EQ(all_verdicts(), 32U);

  EXPECT_EQ(rings_->take_transmitted().size(), 7U);
  rings_->arrive(with_payload(tests::plain_request()));
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(WorkerOnRings, A30_DropsFramesSpreadOverBuffers) {
  const Octets frame = with_payload(tests::plain_request()).build();
  for (std::size_t at = 1; at < frame.size(); ++at) {
    const auto cut = frame.begin() + static_cast<std::ptrdiff_t>(at);
    rte_mbuf* head = rings_->make_mbuf(Octets(frame.begin(), cut));
    ASSERT_EQ(rte_pktmbuf_chain(head, rings_->make_mbuf(Octets(cut, frame.end()))), 0);
    rings_->arrive(head);
    EXPECT_TRUE(serve().empty()) << at;
  }
  rte_mbuf* lying = rings_->make_mbuf(frame);
  lying->pkt_len += 1;
  rings_->arrive(lying);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), frame.size());
  EXPECT_EQ(all_verdicts(), frame.size());
}

TEST_F(WorkerOnRings, A32_DropsFramesInBuffersThatOthersHoldToo) {
  rte_mbuf* original = rings_->make_mbuf(with_payload(tests::plain_request()).build());
  rte_mbuf* clone = rte_pktmbuf_clone(original, tests::shared_buffers().get());
  ASSERT_NE(clone, nullptr);
  rings_->arrive(clone);
  rings_->arrive(original);
  const std::vector<Octets> answers = serve();
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), 2U);
}

TEST_F(WorkerOnRings, B04_ItsOwnAnswerFedBackIsNotAnswered) {
  rings_->arrive(with_payload(tests::plain_request()));
  std::vector<Octets> answers = serve();
  ASSERT_EQ(answers.size(), 1U);
  for (int round = 0; round < 3; ++round) {
    rings_->arrive(answers[0]);
    EXPECT_TRUE(serve().empty());
  }
  // Even turned round as a peer would send it.
  FrameSpec spec = with_payload(Octets(payload_of(answers[0]).begin(), payload_of(answers[0]).end()));
  rings_->arrive(spec);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(Verdict::drop_mode), 1U);
}

TEST_F(WorkerOnRings, GivesSignsOfLifeWithoutTrafficAndNotWithEveryPoll) {
  const std::uint64_t before = line_.heartbeat_tsc.load();
  const std::uint64_t start = rte_rdtsc();
  std::set<std::uint64_t> signs;
  while (rte_rdtsc() - start < rte_get_tsc_hz() / 100) {
    EXPECT_FALSE(worker_->serve_once());
    signs.insert(line_.heartbeat_tsc.load());
  }
  EXPECT_GT(line_.heartbeat_tsc.load(), before);
  const std::uint64_t passed_ms = (rte_rdtsc() - start) / (rte_get_tsc_hz() / 1000);
  EXPECT_LE(signs.size(), passed_ms + 2) << "one a millisecond, and the one that stood there";
}

}  // namespace
