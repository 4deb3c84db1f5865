// What everybody would write first: an NTP server on a plain UDP socket, recvmmsg and sendmmsg, one thread.
//
//   ports-server ADDRESS PORT [SESSION_FILE]
//
// With SESSION_FILE it writes there what NTS-KE would give (bench/load/session.h). It is the yardstick beside
// ports_af_packet_pps and ports_af_xdp_pps: the answers are made by the same nts::Server from the same
// octets, so that only the way of the packets differs. It asks without waiting, as a dataplane worker does,
// so that wake-ups are not what differs.
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <immintrin.h>
#include <memory>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>

#include "bench/load/session.h"
#include "dataplane/random_pool.h"
#include "nts/server.h"
#include "tests/support/packet_builder.h"

namespace {

constexpr std::size_t request_bytes_max = 1500;
constexpr int receive_buffer_bytes = 4 << 20;  // as many as the client has under way, and more

int bound_socket(const char* address, std::uint16_t port) {
  const int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(port);
  if (socket_fd < 0 || inet_pton(AF_INET, address, &here.sin_addr) != 1 ||
      bind(socket_fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) {
    throw std::runtime_error(std::string("cannot listen on ") + address + ": " + std::strerror(errno));
  }
  static_cast<void>(
      setsockopt(socket_fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes));
  return socket_fd;
}

// The kernel's clock as NTP time, and never the same twice in a row at bursts.
nts::NtpTime now() {
  constexpr std::uint64_t seconds_1900_to_1970 = 2208988800;
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto ns =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count());
  const std::uint64_t fraction = ((ns % 1'000'000'000) << 32) / 1'000'000'000;
  return nts::NtpTime{((ns / 1'000'000'000 + seconds_1900_to_1970) << 32) | fraction};
}

class SocketServer {
 public:
  SocketServer(int socket_fd, const nts::siv::Kernels& tier)
      : socket_fd_(socket_fd), keys_(tier), random_(tier), server_(tier, random_) {
    keys_.load(ring_);
    clock_.leap = 0;
    clock_.stratum = 10;
    clock_.reference = now();
  }

  [[nodiscard]] const nts::KeyRing& ring() const { return ring_; }

  // Until it is killed: the benchmark ends it.
  [[noreturn]] void run() {
    for (;;) {
      if (!serve_burst()) _mm_pause();
    }
  }

 private:
  bool serve_burst() {
    for (std::size_t i = 0; i < nts::burst_max; ++i) {
      parts_[i] = {octets_[i].data(), request_bytes_max};
      messages_[i].msg_hdr = {&senders_[i], sizeof senders_[i], &parts_[i], 1, nullptr, 0, 0};
    }
    const int count = recvmmsg(socket_fd_, messages_.data(), nts::burst_max, MSG_DONTWAIT, nullptr);
    if (count <= 0) return false;
    const nts::NtpTime received = now();
    nts::Batch& batch = *batch_;
    batch.count = static_cast<std::uint32_t>(count);
    for (std::uint32_t row = 0; row < batch.count; ++row) {
      batch.packet[row] = octets_[row].data();
      batch.packet_bytes[row] = static_cast<std::uint16_t>(messages_[row].msg_len);
      batch.received[row] = received;
    }
    server_.open_requests(batch, keys_, nts::Policy{});
    server_.prepare_answers(batch, keys_, clock_);
    server_.seal_answers(batch, now());
    answer(batch);
    return true;
  }

  void answer(const nts::Batch& batch) {
    unsigned answers = 0;
    for (std::uint32_t row = 0; row < batch.count; ++row) {
      if (batch.answer_bytes[row] == 0) continue;
      parts_[row].iov_len = batch.answer_bytes[row];
      messages_[answers++].msg_hdr = {&senders_[row], sizeof senders_[row], &parts_[row], 1, nullptr, 0, 0};
    }
    unsigned sent = 0;
    while (sent < answers) {
      const int more = sendmmsg(socket_fd_, messages_.data() + sent, answers - sent, 0);
      if (more <= 0) return;  // the client sees the loss and counts it
      sent += static_cast<unsigned>(more);
    }
  }

  int socket_fd_;
  nts::KeyRing ring_ = tests::make_ring({{tests::usual_key_id, nts::KeyState::current}});
  nts::ExpandedKeyRing keys_;
  dataplane::RandomPool random_;
  nts::Server server_;
  nts::ClockReading clock_;
  std::unique_ptr<nts::Batch> batch_ = std::make_unique<nts::Batch>();
  std::array<std::array<std::uint8_t, request_bytes_max>, nts::burst_max> octets_;
  std::array<sockaddr_in, nts::burst_max> senders_;
  std::array<iovec, nts::burst_max> parts_;
  std::array<mmsghdr, nts::burst_max> messages_{};
};

}  // namespace

int main(int count, char** words) {
  if (count != 3 && count != 4) {
    std::fputs("usage: ports-server ADDRESS PORT [SESSION_FILE]\n", stderr);
    return 2;
  }
  try {
    const nts::siv::Kernels* tier = nts::siv::choose_tier();
    if (tier == nullptr) throw std::runtime_error("no AES-SIV tier gives the known answers on this machine");
    const auto port = static_cast<std::uint16_t>(std::strtoul(words[2], nullptr, 10));
    const auto server = std::make_unique<SocketServer>(bound_socket(words[1], port), *tier);
    if (count == 4) {
      dataplane::RandomPool random(*tier);
      bench::load::write_session(words[3], bench::load::session_under(server->ring(), *tier, random));
    }
    server->run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ports-server: %s\n", error.what());
    return 1;
  }
}
