// A queue's view of one buffer, and the buffers themselves.
#include "dataplane/port/port.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rte_eal.h>

#include "tests/support/ring_port.h"

namespace {

using dataplane::ReceivedChecksum;

ReceivedChecksum seen(std::uint64_t flags, bool unfinished_checksums) {
  dataplane::PortCapabilities capabilities;
  capabilities.unfinished_checksums = unfinished_checksums;
  rte_mbuf mbuf{};
  mbuf.ol_flags = flags;
  return dataplane::Queue(0, 0, {}, capabilities).received_checksum(&mbuf);
}

TEST(Queue, A27_EachOfTheDevicesFourWordsOnAChecksumMeansWhatDpdkSays) {
  EXPECT_EQ(seen(RTE_MBUF_F_RX_L4_CKSUM_GOOD, false), ReceivedChecksum::good);
  EXPECT_EQ(seen(RTE_MBUF_F_RX_L4_CKSUM_BAD, false), ReceivedChecksum::bad);
  EXPECT_EQ(seen(RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, false), ReceivedChecksum::unknown);
  EXPECT_EQ(seen(RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, true), ReceivedChecksum::unknown_or_unfinished);
  // "Not correct in the packet data, but the integrity of the data is verified": virtio, from guest to guest.
  EXPECT_EQ(seen(RTE_MBUF_F_RX_L4_CKSUM_NONE, false), ReceivedChecksum::good);
  EXPECT_EQ(seen(RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_VLAN, false), ReceivedChecksum::unknown)
      << "no other flag speaks of it";
}

// A device that reads memory by IOVA finds each frame where we wrote it, and the frames do not overlap.
TEST(BufferPool, EveryBufferHasItsOwnOctetsAndTheirTrueIova) {
  if (!tests::eal_trouble.empty()) GTEST_SKIP() << tests::eal_trouble;
  if (rte_eal_iova_mode() != RTE_IOVA_VA) GTEST_SKIP() << "IOVAs are physical here";
  std::vector<rte_mbuf*> mbufs(512);
  ASSERT_EQ(rte_pktmbuf_alloc_bulk(tests::shared_buffers().get(), mbufs.data(), 512), 0);
  std::vector<std::uintptr_t> starts;
  for (const rte_mbuf* mbuf : mbufs) {
    const auto address = reinterpret_cast<std::uintptr_t>(mbuf->buf_addr);
    EXPECT_EQ(rte_mbuf_iova_get(mbuf), address);
    EXPECT_GE(mbuf->buf_len, RTE_PKTMBUF_HEADROOM + 2048U);
    starts.push_back(address);
  }
  std::sort(starts.begin(), starts.end());
  for (std::size_t i = 1; i < starts.size(); ++i) {
    EXPECT_GE(starts[i] - starts[i - 1], mbufs[0]->buf_len + sizeof(rte_mbuf));
  }
  rte_pktmbuf_free_bulk(mbufs.data(), 512);
}

TEST(ParseDevice, TakesKindAndNameAndRefusesTheRestWithAWayOut) {
  const dataplane::DeviceName name = dataplane::parse_device("vdev:net_null0,size=64");
  EXPECT_EQ(name.kind, "vdev");
  EXPECT_EQ(name.rest, "net_null0,size=64");
  for (const char* text : {"", "eth0", "af_packet:", ":eth0", "af_xdp:", "pci:", "tap:x"}) {
    EXPECT_THROW(static_cast<void>(dataplane::parse_device(text)), dataplane::PortError) << text;
  }
}

}  // namespace
