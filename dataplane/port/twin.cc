#include "dataplane/port/twin.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include "dataplane/port/port.h"

namespace dataplane {
namespace {

// Of the kernel's frames: how many buffers one may be scattered over. Eight hold 16 KiB, more than any MTU.
constexpr std::uint16_t receive_segments = 8;
constexpr std::uint16_t transmit_frames = 64;  // the driver writes at once and keeps none

constexpr const char* tun_device = "/dev/net/tun";

// Asks before the driver does: its own word for all of these is "cannot create".
void require_room_and_permission(const std::string& interface) {
  const std::string twin = "the kernel's twin interface " + interface;
  const std::string otherwise = ", or set dataplane.host_twin = \"none\"";
  if (::access(tun_device, R_OK | W_OK) != 0) {
    throw PortError(twin + " cannot be made: " + tun_device + ": " + std::strerror(errno) +
                    "; `modprobe tun`, and let the dataplane's user read and write it" + otherwise);
  }
  const bool is_there = if_nametoindex(interface.c_str()) != 0;
  std::error_code none;
  // Only a tap has these flags in sysfs.
  if (is_there && !std::filesystem::exists("/sys/class/net/" + interface + "/tun_flags", none)) {
    throw PortError(twin +
                    " cannot be made, because an interface of that name is there and is no tap; `ip link " +
                    "del " + interface + "`, or give it another name" + otherwise);
  }
}

std::string text_of(MacAddress mac) {
  std::array<std::uint8_t, MacAddress::bytes> octets{};
  mac.store(octets.data());
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2],
                octets[3], octets[4], octets[5]);
  return text.data();
}

}  // namespace

Twin::Twin(const TwinPlan& plan, rte_mempool* buffers) : interface_(plan.interface) {
  if (plan.queues > twin_queues_max) {
    throw PortError("a port with a twin takes at most " + std::to_string(twin_queues_max) +
                    " workers; name fewer dataplane.cores");
  }
  require_room_and_permission(interface_);
  const std::string name = "net_tap_" + interface_;
  const std::string options = "iface=" + interface_ + ",mac=" + text_of(plan.mac);
  const int code = rte_vdev_init(name.c_str(), options.c_str());
  if (code != 0 || rte_eth_dev_get_port_by_name(name.c_str(), &port_id_) != 0) {
    throw PortError(
        "the kernel's twin interface " + interface_ + " cannot be made: " + rte_strerror(-code) +
        "; give the dataplane CAP_NET_ADMIN, and see that no other program holds the interface, " +
        "or set dataplane.host_twin = \"none\"");
  }
  start(plan, buffers);
}

Twin::Twin(std::uint16_t port_id, const TwinPlan& plan, rte_mempool* buffers)
    : interface_(plan.interface), port_id_(port_id) {
  start(plan, buffers);
}

Twin::~Twin() {
  static_cast<void>(rte_eth_dev_stop(port_id_));
  static_cast<void>(rte_eth_dev_close(port_id_));
}

void Twin::start(const TwinPlan& plan, rte_mempool* buffers) {
  const auto require = [&](int code, const char* step) {
    if (code == 0) return;
    static_cast<void>(rte_eth_dev_close(port_id_));  // no destructor runs after a throw from here
    throw PortError("the kernel's twin interface " + interface_ + " does not " + step + ": " +
                    rte_strerror(-code) + "; give the dataplane CAP_NET_ADMIN");
  };
  const rte_eth_conf conf{};  // no offload: the kernel does its own checksums and segments
  require(rte_eth_dev_configure(port_id_, plan.queues, plan.queues, &conf), "take its queues");
  for (std::uint16_t i = 0; i < plan.queues; ++i) {
    require(rte_eth_rx_queue_setup(port_id_, i, receive_segments, 0, nullptr, buffers), "receive");
    require(rte_eth_tx_queue_setup(port_id_, i, transmit_frames, 0, nullptr), "transmit");
  }
  require(rte_eth_dev_start(port_id_), "start");
  // The smaller one would cut the kernel off, the larger one lose frames; rings know no MTU.
  if (plan.mtu_bytes != 0) static_cast<void>(rte_eth_dev_set_mtu(port_id_, plan.mtu_bytes));
}

}  // namespace dataplane
