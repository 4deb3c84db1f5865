#include "dataplane/shm/host_twin.h"

namespace shm {
namespace {

constexpr std::string_view twin_prefix = "nm-twin";
constexpr std::string_view pci_kind = "pci:";
constexpr std::string_view vdev_kind = "vdev:";

}  // namespace

bool has_twin(HostTwin wanted, std::string_view device, const MachineRoots& roots) {
  if (wanted == HostTwin::none) return false;
  if (device.starts_with(vdev_kind)) return wanted == HostTwin::all;
  PciName name;
  if (!device.starts_with(pci_kind) || !read_pci_name(device.substr(pci_kind.size()), name)) return false;
  return !look_at_pci_device(name.address, roots).is_bifurcated();
}

std::string twin_name(std::uint32_t index) { return std::string(twin_prefix) + std::to_string(index); }

bool is_twin_name(std::string_view interface) { return interface.starts_with(twin_prefix); }

}  // namespace shm
