// Time from servers alone around a leap second that only they know of.

#include "control/upstream_time.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "hwclock/calendar.h"
#include "tests/control/played_upstreams.h"

namespace control {
namespace {

using hwclock::ClockState;
using hwclock::LeapPlan;
using hwclock::State;

std::int64_t utc_of(const hwclock::CivilTime& time) { return *hwclock::utc_seconds_of(time); }
const LeapPlan inserted{37, 1, utc_of({2028, 7, 1, 0, 0, 0}) + 38};
const LeapPlan removed{37, -1, utc_of({2029, 1, 1, 0, 0, 0}) + 36};

Config config_with(const std::string& leap_seconds = "/nowhere/leap-seconds.list") {
  Config config;
  config.clock.source = ClockSource::upstream;
  config.gnss.leap_seconds = leap_seconds;
  for (const char* host : {"a.test", "b.test", "c.test"}) {
    config.upstreams.emplace_back();
    config.upstreams.back().host = host;
  }
  return config;
}

class Play {
 public:
  explicit Play(const LeapPlan& leap, const Config& with = config_with(), std::int64_t before_s = 300)
      : truth(leap),
        world(leap, before_s),
        upstreams(3, leap.change_s == 1 ? 1 : 2),
        config(with),
        time(std::in_place, config, upstreams.panel, PlayedWorld::hz, -25, std::nullopt) {}

  // Passes until so long before the change (after it, where negative); the servers are asked every second.
  void until(double to_change_s) {
    while (world.to_change_s() > to_change_s) {
      for (std::size_t i = 0; passes % 8 == 0 && i < 3; ++i) {
        const double rate = static_cast<double>(state.tsc_hz == 0 ? PlayedWorld::hz : state.tsc_hz);
        if (upstreams.ask(world, truth, i, rate)) time->hear(i, world.tick_after(3'000'000));
      }
      world.pass(PlayedWorld::ns_per_s / 8);
      ++passes;
      state = time->pass(world.tick());
      ASSERT_TRUE(hwclock::is_valid(state));
      // If this were the last one, it would not be believed where the seconds are another's already.
      const double last_s =
          static_cast<double>(static_cast<std::int64_t>(state.valid_until - world.tick())) / 1e9;
      if (state.leap == 1 || state.leap == 2) {
        ASSERT_LT(last_s, world.to_change_s() - (truth.change_s == 1 ? 1.4 : 0.4)) << world.to_change_s();
      }
      // Where it is promised, it is true; and around the change it is not promised.
      const bool is_around = hwclock::leap_indicator_at(truth, {world.tai_ns()}) == 3;
      if (is_around && follows) {
        ASSERT_EQ(state.leap, 3U) << world.to_change_s();
      } else if (state.leap != 3 && follows) {
        ASSERT_LT(std::fabs(world.error_ns(state)), 5e6) << world.to_change_s();
      }
    }
  }
  void say(std::uint32_t leap) {
    for (PlayedServer& server : upstreams.servers) server.announces = leap;
  }

  LeapPlan truth;
  PlayedWorld world;
  PlayedUpstreams upstreams;
  Config config;
  std::optional<UpstreamTime> time;
  ClockState state{};
  int passes = 0;
  bool follows = true;
};

TEST(AnnouncedLeapSecond, I09_S10_IsMadeAlthoughTheServersClearItEarly) {
  for (const LeapPlan& truth : {inserted, removed}) {
    SCOPED_TRACE(truth.change_s);
    Play play(truth);
    ASSERT_NO_FATAL_FAILURE(play.until(100));
    ASSERT_EQ(play.state.state, State::locked);
    EXPECT_EQ(play.state.leap, truth.change_s == 1 ? 1U : 2U);
    const std::uint64_t steps = play.state.step_count;
    ASSERT_NO_FATAL_FAILURE(play.until(2.5));
    play.say(0);
    ASSERT_NO_FATAL_FAILURE(play.until(-1.1));
    EXPECT_EQ(play.state.tai_minus_utc_s, 37 + truth.change_s);
    EXPECT_EQ(play.state.step_count, steps + 1);
    EXPECT_EQ(play.state.leap, 0U) << "it is over";
    EXPECT_LT(std::fabs(play.world.error_ns(play.state)), 5e6);
    ASSERT_NO_FATAL_FAILURE(play.until(-200));
    EXPECT_EQ(play.state.state, State::locked);
    EXPECT_EQ(play.state.leap, 0U);
    EXPECT_EQ(play.state.step_count, steps + 1) << "and nothing is left to step by";
    ASSERT_TRUE(play.time->learned());
    EXPECT_EQ(play.time->learned()->change_tai_s, truth.change_tai_s);
  }
}

TEST(AnnouncedLeapSecond, IsMadeWhileNobodyAnswers) {
  Play play(inserted);
  ASSERT_NO_FATAL_FAILURE(play.until(30));
  for (PlayedServer& server : play.upstreams.servers) server.is_up = false;
  ASSERT_NO_FATAL_FAILURE(play.until(-5));
  EXPECT_EQ(play.state.state, State::holdover);
  EXPECT_EQ(play.state.tai_minus_utc_s, 38);
  for (PlayedServer& server : play.upstreams.servers) server = {};
  ASSERT_NO_FATAL_FAILURE(play.until(-60));
  EXPECT_EQ(play.state.state, State::locked);
}

TEST(AnnouncedLeapSecond, I13_OfAMinorityIsNone) {
  Play play(inserted);
  play.say(0);
  play.upstreams.servers[0].announces = 1;
  for (PlayedServer& server : play.upstreams.servers) server.has_leap = false;
  play.follows = false;
  ASSERT_NO_FATAL_FAILURE(play.until(3));
  EXPECT_EQ(play.state.leap, 0U);
  const std::uint64_t steps = play.state.step_count;
  ASSERT_NO_FATAL_FAILURE(play.until(-60));
  EXPECT_EQ(play.state.tai_minus_utc_s, 37);
  EXPECT_EQ(play.state.step_count, steps);
  EXPECT_EQ(play.state.state, State::locked);
  EXPECT_FALSE(play.time->learned());
}

TEST(AnnouncedLeapSecond, ThatIsTakenBackInTimeIsNone) {
  Play play(inserted);
  for (PlayedServer& server : play.upstreams.servers) server.has_leap = false;
  play.follows = false;
  ASSERT_NO_FATAL_FAILURE(play.until(20));
  EXPECT_EQ(play.state.leap, 1U);
  play.say(0);
  ASSERT_NO_FATAL_FAILURE(play.until(5));
  EXPECT_EQ(play.state.leap, 0U);
  const std::uint64_t steps = play.state.step_count;
  ASSERT_NO_FATAL_FAILURE(play.until(-60));
  EXPECT_EQ(play.state.tai_minus_utc_s, 37);
  EXPECT_EQ(play.state.step_count, steps);
}

TEST(AnnouncedLeapSecond, ThatMostLiedAboutIsHeldOverThenAlarmedAndNeverFollowedSilently) {
  Play play(inserted);
  for (PlayedServer& server : play.upstreams.servers) server.has_leap = false;
  play.follows = false;
  ASSERT_NO_FATAL_FAILURE(play.until(-1.5));
  const std::uint64_t steps = play.state.step_count;
  bool was_alarmed = false;
  for (double at = -2; at > -400; at -= 0.125) {
    ASSERT_NO_FATAL_FAILURE(play.until(at));
    if (play.state.leap == 3) was_alarmed = true;
    if (!was_alarmed) {
      ASSERT_EQ(play.state.step_count, steps) << at;
    }
  }
  EXPECT_TRUE(was_alarmed);
  EXPECT_EQ(play.state.state, State::locked) << "their UTC is all there is";
}

TEST(AnnouncedLeapSecond, H03_IsKnownToTheNextRunFromThePage) {
  Play play(inserted);
  ASSERT_NO_FATAL_FAILURE(play.until(-100));
  const ClockState before = play.state;
  play.time.emplace(play.config, play.upstreams.panel, PlayedWorld::hz, -25, before);
  ASSERT_NO_FATAL_FAILURE(play.until(-102));
  EXPECT_EQ(play.state.tai_minus_utc_s, 38);
  ASSERT_NO_FATAL_FAILURE(play.until(-200));
  EXPECT_EQ(play.state.state, State::locked);
  EXPECT_EQ(play.state.tai_minus_utc_s, 38);
  EXPECT_EQ(play.state.step_count, before.step_count);
}

TEST(AnnouncedLeapSecond, IsNoNewsWhereTheTableKnows) {
  char form[] = "/tmp/noonmark-leap-XXXXXX";
  ASSERT_NE(::mkdtemp(form), nullptr);
  const std::string file = std::string(form) + "/leap-seconds.list";
  {
    constexpr std::int64_t ntp_to_unix_s = 2'208'988'800;
    std::ofstream list(file);
    std::ifstream system("/usr/share/zoneinfo/leap-seconds.list");
    if (!system) GTEST_SKIP() << "this machine has no leap-seconds.list";
    list << system.rdbuf() << '\n' << utc_of({2028, 7, 1, 0, 0, 0}) + ntp_to_unix_s << "\t38\n";
  }
  Play play(inserted, config_with(file));
  play.say(0);
  ASSERT_NO_FATAL_FAILURE(play.until(20));
  EXPECT_EQ(play.state.leap, 1U) << "nobody but the table says so";
  play.say(1);
  ASSERT_NO_FATAL_FAILURE(play.until(-60));
  EXPECT_EQ(play.state.tai_minus_utc_s, 38);
  EXPECT_FALSE(play.time->learned());
  std::filesystem::remove_all(form);
}

TEST(UpstreamPolicy, IsWhatTheConfigurationSays) {
  Config::Clock clock;
  clock.upstream_max_error_us = 5'000;
  clock.drift_ppb = 100;
  const hwclock::UpstreamClockPolicy policy = upstream_policy(clock, -20);
  EXPECT_EQ(policy.error_ns_max, 5'000'000U);
  EXPECT_EQ(policy.drift_ppb, 100U);
  EXPECT_EQ(policy.precision, -20);
}

}  // namespace
}  // namespace control
