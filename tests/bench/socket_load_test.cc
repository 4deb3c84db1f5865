// The same generator by the kernel's sockets: against the packet core behind a socket on loopback, in this
// process and thread, so that every count on one side can be held against the other's.
#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/generator.h"
#include "bench/load/session.h"
#include "bench/load/sockets.h"
#include "dataplane/random_pool.h"
#include "nts/server.h"
#include "tests/support/packet_builder.h"

namespace bench::load {
namespace {

const nts::siv::Kernels& tier() { return *nts::siv::choose_tier(); }

nts::NtpTime now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return nts::ntp_from_utc_ns(std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec);
}

// Answers whatever has come when it is told to; `spoil` may change an answer's payload, by its number from 0.
class Server {
 public:
  Server() : socket_fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof here;
    EXPECT_EQ(bind(socket_fd_, reinterpret_cast<const sockaddr*>(&here), bytes), 0);
    EXPECT_EQ(getsockname(socket_fd_, reinterpret_cast<sockaddr*>(&here), &bytes), 0);
    port_ = ntohs(here.sin_port);
    keys_.load(ring_);
    clock_.leap = 0;
    clock_.stratum = 10;
    clock_.reference = now();
  }
  ~Server() { close(socket_fd_); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  template <typename Spoil>
  void serve(Spoil&& spoil) {
    for (;;) {
      std::array<std::uint8_t, 1500> octets;
      sockaddr_in sender{};
      socklen_t bytes = sizeof sender;
      const ssize_t count = recvfrom(socket_fd_, octets.data(), octets.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&sender), &bytes);
      if (count <= 0) return;
      nts::Batch& batch = *batch_;
      batch.count = 1;
      batch.packet[0] = octets.data();
      batch.packet_bytes[0] = static_cast<std::uint16_t>(count);
      batch.received[0] = now();
      server_.open_requests(batch, keys_, nts::Policy{});
      server_.prepare_answers(batch, keys_, clock_);
      server_.seal_answers(batch, now());
      if (batch.answer_bytes[0] == 0) continue;
      spoil(std::span(octets).first(batch.answer_bytes[0]), answers_++);
      EXPECT_EQ(sendto(socket_fd_, octets.data(), batch.answer_bytes[0], 0,
                       reinterpret_cast<const sockaddr*>(&sender), bytes),
                batch.answer_bytes[0]);
    }
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const nts::KeyRing& ring() const { return ring_; }
  [[nodiscard]] std::uint64_t answers() const { return answers_; }

 private:
  int socket_fd_;
  std::uint16_t port_ = 0;
  nts::KeyRing ring_ = tests::make_ring({{tests::usual_key_id, nts::KeyState::current}});
  nts::ExpandedKeyRing keys_{tier()};
  dataplane::RandomPool random_{tier()};
  nts::Server server_{tier(), random_};
  nts::ClockReading clock_;
  std::unique_ptr<nts::Batch> batch_ = std::make_unique<nts::Batch>();
  std::uint64_t answers_ = 0;
};

class SocketLoad : public ::testing::TestWithParam<Kind> {
 protected:
  template <typename Spoil>
  const Report& load(std::uint64_t requests, Spoil&& spoil) {
    while (generator_.report().sent < requests) {
      generator_.send(32);
      server_.serve(spoil);
      while (generator_.take_answers() != 0) {
      }
    }
    generator_.give_up();
    const Report& report = generator_.report();
    EXPECT_EQ(report.answered + report.lost, report.sent);
    EXPECT_EQ(report.latencies.count(), report.answered);
    EXPECT_EQ(report.not_sent, 0U);
    return report;
  }
  static void pass(std::span<std::uint8_t>, std::uint64_t) {}
  [[nodiscard]] std::uint64_t all_faults() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : generator_.report().faults) sum += count;
    return sum;
  }
  static Plan plan() {
    Plan plan;
    plan.kind = GetParam();
    plan.window = 64;
    plan.tolerance = std::chrono::milliseconds(60'000);
    return plan;
  }

  Server server_;
  dataplane::RandomPool random_{tier()};
  Session session_ = session_under(server_.ring(), tier(), random_);
  SocketTransport transport_{
      {.routes = {read_route("127.0.0.1", "127.0.3.1")}, .server_port = server_.port(), .sources = 8}};
  Generator generator_{transport_, plan(), &session_, tier(), random_};
};

INSTANTIATE_TEST_SUITE_P(, SocketLoad, ::testing::Values(Kind::plain, Kind::nts),
                         [](const auto& one) { return one.param == Kind::nts ? "Nts" : "Plain"; });

TEST_P(SocketLoad, EveryRequestIsOneAnswerOfTheServersAndRight) {
  const Report& report = load(32 * 256, pass);
  EXPECT_EQ(report.sent, 32U * 256);
  EXPECT_EQ(report.answered, report.sent);
  EXPECT_EQ(server_.answers(), report.sent);
  EXPECT_EQ(all_faults(), 0U);
  // One answer in 1,024 brings a cookie that is used from then on.
  EXPECT_EQ(report.cookies_reused, GetParam() == Kind::nts ? 8U : 0U);
  EXPECT_GT(report.latency_ns(0.5), 0U);
  EXPECT_LE(report.latency_ns(0.5), report.latency_ns(0.999));
  EXPECT_LE(report.latency_ns(0.999), report.latency_ns(1));
}

// In the origin for plain requests, in the tag for NTS: whatever the kind, one flip is one wrong answer.
TEST_P(SocketLoad, OneFlippedOctetIsFound) {
  const Report& report = load(32 * 256, [](std::span<std::uint8_t> payload, std::uint64_t number) {
    if (number == 4321) payload[GetParam() == Kind::nts ? payload.size() - 1 : 24] ^= 0x10;
  });
  EXPECT_EQ(all_faults(), 1U);
  EXPECT_EQ(report.faults[static_cast<std::size_t>(GetParam() == Kind::nts ? Fault::tag : Fault::origin)],
            1U);
  EXPECT_EQ(report.lost, 1U);
}

}  // namespace
}  // namespace bench::load
