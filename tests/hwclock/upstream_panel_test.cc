// All upstreams held against one clock: claims, majority, and who would be followed.

#include "hwclock/upstream_panel.h"

#include <gtest/gtest.h>

namespace hwclock {
namespace {

constexpr ClockGuess ours{10'000'000'000, 1'800'000'000'000'000'000, 1.0};

UpstreamMember member(std::int64_t off_ns, std::uint32_t stratum, bool may_lead = true) {
  UpstreamMember one;
  one.has_news = true;
  one.news.tick = one.news.newest_tick = ours.tick - 4'000'000'000;
  one.news.utc_ns = ours.ns - 4'000'000'000 + off_ns;
  one.news.delay_ns = 1'000'000;
  one.news.dispersion_ns = 100'000;
  one.news.jitter_ns = 50'000;
  one.news.root_delay_ns = 2'000'000;
  one.news.root_dispersion_ns = 300'000;
  one.stratum = stratum;
  one.may_lead = may_lead;
  return one;
}

TEST(UpstreamPanel, ClaimsAreTheirsMinusOursAtTheTickOfTheSample) {
  UpstreamPanel panel(2);
  panel.member(0) = member(7'000'000, 2);
  const PanelView view = panel.against(ours);
  EXPECT_EQ(view.claims[0].offset_ns, 7'000'000);
  EXPECT_EQ(view.claims[0].distance_ns, 5'000'000U + 300'000 + 100'000 + 50'000 + 60'000) << "4 s at 15 ppm";
  EXPECT_EQ(view.claims[1].stratum, 0U) << "without news nothing is claimed";
  EXPECT_EQ(view.vote.heard, 1U);
  EXPECT_EQ(view.leader, std::optional<std::size_t>(0));
}

TEST(UpstreamPanel, TheDispersionIsTheDistanceWithoutDelays) {
  EXPECT_EQ(dispersion_ns_after(member(0, 2).news, 4'000'000'000), 300'000U + 100'000 + 50'000 + 60'000);
}

TEST(UpstreamPanel, TheLeaderAgreesAndMayLeadAndHasTheLowestStratum) {
  UpstreamPanel panel(4);
  panel.member(0) = member(0, 1, false);
  panel.member(1) = member(1'000'000, 3);
  panel.member(2) = member(-1'000'000, 2);
  panel.member(3) = member(900'000'000, 1);
  const PanelView view = panel.against(ours);
  EXPECT_EQ(view.vote.members, 0b0111U);
  EXPECT_EQ(view.leader, std::optional<std::size_t>(2));
  panel.member(1).stratum = panel.member(2).stratum = 15;
  EXPECT_FALSE(panel.against(ours).leader) << "ours would be 16";
  panel.member(1).stratum = panel.member(2).stratum = 2;
  panel.member(2).news.root_dispersion_ns += 1'000;
  EXPECT_EQ(panel.against(ours).leader, std::optional<std::size_t>(1)) << "then the nearest";
}

TEST(UpstreamPanel, I13_TheSpreadHoldsWhicheverMinorityLies) {
  constexpr std::uint64_t exact_ns = 1'500'000 + 300'000 + 100'000 + 50'000 + 60'000;
  UpstreamPanel one(1);
  one.member(0) = member(1'000'000, 2);
  EXPECT_EQ(one.against(ours).spread_ns, std::optional<std::uint64_t>(1'000'000 + exact_ns));

  UpstreamPanel three(3);
  three.member(0) = member(400'000'000, 1);  // narrow, within the others' width
  three.member(1) = member(0, 2);
  three.member(2) = member(0, 2);
  three.member(1).news.dispersion_ns = three.member(2).news.dispersion_ns = 900'000'000;
  const PanelView view = three.against(ours);
  EXPECT_EQ(view.vote.agreeing, 3U);
  EXPECT_EQ(view.leader, std::optional<std::size_t>(0)) << "whose own bound would be a lie";
  EXPECT_EQ(view.spread_ns, std::optional<std::uint64_t>(exact_ns - 100'000 + 900'000'000));

  UpstreamPanel apart(2);
  apart.member(0) = member(0, 2);
  apart.member(1) = member(900'000'000, 2);
  EXPECT_FALSE(apart.against(ours).spread_ns) << "no point is shared by more than half";
  EXPECT_FALSE(UpstreamPanel(2).against(ours).spread_ns);
}

TEST(UpstreamPanel, OnlyTheAuthenticatedAreHeardWhereThatIsAskedFor) {
  UpstreamPanel panel(2);
  panel.member(0) = member(0, 2);
  panel.member(1) = member(400'000'000, 2);
  panel.member(1).authenticated = true;
  EXPECT_EQ(panel.against(ours).vote.agreeing, 0U);
  EXPECT_EQ(panel.against(ours, true).vote.members, 0b10U);
}

TEST(UpstreamPanel, OldNewsClaimLessUntilTheyAreNotHeard) {
  UpstreamPanel panel(1);
  panel.member(0) = member(0, 2);
  ClockGuess later = ours;
  later.tick += 86'400'000'000'000;
  later.ns += 86'400'000'000'000;
  EXPECT_EQ(panel.against(later).vote.heard, 1U);
  later.tick += 86'400'000'000'000;
  later.ns += 86'400'000'000'000;
  EXPECT_EQ(panel.against(later).vote.heard, 0U) << "two days at 15 ppm are 2.6 s";
}

TEST(UpstreamPanel, SinceATickThereAreNoNewsOfSamplesFromBeforeIt) {
  UpstreamPanel panel(2);
  panel.member(0) = member(0, 2);
  panel.member(1) = member(0, 2);
  panel.member(1).news.tick += 1;
  const UpstreamPanel since = panel.since(panel.member(1).news.tick);
  EXPECT_FALSE(since.member(0).has_news);
  EXPECT_TRUE(since.member(1).has_news);
  EXPECT_EQ(since.size(), 2U);
}

TEST(NewsSinceLeap, I09_NewsFromBeforeALeapSecondAreNotHeardAfterIt) {
  UpstreamPanel panel(1);
  panel.member(0) = member(0, 2);
  NewsSinceLeap since(1'000'000'000);
  EXPECT_FALSE(since.see(37, ours.tick)) << "the first that is seen is no change";
  EXPECT_FALSE(since.see(37, ours.tick));
  EXPECT_TRUE(since.of(panel).member(0).has_news);
  EXPECT_TRUE(since.see(38, ours.tick));
  EXPECT_FALSE(since.see(38, ours.tick));
  EXPECT_FALSE(since.of(panel).member(0).has_news);
  panel.member(0).news.tick = ours.tick + 1'999'999'999;
  EXPECT_FALSE(since.of(panel).member(0).has_news) << "its server may not have made the step yet";
  panel.member(0).news.tick = ours.tick + 2'000'000'000;
  EXPECT_TRUE(since.of(panel).member(0).has_news);
}

TEST(UpstreamPanel, MoreThanItHasRoomForAreNotHeard) { EXPECT_EQ(UpstreamPanel(40).size(), upstreams_max); }

}  // namespace
}  // namespace hwclock
