// The connection to gpsd against a listener of our own on loopback: greeted, asked, lost, refused, silent and
// full. Ticks are the test's, so nothing here waits for a clock.

#include "control/gpsd_input.h"

#include <arpa/inet.h>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/sandbox.h"

namespace control {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t tick_hz = 1'000'000'000;
constexpr int patience_ms = 20'000;  // far beyond what loopback takes
const std::string greeting =
    "{\"class\":\"VERSION\",\"release\":\"3.22\",\"rev\":\"3.22\",\"proto_major\":3,\"proto_minor\":14}\r\n";
const std::string fix =
    "{\"class\":\"TPV\",\"device\":\"/dev/ttyS0\",\"mode\":3,\"time\":\"2026-11-24T12:00:00.000Z\"}\r\n";

bool is_readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, patience_ms) == 1;
}

// gpsd's side.
class Daemon {
 public:
  explicit Daemon(bool is_ipv6 = false, int backlog = 8) {
    address.host = is_ipv6 ? "::1" : "127.0.0.1";
    listener_ = Descriptor(::socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 six{};
    sockaddr_in four{};
    six.sin6_family = AF_INET6;
    six.sin6_addr = in6addr_loopback;
    four.sin_family = AF_INET;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* place =
        is_ipv6 ? reinterpret_cast<const sockaddr*>(&six) : reinterpret_cast<const sockaddr*>(&four);
    is_there = ::bind(listener_.get(), place, is_ipv6 ? sizeof six : sizeof four) == 0 &&
               ::listen(listener_.get(), backlog) == 0;
    socklen_t bytes = sizeof six;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&six), &bytes);
    address.port = ntohs(six.sin6_port);  // where both families have it
  }
  void accept() {
    ASSERT_TRUE(is_readable(listener_.get()));
    peer_ = Descriptor(::accept(listener_.get(), nullptr, nullptr));
    ASSERT_TRUE(peer_.is_open());
  }
  void say(const std::string& text) const {
    ASSERT_EQ(::send(peer_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string heard() const {
    char room[200];
    if (!is_readable(peer_.get())) return "nothing";
    const ssize_t count = ::recv(peer_.get(), room, sizeof room, 0);
    return count > 0 ? std::string(room, static_cast<std::size_t>(count)) : "";
  }
  [[nodiscard]] bool was_asked() const {
    pollfd one{peer_.get(), POLLIN, 0};
    return ::poll(&one, 1, 100) == 1;
  }
  void hang_up() { peer_.reset(); }
  void go_away() {
    peer_.reset();
    listener_.reset();
  }
  GpsdAddress address;
  bool is_there = false;

 private:
  Descriptor listener_;
  Descriptor peer_;
};

// What is heard once something can be.
std::vector<hwclock::GpsdMessage> hear(GpsdInput& input, std::uint64_t tick) {
  EXPECT_TRUE(is_readable(input.fd()));
  return input.read(tick);
}

std::uint64_t seconds(double s) { return static_cast<std::uint64_t>(s * tick_hz); }

TEST(GpsdInput, AsksOnlyWhoGreetsAsGpsdDoesAndHearsItsMessages) {
  for (const bool is_ipv6 : {false, true}) {
    Daemon daemon(is_ipv6);
    if (!daemon.is_there) GTEST_SKIP() << "this machine has no IPv6 loopback";
    GpsdInput input(daemon.address, tick_hz);
    EXPECT_EQ(input.fd(), -1);
    input.tend(1);
    ASSERT_GE(input.fd(), 0);
    daemon.accept();
    daemon.say("220 some other server\r\n");
    EXPECT_TRUE(hear(input, 2).empty());
    EXPECT_FALSE(daemon.was_asked()) << "a stranger is told nothing";
    daemon.say(greeting);
    EXPECT_EQ(hear(input, 3).size(), 1U);
    EXPECT_EQ(daemon.heard(), "?WATCH={\"enable\":true,\"json\":true,\"pps\":true};\n");
    daemon.say(fix + fix);
    const auto messages = hear(input, 4);
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<hwclock::GpsdFix>(messages[1]));
    EXPECT_TRUE(input.read(5).empty()) << "nothing came, and nobody waits";
    daemon.say(greeting);
    EXPECT_EQ(hear(input, 6).size(), 1U);
    EXPECT_FALSE(daemon.was_asked()) << "it was asked already";
    EXPECT_EQ(input.trouble(), "");
    EXPECT_EQ(input.openings(), 1U);
    EXPECT_EQ(input.dropped_lines(), 1U);
  }
}

TEST(GpsdInput, H17_OneThatIsNotThereIsTriedAtGrowingIntervals) {
  Daemon daemon;
  ASSERT_TRUE(daemon.is_there);
  daemon.go_away();
  GpsdInput input(daemon.address, tick_hz);
  std::uint64_t tick = 1;
  for (const double pause_s : {1.0, 2.0, 4.0, 8.0, 16.0, 16.0}) {
    const std::uint64_t before = input.openings();
    input.tend(tick);
    if (input.fd() >= 0) static_cast<void>(hear(input, tick));  // refused now or a moment later
    ASSERT_EQ(input.openings(), before + 1);
    ASSERT_EQ(input.fd(), -1);
    EXPECT_THAT(input.trouble(), HasSubstr(daemon.address.text() + " says nothing: Connection refused"));
    input.tend(tick + seconds(pause_s) - 1);
    EXPECT_EQ(input.openings(), before + 1) << pause_s;
    tick += seconds(pause_s);
  }
}

TEST(GpsdInput, H17_OneThatHangsUpIsTriedASecondLaterAndItsHalfLineForgotten) {
  Daemon daemon;
  ASSERT_TRUE(daemon.is_there);
  GpsdInput input(daemon.address, tick_hz);
  std::uint64_t tick = 1;
  for (int round = 0; round < 5; ++round) {
    input.tend(tick);
    ASSERT_GE(input.fd(), 0) << round;
    daemon.accept();
    daemon.say(greeting + fix + fix.substr(0, 30));
    EXPECT_EQ(hear(input, tick).size(), 2U);
    EXPECT_EQ(input.trouble(), "");
    EXPECT_THAT(daemon.heard(), HasSubstr("?WATCH"));  // who hangs up on unread octets resets
    daemon.hang_up();
    EXPECT_TRUE(hear(input, tick).empty());
    EXPECT_EQ(input.fd(), -1);
    EXPECT_THAT(input.trouble(), HasSubstr("it closed the connection"));
    tick += seconds(1.0);
  }
  EXPECT_EQ(input.dropped_lines(), 0U);
}

TEST(GpsdInput, WhoDoesNotGreetIsGivenUpSoThatWhoWaitsForItHears) {
  Daemon daemon;
  ASSERT_TRUE(daemon.is_there);
  GpsdInput input(daemon.address, tick_hz);
  input.tend(0);
  daemon.accept();
  daemon.say("what is no greeting\r\n" + fix);
  EXPECT_EQ(hear(input, 1).size(), 1U);
  input.tend(seconds(GpsdInput::greeting_s_max));
  pollfd one{input.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&one, 1, 0), 0);
  input.tend(seconds(GpsdInput::greeting_s_max) + 1);
  EXPECT_GE(input.fd(), 0) << "another one under its number would never be heard of";
  EXPECT_TRUE(hear(input, seconds(11)).empty());
  EXPECT_EQ(input.fd(), -1);
  EXPECT_THAT(input.trouble(), HasSubstr("it does not greet"));

  input.tend(seconds(12));
  daemon.accept();
  daemon.say(greeting);
  EXPECT_EQ(hear(input, seconds(12)).size(), 1U);
  input.tend(seconds(5000));
  one = {input.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&one, 1, 0), 0) << "without a fix gpsd has nothing to say";
  int is_on = 0;
  socklen_t bytes = sizeof is_on;
  ::getsockopt(input.fd(), SOL_SOCKET, SO_KEEPALIVE, &is_on, &bytes);
  EXPECT_EQ(is_on, 1);
}

// A listener that takes no more leaves a connection in the making.
TEST(GpsdInput, AConnectionThatIsNeverMadeIsGivenUp) {
  Daemon daemon(false, 0);
  ASSERT_TRUE(daemon.is_there);
  std::vector<std::unique_ptr<GpsdInput>> inputs;
  for (int i = 0; i < 8; ++i) {
    inputs.push_back(std::make_unique<GpsdInput>(daemon.address, tick_hz));
    inputs.back()->tend(0);
    ASSERT_GE(inputs.back()->fd(), 0);
  }
  for (const auto& input : inputs) {
    input->tend(seconds(GpsdInput::greeting_s_max) + 1);
    EXPECT_TRUE(hear(*input, seconds(11)).empty());
    EXPECT_EQ(input->fd(), -1);
    EXPECT_NE(input->trouble(), "");
  }
}

TEST(GpsdInput, I01_OneReadingTakesABoundedNumberOfOctets) {
  Daemon daemon;
  ASSERT_TRUE(daemon.is_there);
  GpsdInput input(daemon.address, tick_hz);
  input.tend(0);
  daemon.accept();
  daemon.say(greeting);
  static_cast<void>(hear(input, 1));
  std::string flood;
  while (flood.size() < 20 * GpsdInput::octets_max) flood += fix;
  daemon.say(flood);
  std::size_t most = 0;
  for (int i = 0; i < 10; ++i) most = std::max(most, hear(input, 2).size());
  EXPECT_GE(most, 1U);
  EXPECT_LE(most, GpsdInput::octets_max / fix.size() + 1);
}

// What the filter lets pass and what not is sandbox_test.cc's; here, that it lets this pass.
TEST(GpsdInput, ConnectsAnewInTheClockRolesSandbox) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become the clock role's user";
  Daemon daemon;
  ASSERT_TRUE(daemon.is_there);
  Config config;
  config.clock.source = ClockSource::gnss;
  config.gnss.gpsd = daemon.address;
  const pid_t child = ::fork();
  if (child == 0) {
    const Identity& identity = identity_of(Role::clock);
    if (::setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
        ::setresuid(identity.uid, identity.uid, identity.uid) != 0)
      ::_exit(2);
    try {
      enter_sandbox(Role::clock, config);
    } catch (const std::exception&) {
      ::_exit(3);
    }
    GpsdInput input(*config.gnss.gpsd, tick_hz);
    input.tend(0);
    ::_exit(input.fd() >= 0 && is_readable(input.fd()) && input.read(1).size() == 1 ? 0 : 1);
  }
  daemon.accept();
  daemon.say(greeting);
  EXPECT_THAT(daemon.heard(), HasSubstr("?WATCH"));
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace control
