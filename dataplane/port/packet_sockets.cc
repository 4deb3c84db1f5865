#include "dataplane/port/packet_sockets.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/port/packet_filter.h"
#include "dataplane/port/source_spread.h"

namespace {

// PACKET_FANOUT takes four octets, group id below and type with flags above; reading gives flags in the top
// octet.
constexpr int fanout_type_shift = 16;
constexpr int fanout_flags_read_shift = 24;
constexpr int flag_octet_shift = 8;
constexpr unsigned fanout_type_mask = 0xff;
// What the driver asks for and we do not want: fragments put together, and the frames of a queue that is full
// given to another, so that a flood of one source would be every core's.
constexpr unsigned unwanted_flags = PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER;

// Of the group that the socket has joined: what each that joins sets is the same. 0, or -1 with errno.
int spread_by_source(int socket) noexcept {
  static const std::uint32_t factor = [] {
    std::uint32_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != sizeof random) random = 0x9e3779b1;  // spreads as well
    return random | 1;
  }();
  dataplane::SourceSpread steps = dataplane::source_spread(factor);
  const sock_fprog program = {static_cast<unsigned short>(steps.size()), steps.data()};
  return static_cast<int>(
      ::syscall(SYS_setsockopt, socket, SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program));
}

}  // namespace

// In front of libc's for the whole program, the driver included: the driver is loaded later, and the loader
// looks here first. Nothing else is changed.
extern "C" int setsockopt(int number, int level, int name, const void* value, socklen_t bytes) noexcept {
  unsigned fanout = 0;
  bool is_spread_by_us = false;
  if (level == SOL_PACKET && name == PACKET_FANOUT && bytes == sizeof fanout) {
    std::memcpy(&fanout, value, sizeof fanout);
    fanout &= ~(unwanted_flags << fanout_type_shift);
    is_spread_by_us = (fanout >> fanout_type_shift & fanout_type_mask) == PACKET_FANOUT_HASH;
    if (is_spread_by_us) fanout |= unsigned{PACKET_FANOUT_CBPF} << fanout_type_shift;  // HASH is 0
    value = &fanout;
  }
  const auto result = static_cast<int>(::syscall(SYS_setsockopt, number, level, name, value, bytes));
  return result == 0 && is_spread_by_us ? spread_by_source(number) : result;
}

namespace dataplane {
namespace {

namespace fs = std::filesystem;

// Packet sockets of this process that are bound to the interface.
std::vector<int> packet_sockets_on(unsigned interface) {
  std::vector<int> found;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (!fs::read_symlink(entry.path(), error).native().starts_with("socket:")) continue;
    const int number = std::stoi(entry.path().filename());
    sockaddr_ll place{};
    socklen_t bytes = sizeof place;
    if (::getsockname(number, reinterpret_cast<sockaddr*>(&place), &bytes) != 0) continue;
    if (place.sll_family == AF_PACKET && place.sll_ifindex == static_cast<int>(interface)) {
      found.push_back(number);
    }
  }
  return found;
}

bool has_flag(int socket, unsigned flag) {
  unsigned fanout = 0;
  socklen_t bytes = sizeof fanout;
  if (::getsockopt(socket, SOL_PACKET, PACKET_FANOUT, &fanout, &bytes) != 0) return false;
  return (fanout >> fanout_flags_read_shift & flag >> flag_octet_shift) != 0;
}

}  // namespace

std::vector<std::string> PacketSockets::adopt(const std::string& interface) {
  std::vector<std::string> troubles;
  const std::vector<int> found = packet_sockets_on(if_nametoindex(interface.c_str()));
  if (found.empty()) {
    troubles.push_back(
        "the packet socket on " + interface +
        " is not found, so it cannot be filtered: other traffic of this host may cost answers");
  }
  for (const int number : found) sockets_.push_back({number, interface});
  if (!found.empty() && has_flag(found.front(), PACKET_FANOUT_FLAG_DEFRAG)) {
    troubles.push_back("the kernel puts fragments together for the port on " + interface +
                       ", so that requests in pieces are answered there");
  }
  if (!found.empty() && has_flag(found.front(), PACKET_FANOUT_FLAG_ROLLOVER)) {
    troubles.push_back("the kernel gives the frames of a full queue on " + interface +
                       " to another, so that a flood on one core is every core's");
  }
  return troubles;
}

std::vector<std::string> PacketSockets::follow(std::span<const shm::Address> addresses, std::uint16_t port) {
  std::vector<sock_filter> steps = packet_filter(addresses, port);
  const sock_fprog program = {static_cast<unsigned short>(steps.size()), steps.data()};
  std::vector<std::string> failures;
  for (const Socket& socket : sockets_) {
    if (::setsockopt(socket.number, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) continue;
    failures.push_back(
        "the packet socket on " + socket.interface + " takes no filter (" + std::strerror(errno) +
        "), so new addresses may not be heard there, or other traffic of this host may cost answers");
  }
  return failures;
}

}  // namespace dataplane
