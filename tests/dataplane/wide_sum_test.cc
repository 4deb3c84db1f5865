#include "dataplane/wide_sum.h"

#include <cctype>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "dataplane/checksum.h"
#include "dataplane/frame.h"

namespace dataplane {
namespace {

// RFC 1071 as it is written: 16 bits at a time in network order, carries brought around, odd octets padded.
std::uint16_t sum_as_written(const std::vector<std::uint8_t>& octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    sum += static_cast<std::uint32_t>(octets[i]) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

// 0xffff and 0 are the same number.
std::uint16_t zero_as_one(std::uint16_t sum) { return sum == 0xffff ? 0 : sum; }

std::uint16_t folded_in_network_order(std::uint64_t sum) { return __builtin_bswap16(fold(sum)); }

class WideSum : public testing::TestWithParam<WideSumTier> {
 protected:
  void SetUp() override {
    if (!GetParam().cpu_can_run()) GTEST_SKIP() << "this CPU lacks what " << GetParam().name << " needs";
  }
};

// Each string has a heap block of its own, so that ASan sees an octet read beyond either end.
TEST_P(WideSum, AgreesWithTheRfcAtEveryLength) {
  std::mt19937 random(1071);
  for (std::size_t bytes = 0; bytes <= request_bytes_max + std::size_t{8}; ++bytes) {
    std::vector<std::uint8_t> octets(bytes);
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(random());
    ASSERT_EQ(zero_as_one(folded_in_network_order(GetParam().sum(octets.data(), bytes))),
              zero_as_one(sum_as_written(octets)))
        << bytes << " octets";
  }
}

// The most that carries can come to.
TEST_P(WideSum, NoCarryIsLostWhenEveryBitIsSet) {
  const std::vector<std::uint8_t> octets(wide_octets_max, 0xff);
  for (std::size_t bytes = 2; bytes <= octets.size(); bytes += 62) {
    ASSERT_EQ(fold(GetParam().sum(octets.data() + octets.size() - bytes, bytes)), 0xffff)
        << bytes << " octets";
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTier, WideSum,
                         testing::ValuesIn(wide_sum_tiers().begin(), wide_sum_tiers().end()),
                         [](const auto& tier) {
                           std::string name = tier.param.name;
                           std::erase_if(name, [](unsigned char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

TEST(WideSumChoice, TheLastWayRunsOnAnyCpuAndTheChosenOneOnThis) {
  EXPECT_TRUE(wide_sum_tiers().back().cpu_can_run());
  for (const WideSumTier& tier : wide_sum_tiers()) {
    if (!tier.cpu_can_run()) continue;
    EXPECT_EQ(sum_wide, tier.sum);  // the first of them
    break;
  }
}

}  // namespace
}  // namespace dataplane
