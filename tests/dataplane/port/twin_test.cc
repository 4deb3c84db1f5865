// The kernel's share on rings: what goes to the twin and what does not, both ways, with bounds, counters and
// order. The twin as a real interface is tests/peers/twin_test.py.
#include "dataplane/port/twin.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <rte_cycles.h>
#include <rte_mempool.h>

#include "dataplane/worker.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_device.h"
#include "tests/support/ring_port.h"

namespace {

using dataplane::kernel_frames_per_house_max;
using dataplane::Port;
using dataplane::Worker;
using nts::Verdict;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::Octets;
using tests::RingDevice;

// So fast a counter that no housekeeping falls into a test but those it asks for.
constexpr std::uint64_t endless_hz = std::uint64_t{1} << 60;

Octets arp(std::uint8_t number = 0) {
  Octets frame(60, 0);
  std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
  std::copy(tests::client_mac.begin(), tests::client_mac.end(), frame.begin() + 6);
  frame[12] = 0x08;
  frame[13] = 0x06;
  frame[20] = number;  // so that order can be seen
  return frame;
}

class TwinOnRings : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::eal_trouble.empty()) GTEST_SKIP() << tests::eal_trouble;
    free_buffers_ = rte_mempool_avail_count(tests::shared_buffers().get());
    shm::Settings settings{};
    settings.revision = 1;
    settings.device_count = settings.core_count = 1;
    settings.ntp_port = 123;
    settings.answer_plain = settings.answer_nts = 1;
    settings.address_count = 2;
    settings.addresses[0] = tests::address_of(tests::server_ipv4);
    settings.addresses[1] = tests::address_of(tests::server_ipv6);
    settings_page_->settings.publish(settings);
    pages_.settings = settings_page_.get();
    current_.store(&pages_);
  }

  void TearDown() override {
    if (!tests::eal_trouble.empty()) return;
    for (std::size_t i = 0; i < workers_.size(); ++i) expect_conservation(i);
    workers_.clear();
    port_.reset();
    card_.reset();
    twin_.reset();
    EXPECT_EQ(rte_mempool_avail_count(tests::shared_buffers().get()), free_buffers_) << "I4: a buffer leaked";
  }

  void make(std::uint16_t queues = 1, unsigned card_frames = 1024, unsigned twin_frames = 1024) {
    card_ = std::make_unique<RingDevice>(queues, card_frames);
    twin_ = std::make_unique<RingDevice>(queues, twin_frames);
    port_ =
        std::make_unique<Port>(card_->port_id(), "card", queues, tests::shared_buffers(), twin_->port_id());
    for (std::uint16_t i = 0; i < queues; ++i) {
      workers_.push_back(std::make_unique<Worker>(dataplane::WorkerSetup{
          &tests::nettle_kernels(), &current_, &lines_[i], 7, i, endless_hz, {port_->queue(i)}}));
    }
  }

  // A frame for the card's own address.
  Octets to_card(FrameSpec spec) const {
    Octets frame = spec.build();
    port_->mac().store(frame.data());
    return frame;
  }
  Octets request() const {
    FrameSpec spec;
    spec.payload = tests::plain_request();
    return to_card(spec);
  }

  void serve(std::size_t worker = 0) {
    // The rings may still hold frames beyond the kernel's share: as often as surely empties the card.
    for (int i = 0; i < 64; ++i) workers_[worker]->serve_once();
    expect_conservation(worker);
  }

  // J15: received == answered + to the kernel + dropped, and what the kernel sends is in none of them.
  void expect_conservation(std::size_t worker) {
    const dataplane::Counters& counters = workers_[worker]->counters();
    EXPECT_EQ(counters.verdicts(), counters.received_packets) << "J15";
    std::uint64_t answered = 0;
    for (std::size_t i = 0; i < nts::verdict_count; ++i) {
      if (nts::is_answered(static_cast<Verdict>(i))) answered += counters.verdict[i];
    }
    EXPECT_EQ(answered, counters.sent_packets) << "J15";
  }

  std::uint64_t counted(FrameVerdict verdict, std::size_t worker = 0) const {
    return workers_[worker]->counters().frame[static_cast<std::size_t>(verdict)];
  }
  std::uint64_t counted(Verdict verdict) const {
    return workers_[0]->counters().verdict[static_cast<std::size_t>(verdict)];
  }

  std::unique_ptr<shm::SettingsPage> settings_page_ = std::make_unique<shm::SettingsPage>();
  dataplane::PageSet pages_;
  dataplane::CurrentPages current_;
  std::array<shm::CoreStats, 2> lines_{};
  std::unique_ptr<RingDevice> card_;
  std::unique_ptr<RingDevice> twin_;
  std::unique_ptr<Port> port_;
  std::vector<std::unique_ptr<Worker>> workers_;
  unsigned free_buffers_ = 0;
};

TEST_F(TwinOnRings, WhatIsNotOursGoesToTheKernelWholeAndInOrder) {
  make();
  FrameSpec tcp;
  tcp.protocol = 6;
  tcp.destination_port = 4460;
  FrameSpec other_port;
  other_port.destination_port = 53;
  FrameSpec fragment;
  fragment.fragment = 0x2000;
  FrameSpec icmp6;
  icmp6.is_ipv6 = true;
  icmp6.protocol = 58;
  FrameSpec extended;
  extended.is_ipv6 = true;
  extended.protocol = 0;  // hop-by-hop
  FrameSpec two_tags;
  two_tags.tags = {100, 200};
  FrameSpec elsewhere;
  elsewhere.destination = {192, 0, 2, 2};
  std::vector<Octets> frames = {arp()};
  for (const FrameSpec& spec : {tcp, other_port, fragment, icmp6, extended, two_tags, elsewhere}) {
    frames.push_back(to_card(spec));
  }
  Octets options = to_card(FrameSpec{});
  options[14] = 0x46;  // six words: IPv4 options
  frames.push_back(options);
  for (const Octets& frame : frames) card_->arrive(0, frame);
  serve();
  EXPECT_EQ(twin_->take(0), frames);
  EXPECT_EQ(counted(FrameVerdict::pass_kernel), frames.size());
  EXPECT_TRUE(card_->take(0).empty());
}

TEST_F(TwinOnRings, A18_TheHostsOwnClientGetsItsAnswerAndEveryOtherModeIsTheKernels) {
  make();
  std::vector<Octets> frames;
  for (const std::uint8_t mode : std::array<std::uint8_t, 6>{1, 2, 4, 5, 6, 7}) {
    FrameSpec spec;
    spec.source_port = 123;
    spec.payload = tests::plain_request(4, mode);
    frames.push_back(to_card(spec));
    card_->arrive(0, frames.back());
  }
  serve();
  EXPECT_EQ(twin_->take(0), frames);
  EXPECT_EQ(counted(FrameVerdict::pass_kernel), frames.size());
  EXPECT_EQ(counted(Verdict::drop_mode), 0U);
}

TEST_F(TwinOnRings, ABadRequestToOurPortIsDroppedAndNotTheKernelsToAnswer) {
  make();
  FrameSpec bad_checksum;
  bad_checksum.udp_checksum = 0x1234;
  FrameSpec no_source_port;
  no_source_port.source_port = 0;
  FrameSpec loopback;
  loopback.source = {127, 0, 0, 1};
  FrameSpec bad_length;
  bad_length.udp_length = 7;
  for (const FrameSpec& spec : {bad_checksum, no_source_port, loopback, bad_length}) {
    card_->arrive(0, to_card(spec));
  }
  Octets other_mac = request();
  other_mac[5] ^= 1;
  card_->arrive(0, other_mac);
  FrameSpec cut;
  cut.payload = tests::plain_request();
  cut.payload.resize(47);
  card_->arrive(0, to_card(cut));
  serve();
  EXPECT_TRUE(twin_->take(0).empty());
  EXPECT_EQ(counted(FrameVerdict::pass_kernel), 0U);
  EXPECT_EQ(counted(FrameVerdict::drop_udp_checksum), 1U);
  EXPECT_EQ(counted(FrameVerdict::drop_source_port), 1U);
  EXPECT_EQ(counted(FrameVerdict::drop_source_address), 1U);
  EXPECT_EQ(counted(FrameVerdict::drop_udp_length), 1U);
  EXPECT_EQ(counted(FrameVerdict::drop_mac), 1U);
  EXPECT_EQ(counted(Verdict::drop_short), 1U);
}

TEST_F(TwinOnRings, AFrameInSeveralBuffersGoesToTheKernelWhole) {
  make();
  const Octets whole = arp();
  rte_mbuf* head = tests::make_mbuf(Octets(whole.begin(), whole.begin() + 20));
  rte_mbuf* rest = tests::make_mbuf(Octets(whole.begin() + 20, whole.end()));
  ASSERT_EQ(rte_pktmbuf_chain(head, rest), 0);
  card_->arrive(0, head);
  serve();
  EXPECT_EQ(twin_->take(0), std::vector<Octets>{whole});
  EXPECT_EQ(counted(FrameVerdict::pass_kernel), 1U);
}

TEST_F(TwinOnRings, NoFlagOfTheReceivedFrameIsTakenForAnOrderToTheTwin) {
  make();
  rte_mbuf* mbuf = tests::make_mbuf(arp());
  mbuf->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_TX_TCP_SEG;
  card_->arrive(0, mbuf);
  serve();
  rte_mbuf* given = twin_->take_mbuf(0);
  ASSERT_NE(given, nullptr);
  EXPECT_EQ(given->ol_flags, 0U);
  rte_pktmbuf_free(given);
}

TEST_F(TwinOnRings, TheKernelGetsItsShareAndRequestsBehindAFloodAreAllAnswered) {
  make();
  for (int i = 0; i < 400; ++i) card_->arrive(0, arp());
  for (int i = 0; i < 40; ++i) card_->arrive(0, request());
  serve();
  EXPECT_EQ(twin_->take(0).size(), kernel_frames_per_house_max);
  EXPECT_EQ(counted(FrameVerdict::pass_kernel), kernel_frames_per_house_max);
  EXPECT_EQ(counted(FrameVerdict::drop_kernel_full), 400U - kernel_frames_per_house_max);
  EXPECT_EQ(counted(Verdict::answer_plain), 40U);
  EXPECT_EQ(card_->take(0).size(), 40U);

  workers_[0]->keep_house(rte_rdtsc());
  for (int i = 0; i < kernel_frames_per_house_max; ++i) card_->arrive(0, arp());
  serve();
  EXPECT_EQ(twin_->take(0).size(), kernel_frames_per_house_max) << "the next millisecond has a share again";
  EXPECT_EQ(counted(FrameVerdict::drop_kernel_full), 400U - kernel_frames_per_house_max);
}

TEST_F(TwinOnRings, WhatAFullTwinDoesNotTakeIsCountedAndFreed) {
  make(1, 1024, 64);
  for (std::uint8_t i = 0; i < 100; ++i) card_->arrive(0, arp(i));
  serve();
  const std::vector<Octets> given = twin_->take(0);
  ASSERT_EQ(given.size(), 63U);
  for (std::uint8_t i = 0; i < 63; ++i) EXPECT_EQ(given[i], arp(i)) << "the first ones, in order";
  EXPECT_EQ(counted(FrameVerdict::pass_kernel), 63U);
  EXPECT_EQ(counted(FrameVerdict::drop_kernel_full), 37U);
}

TEST_F(TwinOnRings, AFrameLongerThanTheTwinsMtuIsDroppedAndDoesNotHoldUpTheNext) {
  make();
  constexpr std::size_t frame_bytes_max = 1500 + 14 + 8;
  Octets longest = arp();
  longest.resize(frame_bytes_max);
  Octets too_long = arp();
  too_long.resize(frame_bytes_max + 1);
  for (const Octets& frame : {too_long, longest, arp(1)}) card_->arrive(0, frame);
  serve();
  EXPECT_EQ(twin_->take(0), (std::vector<Octets>{longest, arp(1)}));
  EXPECT_EQ(counted(FrameVerdict::drop_kernel_full), 1U);
}

TEST_F(TwinOnRings, TheKernelsFramesGoOutOnTheCardAsTheyAreAndCountForThemselves) {
  make();
  std::vector<Octets> frames;
  for (std::uint8_t i = 0; i < 70; ++i) frames.push_back(arp(i));
  for (const Octets& frame : frames) twin_->arrive(0, frame);
  card_->arrive(0, request());
  serve();
  std::vector<Octets> sent = card_->take(0);
  ASSERT_EQ(sent.size(), 71U);
  sent.erase(
      std::find_if(sent.begin(), sent.end(), [](const Octets& one) { return one[12] == 8 && one[13] == 0; }));
  EXPECT_EQ(sent, frames);
  const dataplane::Counters& counters = workers_[0]->counters();
  EXPECT_EQ(counters.kernel_sent_packets, 70U);
  EXPECT_EQ(counters.kernel_sent_octets, 70U * 60U);
  EXPECT_EQ(counters.kernel_unsent_packets, 0U);
  EXPECT_EQ(counters.received_packets, 1U) << "none of these was received";
  EXPECT_EQ(counters.sent_packets, 1U) << "nor is any an answer";
  workers_[0]->keep_house(rte_rdtsc());
  EXPECT_EQ(lines_[0].kernel_sent_packets.load(), 70U) << "and the page tells";
  EXPECT_EQ(lines_[0].kernel_sent_octets.load(), 70U * 60U);
}

TEST_F(TwinOnRings, BeyondItsShareTheKernelsFramesWaitInItsOwnQueue) {
  make();
  for (int i = 0; i < 200; ++i) twin_->arrive(0, arp());
  serve();
  EXPECT_EQ(card_->take(0).size(), kernel_frames_per_house_max);
  EXPECT_EQ(twin_->waiting(0), 200U - kernel_frames_per_house_max);
  EXPECT_EQ(workers_[0]->counters().kernel_unsent_packets, 0U);
  workers_[0]->keep_house(rte_rdtsc());
  serve();
  EXPECT_EQ(card_->take(0).size(), 200U - kernel_frames_per_house_max);
}

TEST_F(TwinOnRings, ALongOrScatteredFrameOfTheKernelsAndOneWithoutRoomAreCountedAndFreed) {
  make(1, 32);
  Octets too_long = arp();
  too_long.resize(1500 + 14 + 8 + 1);
  twin_->arrive(0, too_long);
  rte_mbuf* head = tests::make_mbuf(arp());
  ASSERT_EQ(rte_pktmbuf_chain(head, tests::make_mbuf(Octets(10, 1))), 0);
  twin_->arrive(0, head);
  for (std::uint8_t i = 0; i < 40; ++i) twin_->arrive(0, arp(i));
  serve();
  EXPECT_EQ(card_->take(0).size(), 31U);
  EXPECT_EQ(workers_[0]->counters().kernel_sent_packets, 31U);
  EXPECT_EQ(workers_[0]->counters().kernel_sent_octets, 31U * 60U);
  EXPECT_EQ(workers_[0]->counters().kernel_unsent_packets, 2U + 9U);
}

TEST_F(TwinOnRings, EachWorkerHasItsOwnQueueOfTheTwin) {
  make(2);
  ASSERT_EQ(port_->queue_count(), 2);
  card_->arrive(0, arp(10));
  card_->arrive(1, arp(11));
  twin_->arrive(0, arp(20));
  twin_->arrive(1, arp(21));
  serve(1);
  EXPECT_TRUE(twin_->take(0).empty()) << "worker 0 has not looked yet";
  EXPECT_TRUE(card_->take(0).empty());
  EXPECT_EQ(twin_->take(1), std::vector<Octets>{arp(11)});
  EXPECT_EQ(card_->take(1), std::vector<Octets>{arp(21)});
  serve(0);
  EXPECT_EQ(twin_->take(0), std::vector<Octets>{arp(10)});
  EXPECT_EQ(card_->take(0), std::vector<Octets>{arp(20)});
  EXPECT_EQ(counted(FrameVerdict::pass_kernel, 0), 1U);
  EXPECT_EQ(counted(FrameVerdict::pass_kernel, 1), 1U);
}

// One core, and both queues of the twin: each keeps the share it had, and a flood on one is not the other's.
TEST_F(TwinOnRings, TheKernelsShareGoesWithTheQueuesOfADrainedCore) {
  make(2);
  workers_.clear();
  std::vector<dataplane::Share> shares(2);
  for (std::uint16_t i = 0; i < 2; ++i) shares[i] = {{port_->queue(i)}, {0}};
  dataplane::Duties duties(std::move(shares));
  for (std::uint32_t i = 0; i < 2; ++i) {
    workers_.push_back(std::make_unique<Worker>(dataplane::WorkerSetup{.tier = &tests::nettle_kernels(),
                                                                       .pages = &current_,
                                                                       .line = &lines_[i],
                                                                       .instance_id = 7,
                                                                       .cpu = i,
                                                                       .tsc_hz = endless_hz,
                                                                       .queues = {},
                                                                       .duties = &duties,
                                                                       .number = i}));
  }
  for (int look = 0; look < 3; ++look) {
    duties.follow(0b10);
    for (auto& worker : workers_) worker->serve_once();
  }
  ASSERT_TRUE(duties.holds(0, 1));
  workers_[0]->keep_house(rte_rdtsc());
  for (int i = 0; i < 400; ++i) card_->arrive(0, arp());
  for (int i = 0; i < kernel_frames_per_house_max; ++i) {
    card_->arrive(1, arp());
    twin_->arrive(1, arp());
  }
  for (int i = 0; i < 200; ++i) twin_->arrive(0, arp());
  serve();
  EXPECT_EQ(twin_->take(0).size(), kernel_frames_per_house_max);
  EXPECT_EQ(twin_->take(1).size(), kernel_frames_per_house_max);
  EXPECT_EQ(card_->take(0).size(), kernel_frames_per_house_max);
  EXPECT_EQ(card_->take(1).size(), kernel_frames_per_house_max);
  EXPECT_EQ(counted(FrameVerdict::drop_kernel_full), 400U - kernel_frames_per_house_max);
}

TEST_F(TwinOnRings, TheReportNamesTheTwin) {
  make();
  EXPECT_STREQ(port_->report().twin, "card-twin");
  EXPECT_NE(port_->description().find("card-twin"), std::string::npos);
}

}  // namespace
