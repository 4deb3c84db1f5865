#include "bench/load/sockets.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <unistd.h>

namespace bench::load {
namespace {

// More than is ever under way: what is lost shall be the server's loss, not ours.
constexpr int buffer_bytes = 4 << 20;

// What bind and connect take.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(bool is_ipv6, const std::array<std::uint8_t, 16>& octets, std::uint16_t port) {
  SocketAddress address;
  if (is_ipv6) {
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    std::memcpy(&six.sin6_addr, octets.data(), sizeof six.sin6_addr);
    std::memcpy(&address.storage, &six, sizeof six);
    address.bytes = sizeof six;
  } else {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    std::memcpy(&four.sin_addr, octets.data(), sizeof four.sin_addr);
    std::memcpy(&address.storage, &four, sizeof four);
    address.bytes = sizeof four;
  }
  return address;
}

[[noreturn]] void fail(const std::string& what) { throw TransportError(what + ": " + std::strerror(errno)); }

}  // namespace

SocketTransport::SocketTransport(const SocketPlan& plan) {
  const std::size_t sockets = plan.routes.size() * plan.sources;
  if (sockets == 0 || sockets > sockets_max) {
    throw TransportError("The load by sockets takes 1 to " + std::to_string(sockets_max) +
                         " sources in all, not " + std::to_string(sockets) + ".");
  }
  for (std::size_t i = 0; i < burst_max; ++i) {
    out_parts_[i].iov_base = out_[i].data();
    in_parts_[i] = {in_[i].data(), payload_bytes_max};
    out_messages_[i].msg_hdr.msg_iov = &out_parts_[i];
    in_messages_[i].msg_hdr.msg_iov = &in_parts_[i];
    out_messages_[i].msg_hdr.msg_iovlen = in_messages_[i].msg_hdr.msg_iovlen = 1;
  }
  try {
    epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd_ < 0) fail("The kernel gives no epoll");
    sockets_.reserve(sockets);
    for (std::uint16_t source = 0; source < plan.sources; ++source) {
      for (const Route& route : plan.routes) open_source(route, plan.server_port, source);
    }
  } catch (...) {
    close_all();
    throw;
  }
}

SocketTransport::~SocketTransport() { close_all(); }

void SocketTransport::close_all() noexcept {
  for (const int socket_fd : sockets_) close(socket_fd);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

void SocketTransport::open_source(const Route& route, std::uint16_t server_port, std::uint16_t source) {
  const SocketAddress here =
      socket_address(route.is_ipv6, route.has_client() ? route.client_address(source) : route.client, 0);
  const SocketAddress server = socket_address(route.is_ipv6, route.server, server_port);
  const int socket_fd =
      socket(route.is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_fd < 0) fail("The kernel gives no more sockets (ulimit -n)");
  sockets_.push_back(socket_fd);
  if (bind(socket_fd, here.get(), here.bytes) != 0)
    fail("A source address cannot be used; it must be an address of this host");
  if (connect(socket_fd, server.get(), server.bytes) != 0) fail("There is no way to the server");
  // Without the right to force it the usual buffer has to do.
  static_cast<void>(setsockopt(socket_fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes));
  static_cast<void>(setsockopt(socket_fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<std::uint32_t>(sockets_.size() - 1);
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, socket_fd, &event) != 0) fail("The kernel refuses epoll");
}

std::size_t SocketTransport::prepare(std::span<Datagram> requests, std::uint16_t payload_bytes) {
  if (payload_bytes > payload_bytes_max) return 0;
  const std::size_t count = std::min(requests.size(), burst_max);
  for (std::size_t i = 0; i < count; ++i) {
    requests[i] = {out_[i].data(), payload_bytes, static_cast<std::uint32_t>(next_socket_)};
    out_parts_[i].iov_len = payload_bytes;
  }
  return count;
}

std::size_t SocketTransport::send(std::size_t count) {
  const int socket_fd = sockets_[next_socket_];
  next_socket_ = (next_socket_ + 1) % sockets_.size();
  std::size_t sent = 0;
  bool told = false;  // a refusal by ICMP is told once, instead of sending, and is then forgotten
  while (sent < count) {
    const int more = sendmmsg(socket_fd, out_messages_.data() + sent, static_cast<unsigned>(count - sent), 0);
    if (more > 0) {
      sent += static_cast<std::size_t>(more);
    } else if (errno == ECONNREFUSED && !told) {
      told = true;
    } else {
      break;
    }
  }
  return sent;
}

std::size_t SocketTransport::receive(std::span<Datagram> answers) {
  if (answers.empty()) return 0;
  if (ready_count_ == 0) {
    const int ready = epoll_wait(epoll_fd_, ready_.data(), static_cast<int>(ready_.size()), 0);
    ready_count_ = ready > 0 ? static_cast<std::size_t>(ready) : 0;
  }
  const std::size_t room = std::min(answers.size(), burst_max);
  while (ready_count_ > 0) {
    const std::uint32_t client = ready_[ready_count_ - 1].data.u32;
    const int count =
        recvmmsg(sockets_[client], in_messages_.data(), static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
    const std::size_t taken = count > 0 ? static_cast<std::size_t>(count) : 0;
    if (taken < room) --ready_count_;  // it is empty now
    for (std::size_t i = 0; i < taken; ++i) {
      // A longer one is cut by the kernel; no answer is longer than its request, so it is wrong either way.
      answers[i] = {in_[i].data(), static_cast<std::uint16_t>(in_messages_[i].msg_len), client};
    }
    if (taken > 0) return taken;
  }
  return 0;
}

}  // namespace bench::load
