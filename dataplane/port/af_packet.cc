// af_packet:INTERFACE - frames copied from the kernel's interface, which goes on as before. Any machine.
//
// The kernel keeps ARP, neighbour discovery, ICMP and every other port. It would also answer our port with
// "unreachable", which kernel_guard prevents. The device sees the host's own outgoing frames too; frame.cc
// refuses them by their addresses.
//
// Two things the kernel does before we look, and DPDK 22.11's driver has no word against: it puts fragments
// of IPv4 together (the driver's fanout group asks for it), so a request in pieces is answered here although
// frame.cc refuses every fragment it sees; and it takes an outer tag off, which the driver puts back as
// 802.1Q whatever it was, so a single 802.1ad tag passes for one.
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port/port.h"

namespace dataplane {
namespace {

// Asks before the driver does: its own words for these two are "cannot probe".
void require_interface_and_permission(const std::string& interface) {
  if (interface.size() >= IFNAMSIZ || if_nametoindex(interface.c_str()) == 0) {
    throw PortError("interface " + interface +
                    " does not exist in this network namespace; `ip link` lists those that do");
  }
  const int probe = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (probe < 0) {
    throw PortError("no packet socket for interface " + interface + ": " + std::strerror(errno) +
                    "; give the dataplane CAP_NET_RAW and CAP_NET_ADMIN");
  }
  close(probe);
}

}  // namespace

OpenedDevice open_af_packet(std::string_view rest, std::uint32_t index, std::uint16_t workers) {
  const std::string interface(rest);
  if (interface.find_first_of(", ") != std::string::npos) {
    throw PortError("af_packet:" + interface + " is not an interface name");
  }
  require_interface_and_permission(interface);
  const std::string name = "net_af_packet" + std::to_string(index);
  const std::string options = "iface=" + interface + ",qpairs=" + std::to_string(workers);
  if (const int code = rte_vdev_init(name.c_str(), options.c_str()); code != 0) {
    throw PortError("interface " + interface + " cannot be opened: " + rte_strerror(-code) +
                    "; give the dataplane CAP_NET_RAW and CAP_NET_ADMIN, and see that the interface is up");
  }
  OpenedDevice opened;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &opened.port_id) != 0) {
    throw PortError("interface " + interface + " was opened but has no port; this is a fault of the driver");
  }
  opened.unfinished_checksums = true;
  opened.interface = interface;
  opened.kernel_sees_requests = true;
  return opened;
}

}  // namespace dataplane
