#include "bench/load/latency.h"

#include <cstdint>
#include <gtest/gtest.h>

namespace bench::load {
namespace {

TEST(LoadLatencies, PercentilesAreRightToASixtyFourth) {
  Latencies latencies;
  for (std::uint64_t ticks = 1; ticks <= 100'000; ++ticks) latencies.add(ticks);
  for (const double share : {0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<std::uint64_t>(share * 100'000);
    EXPECT_GE(latencies.percentile(share), exact);
    EXPECT_LE(latencies.percentile(share), exact + exact / 64 + 1);
  }
  EXPECT_EQ(latencies.percentile(1), 100'000U);
  EXPECT_EQ(latencies.max(), 100'000U);
  latencies.add(~std::uint64_t{0});
  EXPECT_EQ(latencies.percentile(1), ~std::uint64_t{0});
  EXPECT_EQ(Latencies{}.percentile(0.5), 0U);
}

}  // namespace
}  // namespace bench::load
