// Time from upstreams alone: when it is promised, what the bound covers, and who is not followed.

#include "hwclock/upstream_clock.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "hwclock/tsc_fit.h"

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 1'000'000'000;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t start_utc_s = 1'800'000'000;

// A counter that is fast by so much, and servers behind a network whose delay is never the same.
class Site {
 public:
  explicit Site(std::size_t servers, double fast_ppb = 20'000.0, const UpstreamClockPolicy& policy = {})
      : panel(servers),
        measures(servers),
        off_ns(servers, 0),
        is_up(servers, true),
        clock(hz, policy),
        fast(fast_ppb) {
    clock.set_leap({.tai_minus_utc_s = 37});
    for (std::size_t i = 0; i < servers; ++i) {
      panel.member(i).stratum = 2;
      panel.member(i).reference_id = 0x0a000001 + static_cast<std::uint32_t>(i);
      panel.member(i).may_lead = true;
    }
  }

  [[nodiscard]] std::uint64_t tick_at(std::int64_t true_ns) const {
    return 5 * hz +
           static_cast<std::uint64_t>(std::llround(static_cast<double>(true_ns) * (1.0 + fast * 1e-9)));
  }
  [[nodiscard]] std::int64_t true_utc_ns() const { return start_utc_s * ns_per_s + now_ns; }

  // One exchange with a server whose packets take 1 ms, and up to 1 ms more each way.
  void ask(std::size_t server) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto out_ns = static_cast<std::int64_t>(1'000'000 + (seed >> 33) % 1'000'000);
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto back_ns = static_cast<std::int64_t>(1'000'000 + (seed >> 33) % 1'000'000);
    UpstreamExchange exchange;
    exchange.sent_tick = tick_at(now_ns);
    exchange.server_received_ns = true_utc_ns() + out_ns + off_ns[server];
    exchange.server_sent_ns = exchange.server_received_ns + 10'000;
    exchange.received_tick = tick_at(now_ns + out_ns + 10'000 + back_ns);
    exchange.precision_ns = 1'000;
    exchange.root_delay_ns = 500'000;
    exchange.root_dispersion_ns = 300'000;
    now_ns += out_ns + 10'000 + back_ns;
    UpstreamMember& member = panel.member(server);
    member.reach = static_cast<std::uint8_t>(member.reach << 1);
    if (!is_up[server] ||
        !measures[server].take(exchange, static_cast<double>(state.tsc_hz == 0 ? hz : state.tsc_hz)))
      return;
    member.reach |= 1;
    member.has_news = true;
    member.news = *measures[server].news();
    clock.take(panel, server, tick_at(now_ns));
  }

  // All servers once, then `seconds` of publications.
  void round(std::int64_t seconds) {
    for (std::size_t i = 0; i < panel.size(); ++i) ask(i);
    for (std::int64_t i = 0; i < 8 * seconds; ++i) {
      now_ns += ns_per_s / 8;
      state = clock.publish(panel, tick_at(now_ns));
      ASSERT_TRUE(is_valid(state));
      const std::uint64_t served = ntp_at(state, tick_at(now_ns));
      const bool was_promised = is_promised;
      is_promised = state.leap != 3;
      if (was_promised) {
        ASSERT_GE(static_cast<std::int64_t>(served - served_before), 0) << "never back";
      }
      served_before = served;
      if (!is_promised) continue;
      ASSERT_LE(std::fabs(error_ns()), bound_ns()) << "after " << now_ns / ns_per_s << " s";
    }
  }

  [[nodiscard]] double error_ns() const {
    return static_cast<double>(
               static_cast<std::int64_t>(ntp_at(state, tick_at(now_ns)) - ntp_of_utc(true_utc_ns()))) *
           1e9 / 0x1p32;
  }
  [[nodiscard]] double bound_ns() const {
    return static_cast<double>(dispersion_ns_at(state, tick_at(now_ns)) + state.root_delay_ns / 2) + 1.0;
  }

  bool until(State wanted, int rounds, std::int64_t seconds = 2) {
    for (int i = 0; i < rounds && clock.state() != wanted; ++i) round(seconds);
    return clock.state() == wanted;
  }

  UpstreamPanel panel;
  std::vector<UpstreamMeasure> measures;
  std::vector<std::int64_t> off_ns;
  std::vector<bool> is_up;
  UpstreamClock clock;
  double fast;
  ClockState state{};
  std::int64_t now_ns = 0;
  std::uint64_t served_before = 0;
  bool is_promised = false;
  std::uint64_t seed = 4711;
};

TEST(UpstreamClock, B10_SaysNothingBeforeAnybodyHasAnswered) {
  Site site(2);
  site.is_up = {false, false};
  site.round(5);
  EXPECT_EQ(site.state.state, State::unsync);
  EXPECT_EQ(site.state.leap, 3U);
  EXPECT_EQ(site.state.stratum, 0U);
}

TEST(UpstreamClock, LocksToOneServerAtAStratumMoreWithABoundThatHolds) {
  Site site(1);
  ASSERT_TRUE(site.until(State::locked, 20));
  for (int i = 0; i < 8; ++i) site.round(2);
  EXPECT_EQ(site.state.source, Source::upstream);
  EXPECT_EQ(site.state.stratum, 3U);
  EXPECT_EQ(site.state.reference_id, 0x0a000001U);
  EXPECT_EQ(site.state.leap, 0U);
  EXPECT_EQ(site.state.tai_minus_utc_s, 37);
  EXPECT_LT(site.bound_ns(), 5e6)
      << "a delay of 2 ms, a root delay of 0.5 and a dispersion of 0.3, and some jitter";
  for (int i = 0; i < 40; ++i) site.round(64);
  EXPECT_NEAR(static_cast<double>(site.state.tsc_hz), 1.00002 * hz, 2'000.0)
      << "the counter's rate is learned";
  EXPECT_LT(std::fabs(site.error_ns()), 1e6);
}

TEST(UpstreamClock, B12_WithoutNewsTheBoundGrowsAndEndsInAlarm) {
  UpstreamClockPolicy policy;
  policy.error_ns_max = 100'000'000;
  Site site(1, 5'000.0, policy);
  ASSERT_TRUE(site.until(State::locked, 20));
  for (int i = 0; i < 20; ++i) site.round(16);
  site.is_up[0] = false;
  double before = site.bound_ns();
  for (int i = 0; i < 10; ++i) {
    site.round(64);
    EXPECT_GT(site.bound_ns(), before + 64 * 15'000.0 * 0.9) << "at least 15 ppm";
    before = site.bound_ns();
  }
  EXPECT_EQ(site.state.state, State::holdover);
  EXPECT_EQ(site.state.stratum, 3U);
  ASSERT_TRUE(site.until(State::alarm, 200, 64));
  EXPECT_EQ(site.state.leap, 3U);
  site.is_up[0] = true;
  EXPECT_TRUE(site.until(State::locked, 20));
}

TEST(UpstreamClock, H03_WhatIsPublishedCoversTheTimeThatNobodyPublishesAnyMore) {
  Site site(1, 30'000.0);
  ASSERT_TRUE(site.until(State::locked, 20));
  for (int i = 0; i < 8; ++i) site.round(2);
  const ClockState last = site.state;
  for (int i = 0; i < 600; ++i) {
    site.now_ns += ns_per_s;
    const std::uint64_t tick = site.tick_at(site.now_ns);
    ASSERT_TRUE(is_believable(last, tick));
    ASSERT_LE(std::fabs(site.error_ns()), site.bound_ns()) << i;
  }
}

TEST(UpstreamClock, I13_OneOfThreeThatLiesIsOutvotedEvenIfItAnswersFirst) {
  Site site(3);
  site.off_ns[0] = 500'000'000;
  for (int i = 0; i < 6; ++i) site.ask(0);
  ASSERT_TRUE(site.until(State::locked, 30));
  for (int i = 0; i < 20; ++i) site.round(4);
  EXPECT_LT(std::fabs(site.error_ns()), 2e6);
  EXPECT_NE(site.clock.leader(), std::optional<std::size_t>(0));
}

TEST(UpstreamClock, I13_TwoThatDisagreeLeaveTheLastPromiseToAge) {
  Site site(2);
  ASSERT_TRUE(site.until(State::locked, 20));
  for (int i = 0; i < 20; ++i) site.round(4);
  const std::uint64_t steps = site.state.step_count;
  site.off_ns[1] = 3 * ns_per_s;
  for (int i = 0; i < 40; ++i) site.round(4);
  EXPECT_EQ(site.state.state, State::holdover);
  EXPECT_EQ(site.state.step_count, steps);
  EXPECT_LT(std::fabs(site.error_ns()), 5e6);
  site.off_ns[1] = 0;
  EXPECT_TRUE(site.until(State::locked, 40, 4));
}

TEST(UpstreamClock, I04_AMajorityThatStepsIsHeldOverThenAlarmedAndNeverFollowedSilently) {
  Site site(1);
  ASSERT_TRUE(site.until(State::locked, 20));
  for (int i = 0; i < 20; ++i) site.round(4);
  const std::uint64_t steps = site.state.step_count;
  site.off_ns[0] = ns_per_s;
  ASSERT_TRUE(site.until(State::holdover, 40, 4));
  for (int i = 0; i < 40; ++i) site.round(4);
  EXPECT_EQ(site.state.state, State::holdover);
  EXPECT_EQ(site.state.step_count, steps);
  ASSERT_TRUE(site.until(State::alarm, 60, 4));
  EXPECT_EQ(site.state.leap, 3U);
}

TEST(UpstreamClock, I09_ALeapSecondIsServedAsOneAndLeavesNoErrorBehind) {
  Site site(1, 5'000.0);
  const std::int64_t leap_tai_s = (start_utc_s / 86'400 + 1) * 86'400 + 38;
  site.clock.set_leap({.tai_minus_utc_s = 37, .change_s = 1, .change_tai_s = leap_tai_s});
  site.now_ns = (leap_tai_s - 38 - 200 - start_utc_s) * ns_per_s;
  ASSERT_TRUE(site.until(State::locked, 20));
  EXPECT_EQ(site.state.leap, 1U);
  while (site.true_utc_ns() < (leap_tai_s - 38 - 5) * ns_per_s) site.round(2);
  bool was_in_progress = false;
  for (int i = 0; i < 120; ++i) {
    site.now_ns += ns_per_s / 8;
    site.state = site.clock.publish(site.panel, site.tick_at(site.now_ns));
    was_in_progress = was_in_progress || site.state.leap == 3;
  }
  EXPECT_TRUE(was_in_progress) << "leap is 3 around the second itself";
  EXPECT_EQ(site.state.tai_minus_utc_s, 38);
  EXPECT_NEAR(site.error_ns(), -1e9, 5e6) << "a second behind those who did not have one";
  site.off_ns[0] = -ns_per_s;
  site.measures[0].clear();
  for (int i = 0; i < 12; ++i) {
    site.ask(0);
    site.now_ns += 2 * ns_per_s;
    site.state = site.clock.publish(site.panel, site.tick_at(site.now_ns));
  }
  EXPECT_EQ(site.state.state, State::locked);
  EXPECT_NEAR(site.error_ns(), -1e9, 5e6);
}

TEST(UpstreamClock, WhatSomebodyElsePromisedIsLeftBySlewingOnly) {
  Site site(1);
  ASSERT_TRUE(site.until(State::locked, 20));
  for (int i = 0; i < 8; ++i) site.round(2);
  ClockState other = site.state;
  other.ntp0 += static_cast<std::uint64_t>(0.005 * 0x1p32);  // 5 ms ahead
  site.clock.continue_from({other.tsc0, other.ntp0, other.mult}, 7, site.tick_at(site.now_ns), true);
  site.is_promised = false;
  site.round(2);
  EXPECT_EQ(site.state.step_count, 7U);
  EXPECT_GT(site.error_ns(), 4e6);
  for (int i = 0; i < 60; ++i) site.round(2);
  EXPECT_LT(std::fabs(site.error_ns()), 1e6) << "and is left in the end";
}

}  // namespace
}  // namespace hwclock
