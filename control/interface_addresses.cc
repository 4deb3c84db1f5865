#include "control/interface_addresses.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <optional>
#include <sys/socket.h>
#include <sys/time.h>

namespace control {
namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;  // the kernel's dump fills at most 32 KiB at once
constexpr timeval dump_patience{1, 0};           // the kernel answers at once; this is for a broken one

Descriptor open_route_socket(int flags, std::uint32_t groups) {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  self.nl_groups = groups;
  if (!socket.is_open() || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0) {
    throw InterfaceError(std::string("the kernel cannot be asked for addresses (") + std::strerror(errno) +
                         "); allow netlink sockets, or write [server] addresses as a list");
  }
  return socket;
}

void ask_for_all(int socket) {
  struct {
    nlmsghdr header;
    ifaddrmsg message;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.ifa_family = AF_UNSPEC;
  if (::send(socket, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request)) {
    throw InterfaceError(std::string("the kernel does not take a question for addresses (") +
                         std::strerror(errno) + "); write [server] addresses as a list");
  }
}

bool is_served(const ifaddrmsg& message, std::uint32_t flags) {
  if ((flags & IFA_F_DADFAILED) != 0) return false;
  if ((flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0) return false;
  if (message.ifa_family == AF_INET) return message.ifa_scope < RT_SCOPE_LINK;
  // IFA_F_TEMPORARY is the same bit as IFA_F_SECONDARY of IPv4.
  return message.ifa_family == AF_INET6 && message.ifa_scope < RT_SCOPE_LINK &&
         (flags & IFA_F_TEMPORARY) == 0;
}

// The address of one RTM_NEWADDR, when it is one to serve on one of the interfaces.
std::optional<shm::Address> address_in(const nlmsghdr& header, std::span<const unsigned> indexes) {
  if (header.nlmsg_type != RTM_NEWADDR || header.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return {};
  const auto* octets = reinterpret_cast<const std::uint8_t*>(&header);
  ifaddrmsg message;
  std::memcpy(&message, octets + NLMSG_HDRLEN, sizeof message);
  if (std::find(indexes.begin(), indexes.end(), message.ifa_index) == indexes.end()) return {};

  const std::size_t address_bytes = message.ifa_family == AF_INET ? 4 : 16;
  std::span<const std::uint8_t> peer;
  std::span<const std::uint8_t> local;
  std::uint32_t flags = message.ifa_flags;
  std::size_t at = NLMSG_SPACE(sizeof(ifaddrmsg));
  while (at + sizeof(rtattr) <= header.nlmsg_len) {
    rtattr attribute;
    std::memcpy(&attribute, octets + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > header.nlmsg_len - at) break;
    const std::span<const std::uint8_t> value(octets + at + RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    if (attribute.rta_type == IFA_LOCAL) local = value;
    if (attribute.rta_type == IFA_ADDRESS) peer = value;
    if (attribute.rta_type == IFA_FLAGS && value.size() == sizeof flags) {
      std::memcpy(&flags, value.data(), sizeof flags);  // all 32 of them, where ifa_flags holds eight
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  // On a point-to-point link IFA_ADDRESS is the other end's.
  const std::span<const std::uint8_t> own = local.empty() ? peer : local;
  if (!is_served(message, flags) || own.size() != address_bytes ||
      message.ifa_prefixlen > address_bytes * 8) {
    return {};
  }
  shm::Address address{};
  address.family = message.ifa_family == AF_INET ? 4 : 6;
  address.prefix_bits = message.ifa_prefixlen;
  std::copy(own.begin(), own.end(), address.octets);
  return address;
}

// A dump that changed under the kernel's hands says so, and another notification will follow; it is still the
// best there is.
std::vector<shm::Address> read_dump(int socket, std::span<const unsigned> indexes) {
  std::vector<shm::Address> addresses;
  const auto is_known = [&](const shm::Address& one) {
    return std::any_of(addresses.begin(), addresses.end(), [&](const shm::Address& other) {
      return one.family == other.family && std::memcmp(one.octets, other.octets, sizeof one.octets) == 0;
    });
  };
  std::vector<std::uint8_t> buffer(buffer_bytes);
  for (;;) {
    const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw InterfaceError(std::string("the kernel does not tell its addresses (") + std::strerror(errno) +
                           "); write [server] addresses as a list");
    }
    auto left = static_cast<std::size_t>(got);
    const std::uint8_t* at = buffer.data();
    while (left >= sizeof(nlmsghdr)) {
      const auto& header = *reinterpret_cast<const nlmsghdr*>(at);  // NLMSG_ALIGN keeps each on four octets
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) break;
      if (header.nlmsg_type == NLMSG_DONE) return addresses;
      if (header.nlmsg_type == NLMSG_ERROR) {
        throw InterfaceError("the kernel refuses to tell its addresses; write [server] addresses as a list");
      }
      if (const auto address = address_in(header, indexes); address && !is_known(*address)) {
        addresses.push_back(*address);
      }
      const std::size_t step = std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), left);
      at += step;
      left -= step;
    }
  }
}

}  // namespace

std::vector<shm::Address> addresses_of(std::span<const std::string> interfaces) {
  std::vector<unsigned> indexes;
  for (const std::string& name : interfaces) {
    if (const unsigned index = ::if_nametoindex(name.c_str()); index != 0) indexes.push_back(index);
  }
  if (indexes.empty()) return {};
  const Descriptor socket = open_route_socket(0, 0);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &dump_patience, sizeof dump_patience);
  ask_for_all(socket.get());
  return read_dump(socket.get(), indexes);
}

AddressWatch::AddressWatch()
    : socket_(open_route_socket(SOCK_NONBLOCK, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)) {}

bool AddressWatch::take() {
  std::array<std::uint8_t, 16> head;  // what it says does not matter: we look ourselves
  bool is_any = false;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), head.data(), head.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != ENOBUFS) return is_any;
    is_any = true;
  }
}

}  // namespace control
