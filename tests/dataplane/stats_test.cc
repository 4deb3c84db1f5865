// Counters as the page shows them.
#include "dataplane/stats.h"

#include <gtest/gtest.h>

namespace {

using dataplane::Counters;

TEST(Counters, J14_TheyGoOnBeyond32Bits) {
  Counters counters;
  counters.received_packets = counters.received_octets = counters.sent_packets = counters.sent_octets =
      counters.bursts = counters.cookies_issued = 0xffffffff;
  counters.verdict.fill(0xffffffff);
  counters.frame.fill(0xffffffff);
  ++counters.received_packets;
  counters.count(nts::Verdict::answer_plain);
  counters.count(shm::FrameVerdict::pass_other);
  shm::CoreStats line{};
  dataplane::commit(counters, 3, 99, line);
  EXPECT_EQ(line.received_packets.load(), 0x1'0000'0000U);
  EXPECT_EQ(line.verdict[0].load(), 0x1'0000'0000U);
  EXPECT_EQ(line.frame[0].load(), 0x1'0000'0000U);
  EXPECT_EQ(line.sent_octets.load(), 0xffffffffU);
  EXPECT_EQ(line.acknowledged_keys.load(), 3U);
  EXPECT_EQ(line.heartbeat_tsc.load(), 99U);
}

TEST(Counters, J15_EveryVerdictHasACounterANameAndAPlaceInTheSum) {
  Counters counters;
  for (std::size_t i = 0; i < nts::verdict_count; ++i) {
    counters.count(static_cast<nts::Verdict>(i));
    EXPECT_EQ(counters.verdict[i], 1U);
    EXPECT_FALSE(nts::verdict_names[i].empty()) << i;
  }
  for (std::size_t i = 0; i < shm::frame_verdict_count; ++i) {
    counters.count(static_cast<shm::FrameVerdict>(i));
    EXPECT_EQ(counters.frame[i], 1U);
    EXPECT_FALSE(shm::frame_verdict_names[i].empty()) << i;
  }
  EXPECT_EQ(counters.verdicts(), nts::verdict_count + shm::frame_verdict_count);
}

TEST(StatsLine, AClaimedLineHoldsNothingOfTheProcessBefore) {
  shm::CoreStats line{};
  Counters counters;
  counters.verdict.fill(5);
  counters.received_packets = 7;
  dataplane::commit(counters, 12, 34, line);
  dataplane::claim(line, 0x77, 3);
  EXPECT_EQ(line.instance_id.load(), 0x77U);
  EXPECT_EQ(line.cpu.load(), 3U);
  EXPECT_EQ(line.acknowledged_keys.load(), 0U);
  EXPECT_EQ(line.received_packets.load(), 0U);
  for (const auto& cell : line.verdict) EXPECT_EQ(cell.load(), 0U);
}

}  // namespace
