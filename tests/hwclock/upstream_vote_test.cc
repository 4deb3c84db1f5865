// Servers that agree, and servers that lie.

#include "hwclock/upstream_vote.h"

#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace hwclock {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t s = 1'000'000'000;

UpstreamClaim claim(std::int64_t offset_ns, std::int64_t distance_ns, std::uint32_t stratum = 2) {
  return {offset_ns, static_cast<std::uint64_t>(distance_ns), stratum, true};
}

TEST(UpstreamVote, OneServerIsItsOwnMajority) {
  const UpstreamVote result = vote(std::vector{claim(3 * ms, 10 * ms)}, false);
  EXPECT_EQ(result.agreeing, 1U);
  EXPECT_EQ(result.offset_ns, 3 * ms);
  EXPECT_EQ(result.distance_ns, 10U * ms);
}

TEST(UpstreamVote, OneFalsetickerOfThreeIsOutvoted) {
  for (const std::int64_t lie : {-5 * s, 100 * ms, 3600 * s}) {
    SCOPED_TRACE(lie);
    const UpstreamVote result =
        vote(std::vector{claim(0, 10 * ms), claim(lie, 1 * ms, 1), claim(4 * ms, 10 * ms)}, false);
    EXPECT_EQ(result.heard, 3U);
    EXPECT_EQ(result.agreeing, 2U);
    EXPECT_EQ(result.members, 0b101U);
    EXPECT_EQ(result.low_ns, -6 * ms);
    EXPECT_EQ(result.high_ns, 10 * ms);
    EXPECT_EQ(result.offset_ns, 2 * ms);
    EXPECT_EQ(result.distance_ns, 8U * ms);
  }
}

TEST(UpstreamVote, HalfIsNoMajority) {
  EXPECT_EQ(vote(std::vector{claim(0, ms), claim(s, ms)}, false).agreeing, 0U);
  EXPECT_EQ(vote(std::vector{claim(0, ms), claim(0, ms), claim(s, ms), claim(s, ms)}, false).agreeing, 0U);
  EXPECT_EQ(vote(std::vector{claim(0, ms), claim(s, ms), claim(2 * s, ms)}, false).agreeing, 0U);
}

TEST(UpstreamVote, ClaimsThatTouchAgree) {
  const UpstreamVote result = vote(std::vector{claim(0, 5 * ms), claim(10 * ms, 5 * ms)}, false);
  EXPECT_EQ(result.agreeing, 0U) << "but with both middles outside, neither is to be believed";
  const UpstreamVote three =
      vote(std::vector{claim(0, 5 * ms), claim(5 * ms, 5 * ms), claim(10 * ms, 5 * ms)}, false);
  EXPECT_EQ(three.agreeing, 3U);
  EXPECT_EQ(three.low_ns, 0);
  EXPECT_EQ(three.high_ns, 10 * ms) << "two of three, with every middle inside";
}

TEST(UpstreamVote, TheNearWeighMore) {
  const UpstreamVote result = vote(std::vector{claim(0, 1 * ms), claim(3 * ms, 9 * ms)}, false);
  EXPECT_EQ(result.agreeing, 0U) << "the second one's middle is outside";
  const UpstreamVote close = vote(std::vector{claim(0, 2 * ms), claim(1 * ms, 6 * ms)}, false);
  EXPECT_EQ(close.offset_ns, 250'000);
}

TEST(UpstreamVote, GarbageIsNotHeard) {
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  const std::vector garbage = {claim(0, 0, 0),  claim(0, 0, 16),
                               claim(0, 2 * s), claim(far, 0),
                               claim(-far, 0),  claim(std::numeric_limits<std::int64_t>::min(), 0),
                               claim(0, -1)};
  EXPECT_EQ(vote(garbage, false).heard, 0U);
  EXPECT_EQ(vote({}, false).agreeing, 0U);
  EXPECT_EQ(vote(std::vector(40, claim(0, ms)), false).agreeing, upstreams_max);
}

}  // namespace
}  // namespace hwclock
