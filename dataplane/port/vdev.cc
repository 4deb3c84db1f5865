// vdev:DRIVER,OPTIONS - any virtual device DPDK has, for benchmarks, golden tests, and the twin's.
#include <cerrno>
#include <rte_bus_vdev.h>
#include <rte_errno.h>

#include "dataplane/port/port.h"

namespace dataplane {
namespace {

// The bus and many drivers say -1 for whatever went wrong, which is no error number.
std::string reason(int code) {
  return code == -1 ? "there is no such driver, or it refused" : rte_strerror(-code);
}

// What most likely helps. The driver's own words follow in brackets (main.cc).
std::string way_out(const std::string& name, int code) {
  if (code == -EEXIST) return "give each device a number of its own";
  if (name.starts_with("net_af_xdp")) {
    return "see that its interface exists, that no XDP program is left on it (`ip link set dev INTERFACE xdp "
           "off`) and that the dataplane has CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK";
  }
  if (name.starts_with("net_tap") || name.starts_with("net_af_packet")) {
    return "see that its interface exists, and give the dataplane CAP_NET_RAW and CAP_NET_ADMIN";
  }
  return "write DRIVER and a number, like net_null0, net_ring0, net_pcap0, net_tap0, net_vhost0, "
         "net_virtio_user0 or net_memif0, and its options as DPDK's guide has them";
}

// The kernel's interface that the device stands on, where the options name one: net_tap's is its own. Empty
// for all others.
std::string interface_under(const std::string& name, const std::string& options) {
  if (!name.starts_with("net_af_xdp") && !name.starts_with("net_af_packet")) return {};
  constexpr std::string_view key = ",iface=";
  const std::string list = "," + options;
  const std::size_t at = list.rfind(key);  // DPDK takes the last
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return list.substr(begin, list.find(',', begin) - begin);
}

}  // namespace

OpenedDevice open_vdev(std::string_view rest, std::uint32_t, std::uint16_t) {
  const std::size_t comma = rest.find(',');
  const std::string name(rest.substr(0, comma));
  const std::string options(comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1));
  if (const int code = rte_vdev_init(name.c_str(), options.c_str()); code != 0) {
    throw PortError("virtual device vdev:" + std::string(rest) + " cannot be made: " + reason(code) + "; " +
                    way_out(name, code));
  }
  OpenedDevice opened;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &opened.port_id) != 0) {
    static_cast<void>(rte_vdev_uninit(name.c_str()));
    throw PortError("virtual device vdev:" + std::string(rest) + " is no network port; choose a net_ driver");
  }
  // Those that stand on the kernel's own device pass on what its hardware was meant to finish.
  opened.interface = interface_under(name, options);
  opened.unfinished_checksums = !opened.interface.empty();
  return opened;
}

}  // namespace dataplane
