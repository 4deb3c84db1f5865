#include "dataplane/port/kernel_interface.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dataplane {

KernelInterface::KernelInterface(const std::string& name, MacAddress mac)
    : name_(name), index_(if_nametoindex(name.c_str())), mac_(mac) {}

std::string KernelInterface::fault() const {
  // Any socket answers for every interface. Without one we know nothing, and nothing is no fault.
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return {};
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index_);
  const bool is_there = ioctl(any, SIOCGIFNAME, &request) == 0;  // by index: a new name is no new interface
  const bool is_gone = !is_there && errno == ENODEV;
  MacAddress mac = mac_;
  if (is_there && ioctl(any, SIOCGIFHWADDR, &request) == 0) {
    std::array<std::uint8_t, MacAddress::bytes> octets{};
    std::memcpy(octets.data(), request.ifr_hwaddr.sa_data, octets.size());
    mac = MacAddress(octets);
  }
  close(any);
  if (is_gone) return "interface " + name_ + " is gone, or was made anew";
  if (!(mac == mac_)) return "interface " + name_ + " has another MAC address now";
  return {};
}

bool KernelInterface::has_link() const {
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return true;
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index_);
  // By index, as above: flags are asked for by the name it has now.
  const bool is_told = ioctl(any, SIOCGIFNAME, &request) == 0 && ioctl(any, SIOCGIFFLAGS, &request) == 0;
  close(any);
  constexpr int working = IFF_UP | IFF_RUNNING;
  return !is_told || (request.ifr_flags & working) == working;
}

bool takes_tags_off(const std::string& name) {
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) return false;
  ethtool_value flags{};
  flags.cmd = ETHTOOL_GFLAGS;
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&flags);
  const bool is_told = ioctl(any, SIOCETHTOOL, &request) == 0;
  close(any);
  return is_told && (flags.data & ETH_FLAG_RXVLAN) != 0;
}

}  // namespace dataplane
