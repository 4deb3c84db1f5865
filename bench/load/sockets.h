// The generator's way through the kernel: connected UDP sockets, sendmmsg and recvmmsg. By it servers that
// know no DPDK (chronyd, ntpd) are measured by the same generator as Noonmark.
//
// Each source is a socket of its own, with a port that the kernel chose. A burst leaves by one socket, the
// next burst by the next: a system call carries a whole burst, and servers that limit or hash by source see
// all of them in turn. Being connected, the sockets take nothing from anybody but the server.
#pragma once

#include <array>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <vector>

#include "bench/load/route.h"
#include "bench/load/transport.h"

namespace bench::load {

inline constexpr std::size_t sockets_max = 4096;

struct SocketPlan {
  // Taken in turn. The clients' addresses must all be this host's; without one the kernel chooses, and the
  // sources differ by port alone.
  std::vector<Route> routes;
  std::uint16_t server_port = 123;
  std::uint16_t sources = 1;  // sockets by route; no more than sockets_max in all
};

class SocketTransport final : public Transport {
 public:
  // Throws TransportError.
  explicit SocketTransport(const SocketPlan& plan);
  ~SocketTransport() override;

  [[nodiscard]] std::size_t prepare(std::span<Datagram> requests, std::uint16_t payload_bytes) override;
  [[nodiscard]] std::size_t send(std::size_t count) override;
  [[nodiscard]] std::size_t receive(std::span<Datagram> answers) override;
  void release() override {}  // the buffers are the transport's, and receive fills them anew
  // bad_checksums() stays 0: the kernel drops such datagrams itself, and they show as lost.

 private:
  static constexpr std::size_t payload_bytes_max = 1500;
  using Buffers = std::array<std::array<std::uint8_t, payload_bytes_max>, burst_max>;

  void open_source(const Route& route, std::uint16_t server_port, std::uint16_t source);
  void close_all() noexcept;

  std::vector<int> sockets_;
  int epoll_fd_ = -1;
  std::size_t next_socket_ = 0;
  std::array<epoll_event, burst_max> ready_{};  // sockets that may still hold something, the last one first
  std::size_t ready_count_ = 0;
  Buffers out_{}, in_{};
  std::array<iovec, burst_max> out_parts_{}, in_parts_{};
  std::array<mmsghdr, burst_max> out_messages_{}, in_messages_{};
};

}  // namespace bench::load
