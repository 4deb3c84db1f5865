// pci:ADDRESS[,OPTIONS] - a whole network card, taken from the kernel (vfio-pci) or shared with it (mlx).
//
// EAL looks at the cards once, when it starts, and only at those it was told of (eal.cc): here the port that
// came of it is found. What must be so before that is said by shm/pci_device.h, in the operator's words.
#include <rte_ethdev.h>

#include "dataplane/port/port.h"
#include "dataplane/shm/pci_device.h"

namespace dataplane {
namespace {

shm::PciName name_of(std::string_view rest) {
  shm::PciName name;
  if (!shm::read_pci_name(rest, name)) {
    throw PortError(
        "pci:" + std::string(rest) +
        " is not DOMAIN:BUS:DEVICE.FUNCTION, for example pci:0000:3b:00.0; `lspci -D` lists them");
  }
  return name;
}

}  // namespace

std::string require_pci_device(std::string_view rest) {
  const shm::PciName name = name_of(rest);
  if (const std::string trouble = shm::pci_trouble(name.address, shm::Permission::asked); !trouble.empty()) {
    throw PortError(trouble);
  }
  return name.options.empty() ? name.address : name.address + "," + name.options;
}

OpenedDevice open_pci(std::string_view rest, std::uint32_t, std::uint16_t) {
  const shm::PciName name = name_of(rest);
  const shm::PciDevice found = shm::look_at_pci_device(name.address);
  OpenedDevice opened;
  if (rte_eth_dev_get_port_by_name(name.address.c_str(), &opened.port_id) != 0) {
    throw PortError("PCI device " + name.address + " has no driver in this DPDK, or its driver refused it; " +
                    "see its page in DPDK's guide, or use af_xdp: with the kernel's driver");
  }
  opened.is_bifurcated = found.is_bifurcated();
  if (opened.is_bifurcated && !found.interfaces.empty()) opened.interface = found.interfaces.front();
  return opened;
}

}  // namespace dataplane
