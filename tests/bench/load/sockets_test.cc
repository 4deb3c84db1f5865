#include "bench/load/sockets.h"

#include <arpa/inet.h>
#include <cstring>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <set>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>

namespace bench::load {
namespace {

constexpr int wait_ms = 10'000;  // loopback answers at once; only a broken test waits

// The other side: a socket on loopback, and who wrote to it. An IPv6 socket takes both families, and shows
// IPv4 senders as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
class Peer {
 public:
  Peer() : socket_fd_(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const int no = 0;
    EXPECT_EQ(setsockopt(socket_fd_, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no), 0);
    sockaddr_in6 here{};
    here.sin6_family = AF_INET6;
    socklen_t bytes = sizeof here;
    EXPECT_EQ(bind(socket_fd_, reinterpret_cast<const sockaddr*>(&here), bytes), 0);
    EXPECT_EQ(getsockname(socket_fd_, reinterpret_cast<sockaddr*>(&here), &bytes), 0);
    port_ = ntohs(here.sin6_port);
  }
  ~Peer() { close(socket_fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

  // Takes one datagram and sends it back; its first octet, or -1 when none came.
  int echo() {
    pollfd waiting{socket_fd_, POLLIN, 0};
    if (poll(&waiting, 1, wait_ms) != 1) return -1;
    std::uint8_t octets[2048];
    sockaddr_in6 sender{};
    socklen_t bytes = sizeof sender;
    const ssize_t count =
        recvfrom(socket_fd_, octets, sizeof octets, 0, reinterpret_cast<sockaddr*>(&sender), &bytes);
    if (count <= 0) return -1;
    char text[INET6_ADDRSTRLEN];
    senders_.insert({inet_ntop(AF_INET6, &sender.sin6_addr, text, sizeof text), sender.sin6_port});
    sendto(socket_fd_, octets, static_cast<std::size_t>(count), 0, reinterpret_cast<sockaddr*>(&sender),
           bytes);
    return octets[0];
  }
  [[nodiscard]] const std::set<std::pair<std::string, std::uint16_t>>& senders() const { return senders_; }

 private:
  int socket_fd_;
  std::uint16_t port_ = 0;
  std::set<std::pair<std::string, std::uint16_t>> senders_;
};

// Sends `count` payloads of `bytes` octets, the first octet being the payload's number from `first` on.
std::size_t send_numbered(SocketTransport& transport, std::size_t count, std::uint16_t bytes,
                          std::size_t first) {
  std::array<Datagram, burst_max> requests;
  const std::size_t room = transport.prepare({requests.data(), count}, bytes);
  for (std::size_t i = 0; i < room; ++i) {
    std::memset(requests[i].octets, 0x5a, requests[i].bytes);
    requests[i].octets[0] = static_cast<std::uint8_t>(first + i);
  }
  return transport.send(room);
}

SocketPlan plan_to(std::uint16_t port, std::uint16_t sources = 1, const std::string& client = "") {
  return {.routes = {read_route("127.0.0.1", client)}, .server_port = port, .sources = sources};
}

std::set<std::string> addresses_of(const Peer& peer) {
  std::set<std::string> addresses;
  for (const auto& [address, port] : peer.senders()) addresses.insert(address);
  return addresses;
}

TEST(SocketTransport, EveryAnswerComesBackWholeFromEverySource) {
  Peer peer;
  SocketTransport transport(plan_to(peer.port(), 3, "127.0.1.7"));
  constexpr std::size_t bursts = 6, burst = 16;
  constexpr std::uint16_t payload_bytes = 228;
  std::set<int> seen, returned;
  for (std::size_t i = 0; i < bursts; ++i) {
    ASSERT_EQ(send_numbered(transport, burst, payload_bytes, i * burst), burst);
    for (std::size_t k = 0; k < burst; ++k) seen.insert(peer.echo());
  }
  std::array<Datagram, burst_max> answers;
  // On loopback what was sent has arrived when sendto returns.
  while (const std::size_t count = transport.receive({answers.data(), 5})) {
    ASSERT_LE(count, 5U);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(answers[i].bytes, payload_bytes);
      EXPECT_EQ(answers[i].octets[payload_bytes - 1], 0x5a);
      returned.insert(answers[i].octets[0]);
    }
    transport.release();
  }
  EXPECT_EQ(seen.size(), bursts * burst);
  EXPECT_EQ(seen.count(-1), 0U);
  EXPECT_EQ(returned, seen);
  EXPECT_EQ(addresses_of(peer),
            (std::set<std::string>{"::ffff:127.0.1.7", "::ffff:127.0.1.8", "::ffff:127.0.1.9"}));
}

TEST(SocketTransport, WithoutSourceAddressesTheSourcesDifferByPort) {
  Peer peer;
  SocketTransport transport(plan_to(peer.port(), 5));
  for (std::size_t i = 0; i < 10; ++i) {
    ASSERT_EQ(send_numbered(transport, 1, 48, i), 1U);
    EXPECT_EQ(peer.echo(), static_cast<int>(i));
  }
  EXPECT_EQ(peer.senders().size(), 5U);
}

TEST(SocketTransport, IPv6AndIPv4TakeTurns) {
  if (const int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0); probe < 0) {
    GTEST_SKIP() << "this kernel has no IPv6";
  } else {
    close(probe);
  }
  Peer peer;
  SocketTransport transport({.routes = {read_route("127.0.0.1", "127.0.2.1"), read_route("::1", "::1")},
                             .server_port = peer.port(),
                             .sources = 1});
  std::array<Datagram, burst_max> answers;
  std::set<int> returned;
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_EQ(send_numbered(transport, 1, 48, i), 1U);
    ASSERT_EQ(peer.echo(), static_cast<int>(i));
    ASSERT_EQ(transport.receive(answers), 1U);
    returned.insert(answers[0].octets[0]);
  }
  EXPECT_EQ(returned.size(), 4U);
  EXPECT_EQ(addresses_of(peer), (std::set<std::string>{"::1", "::ffff:127.0.2.1"}));
}

TEST(LoadRoute, ClientsCountUpTheLast16BitsAndNoMore) {
  const Route four = read_route("10.0.0.1", "10.1.255.254");
  EXPECT_EQ(four.client_address(1)[3], 255);
  EXPECT_EQ(four.client_address(2)[1], 1) << "wraps within 16 bits";
  EXPECT_EQ(four.client_address(2)[2], 0);
  EXPECT_EQ(four.client_address(2)[3], 0);
  const Route six = read_route("fd00::1", "fd00::ff");
  EXPECT_EQ(six.client_address(1)[14], 1);
  EXPECT_EQ(six.client_address(1)[15], 0);
  EXPECT_TRUE(six.has_client());
  EXPECT_FALSE(read_route("fd00::1", "").has_client());
}

TEST(SocketTransport, NothingIsTakenFromAStranger) {
  Peer peer, stranger;
  SocketTransport transport(plan_to(peer.port()));
  ASSERT_EQ(send_numbered(transport, 1, 48, 1), 1U);
  ASSERT_EQ(peer.echo(), 1);
  const std::uint16_t source_port = peer.senders().begin()->second;
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  source.sin_port = source_port;
  const int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const std::uint8_t forged[48] = {99};
  sendto(other, forged, sizeof forged, 0, reinterpret_cast<const sockaddr*>(&source), sizeof source);
  close(other);
  std::array<Datagram, burst_max> answers;
  ASSERT_EQ(transport.receive(answers), 1U);
  EXPECT_EQ(answers[0].octets[0], 1);
  EXPECT_EQ(transport.receive(answers), 0U);
}

TEST(SocketTransport, AServerThatIsNotThereCostsNoRequestMoreThanTheRefusedOne) {
  std::uint16_t deserted;
  {
    Peer gone;
    deserted = gone.port();
  }
  SocketTransport transport(plan_to(deserted));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(send_numbered(transport, 1, 48, i), 1U);
  std::array<Datagram, burst_max> answers;
  EXPECT_EQ(transport.receive(answers), 0U);
}

TEST(SocketTransport, WhatCannotBeUsedIsRefusedWithTheReason) {
  EXPECT_THROW(SocketTransport(plan_to(123, 0)), TransportError);
  EXPECT_THROW(SocketTransport(plan_to(123, sockets_max + 1)), TransportError);
  EXPECT_THROW(SocketTransport(plan_to(123, 1, "192.0.2.1")), TransportError) << "not this host's";
  EXPECT_THROW(SocketTransport({}), TransportError) << "no server";
  EXPECT_THROW(static_cast<void>(read_route("nobody", "")), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(read_route("127.0.0.1", "::1")), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(read_route("::1", "127.0.0.1")), std::invalid_argument);
}

TEST(SocketTransport, NoPayloadLongerThanAnEthernetFrameIsPrepared) {
  Peer peer;
  SocketTransport transport(plan_to(peer.port()));
  std::array<Datagram, burst_max> requests;
  EXPECT_EQ(transport.prepare(requests, 1500), burst_max);
  EXPECT_EQ(transport.prepare(requests, 1501), 0U);
}

}  // namespace
}  // namespace bench::load
