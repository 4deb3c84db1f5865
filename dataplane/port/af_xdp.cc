// af_xdp:INTERFACE - NTP requests to the served addresses go past the kernel into our queues by AF_XDP
// sockets; everything else on the interface is the kernel's, as before. Any Linux NIC whose driver knows XDP.
//
// Which program does that, and who may be there before us: xdp_redirects.h. Tags stay in the frame, so all
// that frame.cc serves is served here, but on a card that takes them off (kernel_interface.h,
// takes_tags_off).
#include <cerrno>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port/port.h"
#include "dataplane/port/xdp_redirects.h"

namespace dataplane {
namespace {

// How many receive queues the interface spreads frames over; 1 when its driver does not say.
std::uint32_t queues_of(const std::string& interface) {
  const int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return 1;
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  const bool is_told = ioctl(probe, SIOCETHTOOL, &request) == 0;
  close(probe);
  const std::uint32_t queues = channels.combined_count + channels.rx_count;
  return is_told && queues != 0 ? queues : 1;
}

}  // namespace

OpenedDevice open_af_xdp(std::string_view rest, std::uint32_t index, std::uint16_t workers) {
  // The config knows one option, ",busy_budget=N"; it comes after ours, and DPDK takes the last.
  const std::string interface(rest.substr(0, rest.find(',')));
  const std::string more_options(rest.substr(interface.size()));
  if (interface.find(' ') != std::string::npos) {
    throw PortError("af_xdp:" + interface + " is not an interface name");
  }
  if (interface.size() >= IFNAMSIZ || if_nametoindex(interface.c_str()) == 0) {
    throw PortError("interface " + interface +
                    " does not exist in this network namespace; `ip link` lists those that do");
  }
  // A queue without a worker would leave its share of the requests to the kernel.
  const std::uint32_t queues = queues_of(interface);
  if (queues > workers) {
    throw PortError("interface " + interface + " spreads frames over " + std::to_string(queues) +
                    " queues and there are " + std::to_string(workers) + " workers; `ethtool -L " +
                    interface + " combined " + std::to_string(workers) + "`, or name more dataplane.cores");
  }
  const std::string name = "net_af_xdp" + std::to_string(index);
  // busy_budget=0: with another one the driver makes a system call at each empty poll, 160 ns instead of 13
  // ns. On veth, one core flooded with requests: 41 and 35 k answers/s with 0, 42 and 37 with 64, 38 and 32
  // with 256 (two rounds, a busy machine), and at rest 0, 45 and 46 % of the core's time in the kernel.
  const std::string options = "iface=" + interface + ",queue_count=" + std::to_string(queues) +
                              ",busy_budget=0,xdp_prog=" + xdp_object_path() + more_options;
  if (const int code = rte_vdev_init(name.c_str(), options.c_str()); code != 0) {
    throw PortError(
        "interface " + interface + " cannot be opened for AF_XDP: " + rte_strerror(-code) +
        "; give the dataplane CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK, or use af_packet:" +
        interface);
  }
  OpenedDevice opened;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &opened.port_id) != 0) {
    throw PortError("interface " + interface + " was opened but has no port; this is a fault of the driver");
  }
  opened.unfinished_checksums = true;
  opened.interface = interface;
  return opened;
}

}  // namespace dataplane
