// Buffers as drivers may hand them over, right and wrong (A27, A30, A32, A33): on a ring port, where a test
// makes the mbufs itself.
#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <rte_malloc.h>

#include "tests/support/served_worker.h"

namespace {

using nts::Verdict;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::Octets;

using WorkerBuffers = tests::ServedWorker;

constexpr std::uint8_t untouched = 0xa5;

Octets part(const Octets& octets, std::size_t from, std::size_t to) {
  return {octets.begin() + static_cast<std::ptrdiff_t>(from),
          octets.begin() + static_cast<std::ptrdiff_t>(to)};
}

// The whole buffer behind an mbuf, headroom and tailroom too.
std::span<std::uint8_t> buffer_of(rte_mbuf* mbuf) {
  return {static_cast<std::uint8_t*>(mbuf->buf_addr), mbuf->buf_len};
}

// `frame` at `offset` of an mbuf's buffer, `untouched` all around.
rte_mbuf* placed(const tests::RingPort& rings, const Octets& frame, std::size_t offset) {
  rte_mbuf* mbuf = rings.make_mbuf({});
  const std::span<std::uint8_t> buffer = buffer_of(mbuf);
  std::fill(buffer.begin(), buffer.end(), untouched);
  std::copy(frame.begin(), frame.end(), buffer.begin() + static_cast<std::ptrdiff_t>(offset));
  mbuf->data_off = static_cast<std::uint16_t>(offset);
  mbuf->data_len = static_cast<std::uint16_t>(frame.size());
  mbuf->pkt_len = mbuf->data_len;
  return mbuf;
}

// The answer without what changes from one to the next: reference, receive and transmit times, the checksum
// over them.
Octets timeless(Octets answer) {
  const std::size_t payload = 14 + 20 + 8;
  std::fill(answer.begin() + payload - 2, answer.begin() + payload, 0);
  for (const std::ptrdiff_t time : {16, 32, 40}) {
    std::fill_n(answer.begin() + static_cast<std::ptrdiff_t>(payload) + time, 8, 0);
  }
  return answer;
}

TEST_F(WorkerBuffers, A30_AFrameInTwoToSixteenPiecesIsDroppedWhereverItIsCut) {
  FrameSpec ipv6 = request();
  ipv6.is_ipv6 = true;
  std::uint64_t arrived = 0;
  for (const Octets& frame : {request().build(), ipv6.build(), request(tests::nts_request(1)).build()}) {
    for (std::size_t pieces = 2; pieces <= 16; ++pieces) {
      rte_mbuf* head = nullptr;
      for (std::size_t i = 0; i < pieces; ++i) {
        const std::size_t from = frame.size() * i / pieces;
        rte_mbuf* piece = rings_->make_mbuf(part(frame, from, frame.size() * (i + 1) / pieces));
        if (head == nullptr) {
          head = piece;
        } else {
          ASSERT_EQ(rte_pktmbuf_chain(head, piece), 0);
        }
      }
      rings_->arrive(head);
      EXPECT_TRUE(serve().empty()) << pieces;
      ++arrived;
    }
    for (std::size_t at = 0; at <= frame.size(); ++at) {  // 0 and all: an empty piece in front or behind
      rte_mbuf* head = rings_->make_mbuf(part(frame, 0, at));
      ASSERT_EQ(rte_pktmbuf_chain(head, rings_->make_mbuf(part(frame, at, frame.size()))), 0);
      rings_->arrive(head);
      ++arrived;
    }
    EXPECT_TRUE(serve().empty());
  }
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), arrived);
  expect_serves();
}

TEST_F(WorkerBuffers, A30_ALengthThatIsNotTheSumOfThePiecesIsDropped) {
  for (const int lie : {-90, -1, 1, 1000, 100'000}) {
    rte_mbuf* mbuf = rings_->make_mbuf(request().build());
    mbuf->pkt_len = static_cast<std::uint32_t>(static_cast<int>(mbuf->pkt_len) + lie);
    rings_->arrive(mbuf);
  }
  // A single piece that says it is not alone.
  rte_mbuf* not_alone = rings_->make_mbuf(request().build());
  rte_mbuf* empty = rings_->make_mbuf({});
  ASSERT_EQ(rte_pktmbuf_chain(not_alone, empty), 0);
  rings_->arrive(not_alone);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), 6U);
  expect_serves();
}

TEST_F(WorkerBuffers, A30_AnEmptyFrameIsTruncated) {
  rings_->arrive(rings_->make_mbuf({}));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_truncated), 1U);
  expect_serves();
}

TEST_F(WorkerBuffers, A32_WithoutHeadroomOrTailroomTheAnswerIsTheSameAndNothingAroundItIsTouched) {
  const Octets frame = request().build();
  rings_->arrive(rings_->make_mbuf(frame));
  const std::vector<Octets> usual = serve();
  ASSERT_EQ(usual.size(), 1U);
  const std::size_t room = rte_pktmbuf_data_room_size(tests::shared_buffers().get());
  for (const std::size_t offset : {std::size_t{0}, std::size_t{1}, std::size_t{RTE_PKTMBUF_HEADROOM},
                                   room - frame.size() - 1, room - frame.size()}) {
    rte_mbuf* mbuf = placed(*rings_, frame, offset);
    rte_mbuf* kept = mbuf;  // the ring gives it back to the pool, whose memory stays
    rings_->arrive(mbuf);
    while (worker_->serve_once()) {
    }
    const std::span<std::uint8_t> buffer = buffer_of(kept);
    const auto is_untouched = [](std::uint8_t octet) { return octet == untouched; };
    EXPECT_TRUE(
        std::all_of(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(offset), is_untouched));
    EXPECT_TRUE(std::all_of(buffer.begin() + static_cast<std::ptrdiff_t>(offset + frame.size()), buffer.end(),
                            is_untouched));
    const std::vector<Octets> answers = rings_->take_transmitted();
    ASSERT_EQ(answers.size(), 1U) << offset;
    EXPECT_EQ(timeless(answers[0]), timeless(usual[0])) << offset;
  }
}

TEST_F(WorkerBuffers, A32_AnOctetBehindTheFrameNeverGetsIntoAnAnswer) {
  // What an earlier frame left in the buffer: an I7 of its own.
  const Octets frame = request().build();
  std::vector<Octets> answers;
  for (const int stale : {0x00, 0xff}) {
    rte_mbuf* mbuf = placed(*rings_, frame, RTE_PKTMBUF_HEADROOM);
    const std::span<std::uint8_t> buffer = buffer_of(mbuf);
    std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(RTE_PKTMBUF_HEADROOM + frame.size()), buffer.end(),
              static_cast<std::uint8_t>(stale));
    rings_->arrive(mbuf);
    for (Octets& answer : serve()) answers.push_back(timeless(answer));
  }
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(WorkerBuffers, A32_ABufferThatSomebodyElseHoldsIsDroppedAndTheirOctetsStay) {
  const Octets frame = request(tests::nts_request(2)).build();
  rte_mbuf* shared = rings_->make_mbuf(frame);
  rte_mbuf_refcnt_set(shared, 2);
  rings_->arrive(shared);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(rte_mbuf_refcnt_read(shared), 1) << "our share was given back, theirs is left";
  const auto* octets = rte_pktmbuf_mtod(shared, const std::uint8_t*);
  EXPECT_TRUE(std::equal(frame.begin(), frame.end(), octets));
  rings_->arrive(shared);  // alone now
  EXPECT_EQ(serve().size(), 1U);
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), 1U);
}

TEST_F(WorkerBuffers, A32_AnIndirectBufferIsDroppedAndItsOwnersOctetsStay) {
  const Octets frame = request(tests::nts_request(2)).build();
  rte_mbuf* owner = rings_->make_mbuf(frame);
  rte_mbuf* clone = rte_pktmbuf_clone(owner, tests::shared_buffers().get());
  ASSERT_NE(clone, nullptr);
  rings_->arrive(clone);
  EXPECT_TRUE(serve().empty());
  EXPECT_TRUE(std::equal(frame.begin(), frame.end(), rte_pktmbuf_mtod(owner, const std::uint8_t*)));
  rings_->arrive(owner);  // the clone is gone, so it is alone again
  EXPECT_EQ(serve().size(), 1U);
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), 1U);
}

TEST_F(WorkerBuffers, A32_ABufferOfForeignMemoryIsDroppedAndFreedByItsOwner) {
  static int freed = 0;
  const Octets frame = request().build();
  constexpr std::uint16_t room = 1024;
  void* memory = rte_malloc(nullptr, room, RTE_CACHE_LINE_SIZE);
  ASSERT_NE(memory, nullptr);
  std::uint16_t usable = room;
  rte_mbuf_ext_shared_info* info = rte_pktmbuf_ext_shinfo_init_helper(
      memory, &usable,
      [](void* address, void*) {
        rte_free(address);
        ++freed;
      },
      nullptr);
  ASSERT_NE(info, nullptr);
  rte_mbuf* mbuf = rings_->make_mbuf({});
  rte_pktmbuf_attach_extbuf(mbuf, memory, rte_malloc_virt2iova(memory), usable, info);
  std::copy(frame.begin(), frame.end(), static_cast<std::uint8_t*>(memory));
  mbuf->data_off = 0;
  mbuf->data_len = static_cast<std::uint16_t>(frame.size());
  mbuf->pkt_len = mbuf->data_len;
  rings_->arrive(mbuf);
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(counted(FrameVerdict::drop_segmented), 1U);
  EXPECT_EQ(freed, 1);
  expect_serves();
}

// Takes every free buffer of the tests' pool for as long as it lives.
class Exhaustion {
 public:
  Exhaustion() {
    while (rte_mbuf* mbuf = rte_pktmbuf_alloc(tests::shared_buffers().get())) taken_.push_back(mbuf);
  }
  ~Exhaustion() { give_back(); }
  Exhaustion(const Exhaustion&) = delete;
  Exhaustion& operator=(const Exhaustion&) = delete;
  void give_back() {
    for (rte_mbuf* mbuf : taken_) rte_pktmbuf_free(mbuf);
    taken_.clear();
  }

 private:
  std::deque<rte_mbuf*> taken_;
};

TEST_F(WorkerBuffers, A33_WithThePoolExhaustedWhatHasArrivedIsAnsweredInItsOwnBuffer) {
  for (int i = 0; i < 40; ++i)
    rings_->arrive(request(i % 2 == 0 ? tests::plain_request() : tests::nts_request()));
  const Exhaustion nothing_left;
  ASSERT_EQ(rte_pktmbuf_alloc(tests::shared_buffers().get()), nullptr);
  EXPECT_EQ(serve().size(), 40U);
}

TEST_F(WorkerBuffers, A33_APortThatFindsNoBufferGivesNothingAndGoesOnOnceThereAreSome) {
  worker_.reset();
  const dataplane::Port null_port("vdev:net_null0,size=64", 1, 1, tests::shared_buffers());
  make_worker({null_port.queue(0)});
  ASSERT_TRUE(worker_->serve_once()) << "it makes frames of whatever its buffers hold";
  const std::uint64_t before = worker_->counters().received_packets;
  {
    const Exhaustion nothing_left;
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(worker_->serve_once());
    EXPECT_EQ(worker_->counters().received_packets, before);
  }
  EXPECT_TRUE(worker_->serve_once());
  EXPECT_GT(worker_->counters().received_packets, before);
  expect_conservation();
  worker_.reset();
  make_worker(rings_->queues());
}

// Ten seconds at a thousand requests a second, without waiting for them.
TEST_F(WorkerBuffers, A33_WhileTheTransmitRingStaysFullEverythingIsTakenInAndCountedAndThenAnsweredAgain) {
  use_port(8);  // room for seven
  for (int i = 0; i < 7; ++i) rings_->arrive(request());
  while (worker_->serve_once()) {
  }
  constexpr std::uint64_t lost = 10'000;
  for (std::uint64_t i = 0; i < lost; ++i) {
    rings_->arrive(request(i % 3 == 0 ? tests::nts_request() : tests::plain_request()));
    if (i % 50 == 49) {
      while (worker_->serve_once()) {
      }
    }
  }
  while (worker_->serve_once()) {
  }
  EXPECT_EQ(counted(FrameVerdict::drop_transmit_full), lost);
  EXPECT_EQ(worker_->counters().sent_packets, 7U);
  EXPECT_EQ(worker_->counters().cookies_issued, 0U) << "a cookie that did not leave was not issued";
  expect_conservation();
  EXPECT_EQ(rings_->take_transmitted().size(), 7U);
  for (int i = 0; i < 3; ++i) expect_serves();
}

TEST_F(WorkerBuffers, A27_TheDevicesWordOnAUdpChecksumIsTakenAsItIsMeant) {
  struct Case {
    std::uint64_t flag;
    bool is_right;
    bool is_answered;
  };
  const Case cases[] = {
      {RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, true, true},
      {RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false, false},  // verified in software
      {RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, true},
      {RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, true},  // the device has seen more than we have
      {RTE_MBUF_F_RX_L4_CKSUM_BAD, true, false},
      {RTE_MBUF_F_RX_L4_CKSUM_BAD, false, false},
      {RTE_MBUF_F_RX_L4_CKSUM_NONE, true, true},
      {RTE_MBUF_F_RX_L4_CKSUM_NONE, false, true},  // "not in the packet, but the data is verified"
  };
  std::uint64_t dropped = 0;
  for (const Case& one : cases) {
    for (const bool is_ipv6 : {false, true}) {
      FrameSpec spec = request();
      spec.is_ipv6 = is_ipv6;
      if (!one.is_right) spec.udp_checksum = 0x1234;
      rte_mbuf* mbuf = rings_->make_mbuf(spec.build());
      mbuf->ol_flags |= one.flag;
      rings_->arrive(mbuf);
      const std::vector<Octets> answers = serve();
      EXPECT_EQ(answers.size(), one.is_answered ? 1U : 0U) << one.flag << ' ' << one.is_right;
      for (const Octets& answer : answers) EXPECT_TRUE(tests::is_sound(answer)) << "whatever the flag said";
      dropped += one.is_answered ? 0 : 1;
    }
  }
  EXPECT_EQ(counted(FrameVerdict::drop_udp_checksum), dropped);
  expect_serves();
}

TEST_F(WorkerBuffers, A12_TheIpv4HeaderIsSummedUpHereWhateverTheDeviceSays) {
  for (const std::uint64_t flag :
       std::initializer_list<std::uint64_t>{RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, RTE_MBUF_F_RX_IP_CKSUM_GOOD,
                                            RTE_MBUF_F_RX_IP_CKSUM_BAD, RTE_MBUF_F_RX_IP_CKSUM_NONE}) {
    for (const bool is_right : {true, false}) {
      FrameSpec spec = request();
      if (!is_right) spec.ipv4_checksum = 0x1234;
      rte_mbuf* mbuf = rings_->make_mbuf(spec.build());
      mbuf->ol_flags |= flag;
      rings_->arrive(mbuf);
      EXPECT_EQ(serve().size(), is_right ? 1U : 0U) << flag;
    }
  }
  EXPECT_EQ(counted(FrameVerdict::drop_ipv4_checksum), 4U);
}

TEST_F(WorkerBuffers, A04_ATagInTheFrameCountsAndNotWhatTheDriverSaysOfOne) {
  for (const std::uint64_t flags : {std::uint64_t{0}, std::uint64_t{RTE_MBUF_F_RX_VLAN}}) {
    FrameSpec spec = request();
    spec.tags = {0x2064};
    rte_mbuf* mbuf = rings_->make_mbuf(spec.build());
    mbuf->ol_flags |= flags;  // af_packet puts the tag back into the frame and leaves the flag
    mbuf->vlan_tci = 0x0999;
    rings_->arrive(mbuf);
    const std::vector<Octets> answers = serve();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0][14] << 8 | answers[0][15], 0x2064);
    EXPECT_TRUE(tests::is_sound(answers[0], 18));
  }
}

}  // namespace
