// A clock that is told by others whether it is right, also through a leap second.

#include "hwclock/upstream_witnesses.h"

#include <gtest/gtest.h>
#include <vector>

#include "hwclock/calendar.h"

namespace hwclock {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t s = 1'000'000'000;
constexpr std::uint64_t hz = 1'000'000'000;
constexpr std::uint64_t begin_tick = 5 * hz;

UpstreamClaim claim(std::int64_t offset_ns, std::int64_t distance_ns) {
  return {offset_ns, static_cast<std::uint64_t>(distance_ns), 2, true};
}

Testimony say(const std::vector<UpstreamClaim>& claims, std::uint64_t error_ns, std::uint32_t quorum) {
  return testimony_of(vote(claims, true), error_ns, quorum);
}

TEST(UpstreamWitnesses, AreSilentWithoutAQuorumOfAuthenticatedOnes) {
  std::vector claims = {claim(s, ms), claim(s, ms), claim(s, ms)};
  claims[0].authenticated = claims[1].authenticated = false;
  EXPECT_EQ(say(claims, 1000, 2), Testimony::silent);
  claims[1].authenticated = true;
  EXPECT_EQ(say(claims, 1000, 2), Testimony::contradicts);
  EXPECT_EQ(say({}, 1000, 0), Testimony::silent);
}

TEST(UpstreamWitnesses, ContradictBeyondBothBoundsOnly) {
  const std::vector claims = {claim(20 * ms, 10 * ms), claim(20 * ms, 10 * ms)};
  EXPECT_EQ(say(claims, 10 * ms, 2), Testimony::agrees);
  EXPECT_EQ(say(claims, 10 * ms - 1, 2), Testimony::contradicts);
  EXPECT_EQ(say(claims, ~std::uint64_t{0}, 2), Testimony::agrees);
}

// A right receiver, and servers that are asked every 64 s and are right as well.
class Site {
 public:
  Site() : panel(2), witnesses(hz, 2) {
    for (std::size_t i = 0; i < 2; ++i) {
      panel.member(i).stratum = 1;
      panel.member(i).authenticated = true;
    }
  }
  [[nodiscard]] std::uint64_t tick() const {
    return begin_tick + static_cast<std::uint64_t>(tai_ns - begin_ns);
  }
  // Both answer, and name seconds with that offset.
  void answer(std::int64_t tai_minus_utc_s) {
    for (std::size_t i = 0; i < 2; ++i) {
      UpstreamMember& member = panel.member(i);
      member.has_news = true;
      member.news.tick = member.news.newest_tick = tick();
      member.news.utc_ns = tai_ns - tai_minus_utc_s * s;
      member.news.delay_ns = 2 * ms;
    }
  }
  std::optional<Witnesses::Heard> hear(const LeapPlan& plan, std::int64_t off_ns = 0) {
    return witnesses.hear(panel, {tick(), tai_ns + off_ns, 1.0}, plan, 100.0);
  }
  // Asked again and again until `end_ns`; false when they contradicted once.
  bool is_left_alone(const LeapPlan& plan, std::int64_t end_ns) {
    for (; tai_ns < end_ns; tai_ns += s / 8) {
      const auto heard = hear(plan);
      if (heard && heard->testimony == Testimony::contradicts) return false;
    }
    return true;
  }

  static constexpr std::int64_t midnight_tai_s = 20'454 * 86'400 + 38;
  static constexpr std::int64_t begin_ns = (midnight_tai_s - 100) * s;
  static constexpr LeapPlan leap{.tai_minus_utc_s = 37, .change_s = 1, .change_tai_s = midnight_tai_s};
  UpstreamPanel panel;
  Witnesses witnesses;
  std::int64_t tai_ns = begin_ns;
};

TEST(UpstreamWitnesses, AgreeWithARightClockAndNotWithOneThatIsASecondOff) {
  Site site;
  site.answer(37);
  site.tai_ns += 10 * s;
  EXPECT_EQ(site.hear(Site::leap)->testimony, Testimony::agrees);
  const auto wrong = site.hear(Site::leap, s);
  EXPECT_EQ(wrong->testimony, Testimony::contradicts);
  EXPECT_NEAR(wrong->wrong_by_ns, 1e9, 20e6);
}

TEST(UpstreamWitnesses, I09_NewsFromBeforeALeapSecondDoNotContradictWhoMadeIt) {
  Site site;
  site.answer(37);
  ASSERT_TRUE(site.is_left_alone(Site::leap, (Site::midnight_tai_s + 20) * s));
  EXPECT_EQ(site.hear(Site::leap)->testimony, Testimony::silent);
  site.answer(38);
  ASSERT_TRUE(site.is_left_alone(Site::leap, (Site::midnight_tai_s + 40) * s));
  EXPECT_EQ(site.hear(Site::leap)->testimony, Testimony::agrees);
  EXPECT_EQ(site.hear(Site::leap, s)->testimony, Testimony::contradicts) << "and are witnesses again";
}

TEST(UpstreamWitnesses, I09_WhileTheSecondHappensWhatWasSaidStands) {
  Site site;
  site.tai_ns = Site::midnight_tai_s * s - 2 * s - 1;
  site.answer(36);
  EXPECT_EQ(site.hear(Site::leap)->testimony, Testimony::contradicts);
  site.tai_ns += 1;
  EXPECT_FALSE(site.hear(Site::leap));
  site.tai_ns = (Site::midnight_tai_s + 1) * s - 1;
  EXPECT_FALSE(site.hear(Site::leap));
  site.tai_ns += 1;
  EXPECT_TRUE(site.hear(Site::leap));
}

// As when a receiver told of a change that no table had, and goes on with the new offset.
TEST(UpstreamWitnesses, I09_ThePlanThatIsServedCountsWhereverItCameFrom) {
  Site site;
  const LeapPlan after{.tai_minus_utc_s = 38};
  site.answer(38);
  EXPECT_EQ(site.hear(after)->testimony, Testimony::agrees);
  site.tai_ns += 300 * s;
  EXPECT_EQ(site.hear(after)->testimony, Testimony::agrees);
}

// Three servers that say it is `utc_s` and 250 ms at begin_tick, of whom so many are authenticated.
UpstreamPanel dating(std::int64_t utc_s, std::size_t authenticated) {
  UpstreamPanel panel(3);
  for (std::size_t i = 0; i < 3; ++i) {
    UpstreamMember& member = panel.member(i);
    member.stratum = 2;
    member.has_news = true;
    member.authenticated = i < authenticated;
    member.news.tick = member.news.newest_tick = begin_tick;
    member.news.utc_ns = utc_s * s + 250 * ms;
    member.news.delay_ns = 2 * ms;
  }
  return panel;
}
const std::int64_t noon_s = *utc_seconds_of({2028, 3, 1, 12, 0, 0});
constexpr ClockGuess in_1970{begin_tick, 17 * s, 1.0};

TEST(Date, IsWhatAMajorityOfTheAuthenticatedOnesSays) {
  EXPECT_EQ(date_of(dating(noon_s, 3), in_1970, false), noon_s * s + 250 * ms);
  EXPECT_EQ(date_of(dating(noon_s, 1), in_1970, false), noon_s * s + 250 * ms);
  UpstreamPanel split = dating(noon_s, 2);
  split.member(0).news.utc_ns += s;
  EXPECT_FALSE(date_of(split, in_1970, false)) << "one of two is no majority";
  EXPECT_FALSE(date_of(split, in_1970, true)) << "and the third has no say beside them";
  UpstreamPanel liar = dating(noon_s, 3);
  liar.member(0).news.utc_ns += s;
  EXPECT_EQ(date_of(liar, in_1970, false), noon_s * s + 250 * ms);
  EXPECT_FALSE(date_of(UpstreamPanel(3), in_1970, true));
}

TEST(Date, IsTakenFromOthersOnlyWhereThatIsAllowedAndNobodyIsAuthenticated) {
  EXPECT_FALSE(date_of(dating(noon_s, 0), in_1970, false));
  EXPECT_EQ(date_of(dating(noon_s, 0), in_1970, true), noon_s * s + 250 * ms);
  UpstreamPanel mixed = dating(noon_s, 1);
  mixed.member(1).news.utc_ns += s;
  mixed.member(2).news.utc_ns += s;
  EXPECT_EQ(date_of(mixed, in_1970, true), noon_s * s + 250 * ms) << "the authenticated one is preferred";
}

TEST(Date, IsNoneWhereItIsNotKnownToATenthOfASecond) {
  UpstreamPanel vague = dating(noon_s, 3);
  for (std::size_t i = 0; i < 3; ++i) vague.member(i).news.root_dispersion_ns = 90 * ms;
  EXPECT_TRUE(date_of(vague, in_1970, false));
  for (std::size_t i = 0; i < 3; ++i) vague.member(i).news.root_dispersion_ns = 100 * ms;
  EXPECT_FALSE(date_of(vague, in_1970, false));
}

TEST(Date, I09_IsNoneWhereSomeMayHaveMadeALeapSecondAndOthersNot) {
  const std::int64_t midnight_s = *utc_seconds_of({2028, 7, 1, 0, 0, 0});
  EXPECT_TRUE(date_of(dating(midnight_s - 6, 3), in_1970, false));
  EXPECT_FALSE(date_of(dating(midnight_s - 5, 3), in_1970, false));
  EXPECT_FALSE(date_of(dating(midnight_s + 7'199, 3), in_1970, false));
  EXPECT_TRUE(date_of(dating(midnight_s + 7'200, 3), in_1970, false));
  EXPECT_TRUE(date_of(dating(midnight_s + 86'400, 3), in_1970, false)) << "July ends its days as usual";
}

}  // namespace
}  // namespace hwclock
