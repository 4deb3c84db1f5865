// af_packet:INTERFACE - frames copied from the kernel's interface, which goes on as before. Any machine.
//
// The kernel keeps ARP, neighbour discovery, ICMP and every other port. It would also answer our port with
// "unreachable", which kernel_guard prevents. Of the frames that pass by, the host's own outgoing ones among
// them, the device is shown requests to us alone (packet_sockets, which also keeps the kernel from putting
// fragments together).
//
// Tags: the kernel takes an outer one off, and DPDK 22.11's driver puts it back as 802.1Q whatever it was. So
// a single 802.1Q tag is served here, and 802.1ad is not: it never gets this far.
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
  opened.spreads_by_source = true;  // packet_sockets.h
  return opened;
}

}  // namespace dataplane
