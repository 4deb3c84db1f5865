// Who is served, receiver or upstreams, and that going over from one to the other is no step, smeared or not:
// tick by tick, with a real socket for the pulses.

#include "control/clock_engine.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/descriptor.h"
#include "hwclock/calendar.h"
#include "hwclock/leap_table.h"
#include "tests/control/played_upstreams.h"
#include "tests/control/sock_sample.h"

namespace control {
namespace {

using hwclock::ClockState;
using hwclock::LeapPlan;
using hwclock::Source;
using hwclock::State;
using testing::HasSubstr;
using testing::StartsWith;

const LeapPlan inserted{37, 1, *hwclock::utc_seconds_of({2028, 7, 1, 0, 0, 0}) + 38};
constexpr double day_s = 86'400.0;

// The compiled table as a list that lacks nothing until `expires_utc_s`.
std::string list_of_leaps(std::int64_t expires_utc_s) {
  constexpr std::int64_t posix_minus_ntp_s = 2'208'988'800;
  const hwclock::LeapTable table = hwclock::LeapTable::compiled();
  std::string text = "#@\t" + std::to_string(expires_utc_s + posix_minus_ntp_s) + "\n";
  std::int64_t utc_s = *hwclock::utc_seconds_of({1972, 1, 1, 0, 0, 0});
  for (hwclock::LeapPlan plan = table.plan_at(utc_s);; plan = table.plan_at(utc_s)) {
    text += std::to_string(utc_s + posix_minus_ntp_s) + "\t" + std::to_string(plan.tai_minus_utc_s) + "\n";
    if (plan.change_s == 0) return text;
    utc_s = plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s;
  }
}

// A receiver of NMEA, which names seconds of UTC and tells no leap seconds.
class PlayedLine {
 public:
  PlayedLine() {
    int master = -1;
    int slave = -1;
    char name[64];
    EXPECT_EQ(::openpty(&master, &slave, name, nullptr, nullptr), 0);
    master_ = Descriptor(master);
    slave_ = Descriptor(slave);
    path_ = name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  void say(std::int64_t utc_s) const {
    const auto now = static_cast<std::time_t>(utc_s);
    std::tm civil{};
    ::gmtime_r(&now, &civil);
    char body[80];
    std::strftime(body, sizeof body, "GPRMC,%H%M%S.00,A,5128.6740,N,00000.0090,W,0.0,0.0,%d%m%y,,,A", &civil);
    unsigned check = 0;
    for (const char* at = body; *at != 0; ++at) check ^= static_cast<unsigned char>(*at);
    char sentence[96];
    const int bytes = std::snprintf(sentence, sizeof sentence, "$%s*%02X\r\n", body, check);
    EXPECT_EQ(::write(master_.get(), sentence, static_cast<std::size_t>(bytes)), bytes);
  }

 private:
  Descriptor master_, slave_;  // the slave stays open, or the line would hang up with its reader
  std::filesystem::path path_;
};

class ClockEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string form = "/tmp/noonmark-engine-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    directory_ = form;
    config_.clock.source = ClockSource::gnss;
    config_.gnss.pulse = {PulseKind::sock, directory_ / "pulse"};
    config_.gnss.leap_seconds = directory_ / "none";
    config_.gnss.holdover_max_s = 20;
    for (const char* host : {"a.test", "b.test", "c.test"}) {
      config_.upstreams.emplace_back();
      config_.upstreams.back().host = host;
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void begin(std::int64_t before_s, const std::optional<ClockState>& on_page = std::nullopt) {
    world_.emplace(inserted, before_s);
    state_ = {};
    passes_ = 0;
    restart(on_page);
  }
  void restart(const std::optional<ClockState>& on_page) {
    engine_.reset();
    engine_.emplace(config_, upstreams_.panel, PlayedWorld::hz, -25, on_page);
  }

  // New ones, that announce the leap second. The engine holds on to them until it is begun anew.
  void take_upstreams(UpstreamTrust trust, bool are_authenticated) {
    upstreams_ = PlayedUpstreams(3, 1);
    for (std::size_t i = 0; i < config_.upstreams.size(); ++i) {
      config_.upstreams[i].trust = trust;
      upstreams_.panel.member(i).may_lead = trust == UpstreamTrust::fallback;
      upstreams_.panel.member(i).authenticated = are_authenticated;
    }
  }

  // The kernel's clock is true, and pulses are stamped by it.
  void send_sample(bool is_pulse = false) {
    tests::send_sock_sample(config_.gnss.pulse.path, world_->utc_ns(), is_pulse);
  }

  void pass() {
    for (std::size_t i = 0; passes_ % 8 == 0 && i < upstreams_.servers.size(); ++i) {
      const double rate = static_cast<double>(state_.tsc_hz == 0 ? PlayedWorld::hz : state_.tsc_hz);
      if (upstreams_.ask(*world_, inserted, i, rate)) engine_->hear(i, world_->tick_after(3'000'000));
    }
    world_->pass(PlayedWorld::ns_per_s / 8);
    if (has_pulses_ && passes_ % 2 == 1) send_sample();
    if (sends_pulses_ && passes_ % 8 == 7) send_sample(true);
    if (line_ && passes_ % 8 == 0 && engine_->inputs()->receiver_fd() >= 0) {
      line_->say(world_->utc_ns() / PlayedWorld::ns_per_s);
      pollfd said{engine_->inputs()->receiver_fd(), POLLIN, 0};  // the kernel hands it over in its own time
      ASSERT_EQ(::poll(&said, 1, 60'000), 1);
      engine_->inputs()->read_receiver(world_->tick());
    }
    ++passes_;
    const ClockState before = state_;
    state_ = engine_->pass({world_->tick(), 1, world_->utc_ns()});
    ASSERT_TRUE(hwclock::is_valid(state_));
    if (state_.leap != 3) {
      ASSERT_LT(std::fabs(world_->error_ns(state_)), 5e6);
    }
    watch_for_steps(before);
  }

  // Of time that was promised before, and is.
  void watch_for_steps(const ClockState& before) {
    const auto apart_ns = [&](const hwclock::Line& one, const hwclock::Line& other) {
      const auto units = static_cast<std::int64_t>(hwclock::ntp_at(one, world_->tick()) -
                                                   hwclock::ntp_at(other, world_->tick()));
      return std::fabs(static_cast<double>(units)) * 1e9 / 0x1p32;
    };
    const bool was_promised = before.stratum != 0 && state_.stratum != 0;
    if (was_promised && before.tai_minus_utc_s == state_.tai_minus_utc_s) {
      ASSERT_EQ(before.step_count, state_.step_count);
      ASSERT_LT(apart_ns({before.tsc0, before.ntp0, before.mult}, {state_.tsc0, state_.ntp0, state_.mult}),
                1'000.0);
    }
    if (was_promised && before.smear.valid_until != 0 && world_->to_change_s() > -day_s / 2) {
      ASSERT_NE(state_.smear.valid_until, 0U) << "smeared clients were left alone";
      ASSERT_LT(apart_ns(before.smear.line, state_.smear.line), 1'000.0);
    }
  }

  // Passes until it is in that state; false when that does not come within an hour of simulated time.
  bool until(State wanted) {
    for (int i = 0; i < 8 * 3600 && state_.state != wanted && !HasFatalFailure(); ++i) pass();
    return state_.state == wanted;
  }
  void until_change(double to_change_s) {
    while (world_->to_change_s() > to_change_s && !HasFatalFailure()) pass();
  }

  // How far smeared time is ahead of true UTC by the books: linear, from noon to noon.
  [[nodiscard]] double smear_ns() const {
    const double begin_s = day_s / 2 + 1.0;
    const double done = (begin_s - world_->to_change_s()) / (day_s + 1.0);
    return 1e9 * (world_->to_change_s() > 0.0 ? -done : 1.0 - done);
  }
  [[nodiscard]] double smear_error_ns() const { return world_->error_ns(state_.smear.line) - smear_ns(); }

  std::filesystem::path directory_;
  Config config_;
  PlayedUpstreams upstreams_{3, 1};
  std::optional<PlayedWorld> world_;
  std::optional<ClockEngine> engine_;
  ClockState state_{};
  std::optional<PlayedLine> line_;
  bool has_pulses_ = false;    // that name their seconds
  bool sends_pulses_ = false;  // that do not
  int passes_ = 0;
};

TEST_F(ClockEngineTest, I09_FallbackMakesTheLeapSecondThatOnlyUpstreamsAnnounce) {
  begin(200);
  ASSERT_TRUE(until(State::fallback));
  ASSERT_NO_FATAL_FAILURE(until_change(10));
  EXPECT_EQ(state_.leap, 1U);
  const std::uint64_t steps = state_.step_count;
  ASSERT_NO_FATAL_FAILURE(until_change(0.5));
  EXPECT_EQ(state_.leap, 3U);
  for (PlayedServer& server : upstreams_.servers) server.announces = 0;
  ASSERT_NO_FATAL_FAILURE(until_change(-60));
  EXPECT_EQ(state_.state, State::fallback);
  EXPECT_EQ(state_.step_count, steps + 1);
  EXPECT_EQ(state_.tai_minus_utc_s, 38);
  EXPECT_EQ(state_.smear.valid_until, 0U) << "nobody asked for one";
  // The receiver comes, and goes on with what happened meanwhile.
  has_pulses_ = true;
  ASSERT_TRUE(until(State::locked));
  EXPECT_EQ(state_.tai_minus_utc_s, 38);
  EXPECT_EQ(state_.step_count, steps + 1);
}

TEST_F(ClockEngineTest, B14_FallbackServesSmearedTimeThroughTheLeapSecond) {
  config_.clock.smear = hwclock::SmearKind::linear;
  begin(200);
  ASSERT_TRUE(until(State::fallback));
  ASSERT_NO_FATAL_FAILURE(until_change(10));
  ASSERT_NE(state_.smear.valid_until, 0U);
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
  EXPECT_EQ(state_.smear.reference_id, 0x7f7f01ffU) << "further down than stratum 1";
  EXPECT_THAT(engine_->sentence(), HasSubstr("fallback"));
  EXPECT_THAT(engine_->sentence(), HasSubstr("smeared time is 499.9 ms behind"));
  ASSERT_NO_FATAL_FAILURE(until_change(-60));
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
  EXPECT_GT(world_->error_ns(state_.smear.line), 4e8) << "half a second to go";

  // A run that finds it on the page goes on.
  restart(state_);
  ASSERT_NO_FATAL_FAILURE(until_change(-120));
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
  EXPECT_EQ(state_.tai_minus_utc_s, 38);
}

TEST_F(ClockEngineTest, B14_AHandOverAndItsReturnAreNoStepOfSmearedTime) {
  config_.clock.smear = hwclock::SmearKind::linear;
  begin(3'600);
  ASSERT_TRUE(until(State::fallback));
  // A receiver that knows of no leap second smears none: it comes after what only the upstreams announced has
  // happened, and then it is known to both.
  ASSERT_NO_FATAL_FAILURE(until_change(-60));
  has_pulses_ = true;
  ASSERT_TRUE(until(State::locked));
  EXPECT_EQ(state_.source, Source::pps);
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
  EXPECT_EQ(state_.smear.reference_id, 0x534d4552U);
  has_pulses_ = false;
  ASSERT_TRUE(until(State::fallback));
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
  has_pulses_ = true;
  ASSERT_TRUE(until(State::locked));
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
  // The next run finds it on the page, also for the upstreams, whose own promise it is not.
  restart(state_);
  ASSERT_NO_FATAL_FAILURE(pass());
  ASSERT_TRUE(until(State::locked));
  has_pulses_ = false;
  ASSERT_TRUE(until(State::fallback));
  EXPECT_EQ(state_.tai_minus_utc_s, 38);
  EXPECT_LT(std::fabs(smear_error_ns()), 5e6);
}

TEST_F(ClockEngineTest, I09_PulsesThatOnlyUpstreamsDateMakeTheLeapSecondThatTheseAnnounce) {
  struct Case {
    UpstreamTrust trust;
    bool are_authenticated;
  };
  for (const Case& one : {Case{UpstreamTrust::fallback, true},
                          {UpstreamTrust::witness, true},
                          {UpstreamTrust::witness, false}}) {
    SCOPED_TRACE(testing::Message() << static_cast<int>(one.trust) << one.are_authenticated);
    take_upstreams(one.trust, one.are_authenticated);
    config_.clock.unauthenticated_date = !one.are_authenticated;
    begin(600);
    sends_pulses_ = true;
    ASSERT_TRUE(until(State::locked));
    EXPECT_EQ(state_.source, Source::pps);
    ASSERT_NO_FATAL_FAILURE(until_change(10));
    EXPECT_EQ(state_.leap, 1U);
    ASSERT_NO_FATAL_FAILURE(until_change(-60));
    EXPECT_EQ(state_.tai_minus_utc_s, 38);
    EXPECT_EQ(state_.state, State::locked);
  }
}

// One with NTS names the seconds of pulses, and so it alone may say what becomes of them, whatever a majority
// without says.
TEST_F(ClockEngineTest, I09_OfPulsesWithoutAReceiverTheOneWithNtsDecidesTheLeapSecond) {
  for (const bool announces : {true, false}) {
    SCOPED_TRACE(announces);
    take_upstreams(UpstreamTrust::fallback, false);
    config_.upstreams[0].trust = UpstreamTrust::witness;
    upstreams_.panel.member(0).may_lead = false;
    upstreams_.panel.member(0).authenticated = true;
    for (std::size_t i = 0; i < upstreams_.servers.size(); ++i)
      upstreams_.servers[i].announces = (i == 0) == announces ? 1 : 0;
    begin(600);
    sends_pulses_ = true;
    ASSERT_TRUE(until(State::locked)) << engine_->sentence();
    ASSERT_NO_FATAL_FAILURE(until_change(10));
    EXPECT_EQ(state_.leap, announces ? 1U : 0U);
    ASSERT_NO_FATAL_FAILURE(until_change(2.5));  // the others have decided
    EXPECT_EQ(state_.leap, announces ? 1U : 0U);
    EXPECT_EQ(state_.tai_minus_utc_s, 37);
    if (!announces) continue;  // a world in which a second is inserted that nobody with NTS tells of
    ASSERT_NO_FATAL_FAILURE(until_change(-5));
    EXPECT_EQ(state_.tai_minus_utc_s, 38);
  }
}

// Its messages go on a second behind ours otherwise, and end in ALARM.
TEST_F(ClockEngineTest, I09_AReceiverThatTellsNoLeapSecondMakesTheOneThatWitnessesWithNtsAnnounce) {
  line_.emplace();
  config_.gnss.receiver = line_->path();
  take_upstreams(UpstreamTrust::witness, true);
  begin(600);
  sends_pulses_ = true;
  ASSERT_TRUE(until(State::locked)) << engine_->sentence();
  ASSERT_NO_FATAL_FAILURE(until_change(10));
  EXPECT_EQ(state_.leap, 1U);
  const std::uint64_t steps = state_.step_count;
  for (PlayedServer& server : upstreams_.servers) server.announces = 0;
  ASSERT_NO_FATAL_FAILURE(until_change(8));
  EXPECT_EQ(state_.leap, 0U) << "taken back";
  for (PlayedServer& server : upstreams_.servers) server.announces = 1;
  ASSERT_NO_FATAL_FAILURE(until_change(-60));
  EXPECT_EQ(state_.tai_minus_utc_s, 38);
  EXPECT_EQ(state_.state, State::locked) << engine_->sentence();
  EXPECT_EQ(state_.step_count, steps + 1);
}

TEST_F(ClockEngineTest, I09_NobodyElseMovesAReceiversTimeNorWhatAFreshTableSays) {
  line_.emplace();
  config_.gnss.receiver = line_->path();
  config_.clock.unauthenticated_date = true;  // of pulses without one
  for (const bool are_authenticated : {false, true}) {
    SCOPED_TRACE(are_authenticated);
    if (are_authenticated) {
      config_.gnss.leap_seconds = directory_ / "fresh";
      std::ofstream(config_.gnss.leap_seconds) << list_of_leaps(inserted.change_tai_s + 86'400);
    }
    take_upstreams(UpstreamTrust::witness, are_authenticated);
    begin(600);
    sends_pulses_ = true;
    ASSERT_TRUE(until(State::locked)) << engine_->sentence();
    ASSERT_NO_FATAL_FAILURE(until_change(4));
    EXPECT_EQ(state_.leap, 0U);
    EXPECT_EQ(state_.state, State::locked);
  }
}

TEST_F(ClockEngineTest, H03_WhatUpstreamsPromisedIsHeldOverAsTheirsUnderSourceGnss) {
  begin(2 * 86'400);
  for (PlayedServer& server : upstreams_.servers) server.announces = 0;
  ASSERT_TRUE(until(State::fallback));
  for (int i = 0; i < 80; ++i) pass();
  const ClockState before = state_;
  ASSERT_EQ(before.source, Source::upstream);
  restart(before);
  ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(state_.state, State::fallback);
  EXPECT_EQ(state_.stratum, before.stratum);
  EXPECT_THAT(engine_->sentence(), HasSubstr("holding over what an earlier run served, until the upstreams"));
  // They are gone: the promise ages as theirs, and ends when it said it would.
  for (PlayedServer& server : upstreams_.servers) server.is_up = false;
  for (int i = 0; i < 80; ++i) ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(state_.state, State::fallback);
  EXPECT_GT(hwclock::dispersion_ns_at(state_, world_->tick()),
            hwclock::dispersion_ns_at(before, before.tsc0) + 100'000U);
  for (PlayedServer& server : upstreams_.servers) server.is_up = true;
  for (int i = 0; i < 8 * 60; ++i) ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(state_.state, State::fallback);
  EXPECT_EQ(state_.step_count, before.step_count);
  EXPECT_THAT(engine_->sentence(), HasSubstr("synchronised to upstreams"));
}

TEST_F(ClockEngineTest, H03_WhatAReceiverPromisedIsItsOwnToHoldOver) {
  begin(2 * 86'400);
  for (PlayedServer& server : upstreams_.servers) server.announces = 0;
  has_pulses_ = true;
  ASSERT_TRUE(until(State::locked));
  const ClockState before = state_;
  restart(before);
  ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(state_.state, State::holdover);
  EXPECT_EQ(state_.source, Source::pps);
  for (int i = 0; i < 8; ++i) ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(state_.state, State::holdover);
  EXPECT_EQ(engine_->sentence(),
            "holding over what an earlier run served, until the pulses have taught this one");
  ASSERT_TRUE(until(State::locked));
  EXPECT_EQ(state_.step_count, before.step_count);
}

// A receiver that is away, and then gpsd that refuses.
TEST_F(ClockEngineTest, H03_WhoHoldsOverAndHearsNothingSaysWhyAndPromisesNoLesson) {
  begin(2 * 86'400);
  for (PlayedServer& server : upstreams_.servers) server.announces = 0;
  has_pulses_ = true;
  ASSERT_TRUE(until(State::locked));
  const ClockState before = state_;
  has_pulses_ = false;
  restart(before);
  for (int i = 0; i < 8; ++i) ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(
      engine_->sentence(),
      "holding over what an earlier run served; this one has no time: no pulses come that agree with the "
      "oscillator");
  config_.gnss.receiver = directory_ / "line";
  restart(before);
  ASSERT_NO_FATAL_FAILURE(pass());
  EXPECT_EQ(state_.state, State::holdover);
  EXPECT_THAT(engine_->sentence(),
              StartsWith("holding over what an earlier run served; this one has no time: "));
  EXPECT_THAT(engine_->sentence(), HasSubstr(config_.gnss.receiver.native()));

  // Bound, and nobody listens there.
  const Descriptor taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  ASSERT_EQ(::bind(taken.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  config_.gnss.receiver.clear();
  config_.gnss.gpsd = GpsdAddress{"127.0.0.1", ntohs(address.sin_port)};
  config_.gnss.pulse.kind = PulseKind::gpsd;
  restart(before);
  ASSERT_NO_FATAL_FAILURE(pass());
  engine_->inputs()->read_receiver(world_->tick());
  EXPECT_THAT(engine_->sentence(), HasSubstr("this one has no time: gpsd at 127.0.0.1:"));
  EXPECT_THAT(engine_->sentence(), HasSubstr("says nothing: Connection refused"));
}

// Pulses that name no second, and nobody but the upstreams to name it.
TEST_F(ClockEngineTest, WitnessesWithNtsNameTheSecondsOfPulsesAndOthersOnlyWhereTheyMay) {
  struct Case {
    bool are_authenticated, may_any, locks;
  };
  for (const Case& one : {Case{true, false, true}, {false, false, false}, {false, true, true}}) {
    SCOPED_TRACE(testing::Message() << one.are_authenticated << one.may_any);
    config_.clock.unauthenticated_date = one.may_any;
    take_upstreams(UpstreamTrust::witness, one.are_authenticated);
    for (PlayedServer& server : upstreams_.servers) server.announces = 0;
    begin(2 * 86'400);
    sends_pulses_ = true;
    for (int i = 0; i < 8 * 120; ++i) ASSERT_NO_FATAL_FAILURE(pass());
    EXPECT_EQ(state_.state == State::locked, one.locks);
    EXPECT_EQ(state_.leap == 3, !one.locks);
    if (!one.locks) {
      EXPECT_THAT(engine_->sentence(), HasSubstr("nobody says in time which second they begin"));
    }
  }
}

}  // namespace
}  // namespace control
