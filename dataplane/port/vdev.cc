// vdev:DRIVER,OPTIONS - any virtual device DPDK has, for benchmarks and golden tests.
#include <rte_bus_vdev.h>
#include <rte_errno.h>

#include "dataplane/port/port.h"

namespace dataplane {

OpenedDevice open_vdev(std::string_view rest, std::uint32_t, std::uint16_t) {
  const std::size_t comma = rest.find(',');
  const std::string name(rest.substr(0, comma));
  const std::string options(comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1));
  if (const int code = rte_vdev_init(name.c_str(), options.c_str()); code != 0) {
    throw PortError("virtual device vdev:" + std::string(rest) + " cannot be made: " + rte_strerror(-code) +
                    "; see DPDK's guide for the driver's name and options");
  }
  OpenedDevice opened;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &opened.port_id) != 0) {
    throw PortError("virtual device vdev:" + std::string(rest) + " is no network port; choose a net_ driver");
  }
  return opened;
}

}  // namespace dataplane
