// One server's samples: which one speaks, and how far it may be off. Figures by hand after RFC 5905
// section 10.

#include "hwclock/upstream_filter.h"

#include <gtest/gtest.h>

namespace hwclock {
namespace {

constexpr std::int64_t s = 1'000'000'000;
constexpr std::int64_t ms = 1'000'000;

UpstreamSample sample(std::int64_t at_s, std::int64_t offset_ns, std::int64_t delay_ns) {
  return {.at_ns = at_s * s,
          .offset_ns = offset_ns,
          .delay_ns = delay_ns,
          .precision_ns = 1000,
          .root_delay_ns = 4 * ms,
          .root_dispersion_ns = 2 * ms};
}

TEST(UpstreamFilter, OneSampleIsAlmostHalfOfMaxdispInDoubt) {
  UpstreamFilter filter;
  EXPECT_FALSE(filter.estimate().has_value());
  ASSERT_TRUE(filter.take(sample(100, 5 * ms, 20 * ms)));
  // Precision 1000 ns and 15 ppm of 20 ms (300 ns), halved; 16 s in the seven empty stages: 16 (1/4 + .. +
  // 1/256).
  EXPECT_EQ(filter.estimate()->dispersion_ns, 650U + 7'937'500'000U);
  EXPECT_EQ(filter.estimate()->offset_ns, 5 * ms);
  EXPECT_EQ(filter.estimate()->jitter_ns, 1000U);
}

TEST(UpstreamFilter, EightEqualSamplesLeaveTheirAgeAndPrecision) {
  UpstreamFilter filter;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(filter.take(sample(100 + 64 * i, 5 * ms, 20 * ms)));
  // Of equals the newest comes first; each is 1300 ns and 64 s of 15 ppm (960 us) per step back, halved once
  // more a step: 1300 (1 - 1/256) + 960000 (1/4 + 2/8 + 3/16 + .. + 7/256) = 1294 + 926250, each term cut to
  // whole ns.
  EXPECT_NEAR(static_cast<double>(filter.estimate()->dispersion_ns), 1294.9 + 926'250.0, 8.0);
}

TEST(UpstreamFilter, TheShortestRoundTripSpeaksAndTheOthersAreItsJitter) {
  UpstreamFilter filter;
  ASSERT_TRUE(filter.take(sample(100, 9 * ms, 30 * ms)));
  ASSERT_TRUE(filter.take(sample(164, 2 * ms, 10 * ms)));
  EXPECT_EQ(filter.estimate()->offset_ns, 2 * ms);
  EXPECT_EQ(filter.estimate()->delay_ns, 10U * ms);
  EXPECT_EQ(filter.estimate()->jitter_ns, 7U * ms);
  ASSERT_TRUE(filter.take(sample(228, -1 * ms, 40 * ms)));
  EXPECT_EQ(filter.estimate()->offset_ns, 2 * ms) << "used once, and still the best";
  // sqrt((7^2 + 3^2) / 2) ms
  EXPECT_EQ(filter.estimate()->jitter_ns, 5'385'165U);
}

TEST(UpstreamFilter, NothingOlderThanWhatWasUsedSpeaks) {
  UpstreamFilter filter;
  ASSERT_TRUE(filter.take(sample(100, 1 * ms, 20 * ms)));
  ASSERT_TRUE(filter.take(sample(164, 2 * ms, 10 * ms)));
  // Seven longer ones push the best out, one by one, and the best of what is left has no predecessor's age.
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(filter.take(sample(228 + 64 * i, 7 * ms, (30 - i) * ms)));
  EXPECT_EQ(filter.estimate()->at_ns, (228 + 64 * 7) * s);
  EXPECT_EQ(filter.estimate()->offset_ns, 7 * ms);
}

TEST(UpstreamFilter, B12_TheRootDistanceGrowsFifteenMicrosecondsASecond) {
  UpstreamFilter filter;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(filter.take(sample(100 + i, 5 * ms, 20 * ms)));
  const UpstreamEstimate& estimate = *filter.estimate();
  const std::uint64_t now = estimate.root_distance_ns(107 * s);
  EXPECT_EQ(now, 12'000'000U + 2'000'000U + estimate.dispersion_ns + estimate.jitter_ns);
  EXPECT_EQ(estimate.root_distance_ns(1107 * s), now + 15'000'000U);
  EXPECT_EQ(estimate.root_distance_ns(0), now) << "a clock that goes back takes nothing off";
}

TEST(UpstreamFilter, ADelayOnALanCountsTenMillisecondsAllTheSame) {
  UpstreamFilter filter;
  UpstreamSample near = sample(1, 0, -40);
  near.root_delay_ns = near.root_dispersion_ns = 0;
  ASSERT_TRUE(filter.take(near));
  EXPECT_EQ(filter.estimate()->delay_ns, 1000U);  // never below what the clocks can tell
  EXPECT_EQ(filter.estimate()->root_distance_ns(s) - filter.estimate()->dispersion_ns, 5'000'000U + 1000U);
}

TEST(UpstreamFilter, RefusesWhatTeachesNothing) {
  UpstreamFilter filter;
  ASSERT_TRUE(filter.take(sample(100, 0, 0)));
  EXPECT_FALSE(filter.take(sample(100, 1, 1))) << "the same again";
  EXPECT_FALSE(filter.take(sample(99, 1, 1))) << "from the past";
  UpstreamSample lost = sample(101, 0, 0);
  lost.root_dispersion_ns = upstream_dispersion_max_ns;
  EXPECT_FALSE(filter.take(lost));
  lost.root_dispersion_ns = ~std::uint64_t{0};
  lost.root_delay_ns = ~std::uint64_t{0};
  EXPECT_FALSE(filter.take(lost)) << "and not by an overflow either";
  EXPECT_EQ(filter.estimate()->newest_ns, 100 * s);
  filter.clear();
  EXPECT_FALSE(filter.estimate().has_value());
  EXPECT_TRUE(filter.take(sample(1, 0, 0)));
}

// Its answer claims to have been in the making for longer than it was away, as when the server's clock was
// stepped in between: the offset is off by half of what is missing, and no distance would say so.
TEST(UpstreamFilter, I08_ARoundTripFarBelowZeroTeachesNothing) {
  UpstreamFilter filter;
  ASSERT_TRUE(filter.take(sample(100, 1 * ms, 20 * ms)));
  EXPECT_FALSE(filter.take(sample(164, 500 * ms, -1000 * ms)));
  EXPECT_FALSE(filter.take(sample(165, 6 * ms, -10 * ms - 1)));
  EXPECT_EQ(filter.estimate()->offset_ns, 1 * ms);
  // 10 ms below zero are 5 ms of offset, which is the least that anybody's distance allows for.
  ASSERT_TRUE(filter.take(sample(166, 2 * ms, -10 * ms)));
  EXPECT_EQ(filter.estimate()->offset_ns, 2 * ms);
  EXPECT_EQ(filter.estimate()->delay_ns, 1000U);
}

}  // namespace
}  // namespace hwclock
