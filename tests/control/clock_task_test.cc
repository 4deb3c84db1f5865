// The clock and upstream roles as processes: what a reader finds on the page, and what a restart leaves
// alone.

#include "control/clock_task.h"

#include <csignal>
#include <ctime>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "control/role_socket.h"
#include "control/upstream.h"
#include "dataplane/shm/segment.h"
#include "hwclock/system_clock.h"
#include "hwclock/tsc.h"
#include "tests/control/role_process.h"

namespace control {
namespace {

using hwclock::ClockState;
using hwclock::Judgement;
using hwclock::Verdict;
using testing::HasSubstr;
using tests::RoleProcess;
using namespace std::chrono_literals;

constexpr auto patience = 20s;  // far beyond what anything here needs, on a busy machine too

bool comes_true(const std::function<bool()>& condition) {
  const Deadline deadline = deadline_in(patience);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

class ClockTask : public testing::Test {
 protected:
  void SetUp() override {
    if (!hwclock::has_invariant_tsc()) GTEST_SKIP() << hwclock::no_invariant_tsc;
    std::string form = "/dev/shm/noonmark-clock-test-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    config_.paths.pages = form;
    std::filesystem::create_directory(config_.paths.pages / "clock");
    config_.clock.source = ClockSource::local;
    listen_for_notifications();
  }
  void TearDown() override {
    ::unsetenv("NOTIFY_SOCKET");
    if (!config_.paths.pages.empty()) std::filesystem::remove_all(config_.paths.pages);
  }

  // Plays the supervisor.
  void listen_for_notifications() {
    const std::string path = config_.paths.pages / "notify";
    supervisor_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    ASSERT_EQ(::bind(supervisor_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  bool was_notified_of(const std::string& text) {
    return comes_true([&] {
      char line[512];
      const ssize_t bytes = ::recv(supervisor_.get(), line, sizeof line, 0);
      return bytes > 0 && std::string(line, static_cast<std::size_t>(bytes)).find(text) != std::string::npos;
    });
  }

  std::function<int()> clock() {
    return [this] { return run_clock(config_); };
  }
  std::filesystem::path socket_path() const { return config_.paths.pages / "clock" / "socket"; }

  // What a reader sees once something was published after `generation`.
  ClockState published(std::uint64_t generation = 0) {
    ClockState state{};
    EXPECT_TRUE(comes_true([&] {
      try {
        const auto page = shm::Segment<shm::ClockPage>::attach(config_.paths.pages, ::geteuid());
        return page->clock.generation() > generation && page->clock.read(state, generation_);
      } catch (const shm::SegmentError&) {
        return false;  // not made yet
      }
    }));
    return state;
  }

  Config config_;
  Descriptor supervisor_;
  std::uint64_t generation_ = 0;
};

double seconds_off(const ClockState& state) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::uint64_t served = hwclock::ntp_at(state, hwclock::read_tsc_in_order());
  const std::uint64_t kernel = hwclock::ntp_of_utc(now.tv_sec * 1'000'000'000 + now.tv_nsec);
  return static_cast<double>(static_cast<std::int64_t>(served - kernel)) / 0x1p32;
}

TEST_F(ClockTask, ServesTheKernelsTimeAndGoesOnPublishing) {
  RoleProcess role(clock());
  EXPECT_TRUE(was_notified_of("READY=1"));
  const ClockState state = published();
  EXPECT_TRUE(hwclock::is_valid(state));
  EXPECT_EQ(state.state, hwclock::State::local);
  EXPECT_EQ(state.source, hwclock::Source::local);
  EXPECT_EQ(state.leap, 0U);
  EXPECT_EQ(state.stratum, 10U);
  EXPECT_EQ(state.reference_id, 0x4c4f434cU);
  EXPECT_LE(state.precision, -15);
  EXPECT_GE(state.dispersion_rate_ppb, config_.clock.drift_ppb);
  EXPECT_LT(state.dispersion0_ns, 1'000'000U);
  EXPECT_TRUE(hwclock::is_believable(state, hwclock::read_tsc_in_order()));
  EXPECT_NEAR(seconds_off(state), 0.0, 0.05);

  const std::uint64_t first = generation_;
  const ClockState later = published(first + 6);
  EXPECT_GT(static_cast<std::int64_t>(later.valid_until - state.valid_until), 0);
  EXPECT_NEAR(seconds_off(later), 0.0, 0.05);
  EXPECT_EQ(later.step_count, 0U);
  const auto reference_age =
      static_cast<std::int64_t>(hwclock::ntp_at(later, hwclock::read_tsc_in_order()) - later.reference_ntp);
  EXPECT_GE(reference_age, 0) << "P41";
  EXPECT_EQ(role.end(SIGTERM), 0);
  EXPECT_TRUE(was_notified_of("STOPPING=1"));
  EXPECT_NEAR(seconds_off(published()), 0.0, 0.05) << "what it left goes on: that is the holdover";
}

TEST_F(ClockTask, B10_SaysOfTheSystemClockWhatTheKernelSays) {
  config_.clock.source = ClockSource::system;
  RoleProcess role(clock());
  const ClockState state = published();
  const hwclock::KernelReport report = hwclock::read_kernel_report();
  EXPECT_EQ(state.source, hwclock::Source::system);
  EXPECT_NEAR(seconds_off(state), 0.0, 0.05);
  if (report.is_synchronised) {
    const bool is_good = state.dispersion0_ns < config_.clock.holdover_max_error_us * 1000U;
    EXPECT_EQ(state.leap == 3, !is_good);
  } else {
    EXPECT_EQ(state.leap, 3U);
    EXPECT_EQ(state.stratum, 0U);
    EXPECT_EQ(state.state, hwclock::State::unsync);
    EXPECT_TRUE(was_notified_of("STATUS=unsynchronised: the kernel says"));
  }
}

TEST_F(ClockTask, H03_AKilledRoleGoesOnWhereItWasWithoutAStep) {
  RoleProcess killed(clock());
  const ClockState before = published();
  EXPECT_EQ(killed.end(SIGKILL), -SIGKILL);
  RoleProcess role(clock());
  const ClockState after = published(generation_);
  EXPECT_EQ(after.step_count, before.step_count);
  EXPECT_GT(static_cast<std::int64_t>(after.tsc0 - before.tsc0), 0);
  const auto jump = static_cast<std::int64_t>(after.ntp0 - hwclock::ntp_at(before, after.tsc0));
  EXPECT_LT(static_cast<double>(std::abs(jump)) / 0x1p32, 0.001);
  EXPECT_NEAR(seconds_off(after), 0.0, 0.05);
  EXPECT_EQ(role.end(SIGTERM), 0);
}

TEST_F(ClockTask, I08_APageThatServesAnotherTimeIsLeftByACountedStep) {
  ClockState elsewhere{};
  {
    RoleProcess role(clock());
    elsewhere = published();
    EXPECT_EQ(role.end(SIGTERM), 0);
  }
  elsewhere.ntp0 += std::uint64_t{3600} << 32;
  elsewhere.step_count = 41;
  {
    auto page = shm::Segment<shm::ClockPage>::open_writable(config_.paths.pages, ::getegid());
    page->clock.publish(elsewhere);
    generation_ = page->clock.generation();
  }
  RoleProcess role(clock());
  const ClockState after = published(generation_);
  EXPECT_EQ(after.step_count, 42U);
  EXPECT_NEAR(seconds_off(after), 0.0, 0.05);
}

TEST_F(ClockTask, ASecondOneIsRefused) {
  RoleProcess role(clock());
  published();
  EXPECT_THROW((void)run_clock(config_), shm::SegmentError);
}

TEST_F(ClockTask, HearsThatThereAreNoUpstreamsAndClosesOnAnythingElse) {
  RoleProcess role(clock());
  published();
  const auto connect = [&] {
    std::optional<RoleConnection> connection;
    EXPECT_TRUE(
        comes_true([&] { return (connection = RoleConnection::connect(socket_path(), {})).has_value(); }));
    return std::move(*connection);
  };
  const auto is_closed_after = [&](const UpstreamReport& report) {
    RoleConnection connection = connect();
    EXPECT_TRUE(connection.send(report));
    ReceivedMessage none;
    return connection.receive_by(deadline_in(patience), none) == Received::closed;
  };
  UpstreamReport good{};
  good.header = {message_magic, MessageKind::upstream_report, 1};
  UpstreamReport measured = good;
  measured.source_count = 1;
  EXPECT_TRUE(is_closed_after(measured)) << "there is no such server in the configuration";
  UpstreamReport other_kind = good;
  other_kind.header.kind = MessageKind::rotate_request;
  EXPECT_TRUE(is_closed_after(other_kind));
  UpstreamReport other_magic = good;
  other_magic.header.magic = 0;
  EXPECT_TRUE(is_closed_after(other_magic));

  RoleConnection connection = connect();
  ReceivedMessage none;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(connection.send(good));
    EXPECT_EQ(connection.receive_by(deadline_in(20ms), none), Received::nothing) << "kept open, no reply";
  }
  EXPECT_EQ(role.end(SIGTERM), 0);
}

TEST_F(ClockTask, UpstreamSaysThatThereAreNoneAndFindsTheClockAgain) {
  RoleProcess upstream([this] { return run_upstream(config_); });
  EXPECT_TRUE(was_notified_of("READY=1"));
  EXPECT_TRUE(was_notified_of("STATUS=no upstreams are configured"));
  // The clock comes later; here the test itself listens in its place.
  RoleListener listener(socket_path(), 0666, {});
  std::optional<RoleConnection> peer;
  ASSERT_TRUE(comes_true([&] { return (peer = listener.accept()).has_value(); }));
  ReceivedMessage message;
  ASSERT_EQ(peer->receive_by(deadline_in(patience), message), Received::message);
  UpstreamReport report;
  ASSERT_TRUE(message.read(MessageKind::upstream_report, report));
  EXPECT_EQ(report.source_count, 0U);
  EXPECT_EQ(report.authenticated, 0U);
  EXPECT_EQ(upstream.end(SIGTERM), 0);
}

TEST(ClockSentence, SaysWhyTheClockIsNoBetter) {
  hwclock::ClockPolicy policy = clock_policy(Config::Clock{});
  EXPECT_EQ(policy.error_max_ns, 1'000'000U);
  EXPECT_EQ(policy.drift_ppb, 15'000U);
  EXPECT_EQ(policy.reference_id, 0x4c4f434cU);
  Judgement judgement{};
  judgement.error_ns = 12'345'678;
  judgement.verdict = Verdict::error_too_large;
  EXPECT_EQ(clock_sentence(judgement, policy),
            "unsynchronised: the kernel's clock is good to 12.3 ms only, [clock] holdover_max_error_us "
            "allows 1.0 ms");
  judgement.verdict = Verdict::synchronised;
  EXPECT_THAT(clock_sentence(judgement, policy), HasSubstr("good to 12.3 ms; stratum 10"));
  judgement.verdict = Verdict::declared;
  EXPECT_THAT(clock_sentence(judgement, policy), HasSubstr("nobody checked"));
  for (const Verdict verdict : {Verdict::kernel_unsynchronised, Verdict::leap_in_progress}) {
    judgement.verdict = verdict;
    EXPECT_EQ(clock_sentence(judgement, policy).rfind("unsynchronised", 0), 0U);
  }
}

}  // namespace
}  // namespace control
