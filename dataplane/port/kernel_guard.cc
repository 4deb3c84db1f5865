#include "dataplane/port/kernel_guard.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dataplane {
namespace {

// Owns a descriptor until it is released.
class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_;
};

std::string text_of(std::uint8_t family, const std::uint8_t* octets) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(family == 6 ? AF_INET6 : AF_INET, octets, text, sizeof text);
  return text;
}

bool is_link_local(const shm::Address& address) noexcept {
  return address.family == 6 && address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0x80;
}

std::string way_out(int error) {
  if (error == EADDRINUSE)
    return "stop the other program that has this port (ntpd, chronyd, systemd-timesyncd?)";
  if (error == EACCES || error == EPERM) return "give the dataplane CAP_NET_BIND_SERVICE";
  return "see that this address family is enabled in the kernel";
}

}  // namespace

KernelGuard::KernelGuard(std::vector<unsigned> interfaces) : interfaces_(std::move(interfaces)) {}

KernelGuard::~KernelGuard() {
  for (const auto& [place, number] : sockets_) close(number);
}

std::vector<KernelGuard::Place> KernelGuard::places_of(std::span<const shm::Address> addresses,
                                                       std::uint16_t port) const {
  std::vector<Place> places;
  for (const shm::Address& address : addresses) {
    Place place;
    place.family = address.family;
    place.port = port;
    std::copy_n(address.octets, address.family == 6 ? 16 : 4, place.octets.begin());
    if (!is_link_local(address)) {
      places.push_back(place);
      continue;
    }
    for (const unsigned interface : interfaces_) {
      place.interface = interface;
      places.push_back(place);
    }
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

std::vector<std::string> KernelGuard::follow(std::span<const shm::Address> addresses, std::uint16_t port) {
  const std::vector<Place> wanted = places_of(addresses, port);
  std::erase_if(sockets_, [&](const auto& guarded) {
    if (std::binary_search(wanted.begin(), wanted.end(), guarded.first)) return false;
    close(guarded.second);
    return true;
  });
  std::vector<std::string> failures;
  for (const Place& place : wanted) {
    if (sockets_.contains(place)) continue;
    auto [number, failure] = open_socket(place);
    if (number >= 0) {
      sockets_.emplace(place, number);
    } else {
      failures.push_back(std::move(failure));
    }
  }
  return failures;
}

std::pair<int, std::string> KernelGuard::open_socket(const Place& place) {
  const bool is_ipv6 = place.family == 6;
  const auto failed = [&](const char* step) {
    const int error = errno;
    return std::pair<int, std::string>(
        -1, "UDP port " + std::to_string(place.port) + " at " + text_of(place.family, place.octets.data()) +
                " cannot be reserved (" + step + ": " + std::strerror(error) + "); " + way_out(error));
  };
  const auto set = [](int number, int level, int name, int value) {
    return setsockopt(number, level, name, &value, sizeof value) == 0;
  };

  Descriptor guard(socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (guard.get() < 0) return failed("socket");
  // The filter comes before the bind, so that no packet ever waits here.
  sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program = {1, &drop_all};
  if (setsockopt(guard.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return failed("filter");
  }
  if (!set(guard.get(), SOL_SOCKET, SO_RCVBUF, 1)) return failed("buffer size");  // the kernel's own minimum
  // An address may appear after us (DHCP, duplicate address detection): it is guarded from its first moment.
  if (is_ipv6) {
    if (!set(guard.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) return failed("IPv6 only");
    if (!set(guard.get(), IPPROTO_IPV6, IPV6_FREEBIND, 1)) return failed("free bind");
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(place.port);
    address.sin6_scope_id = place.interface;
    std::memcpy(&address.sin6_addr, place.octets.data(), sizeof address.sin6_addr);
    if (bind(guard.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return failed("bind");
  } else {
    if (!set(guard.get(), IPPROTO_IP, IP_FREEBIND, 1)) return failed("free bind");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(place.port);
    std::memcpy(&address.sin_addr, place.octets.data(), sizeof address.sin_addr);
    if (bind(guard.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return failed("bind");
  }
  return {guard.release(), {}};
}

}  // namespace dataplane
