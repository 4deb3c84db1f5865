#include "dataplane/shm/pci_device.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <unistd.h>

namespace shm {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t network_class = 0x02;  // the highest octet of the class code (PCI Code and ID)

// Digits of domain, bus, device and function, and what stands behind each.
constexpr std::string_view address_form = "hhhh:hh:hh.o";

std::string name_behind(const fs::path& link) {
  std::error_code none;
  const fs::path target = fs::read_symlink(link, none);
  return none ? std::string() : target.filename().native();
}

fs::path directory_of(const std::string& address, const MachineRoots& roots) {
  return roots.sys / "bus/pci/devices" / address;
}

std::string give_it_by(const std::string& address) {
  return "`dpdk-devbind.py -b vfio-pci " + address + "` gives it to Noonmark";
}

// What only vfio-pci asks for: an IOMMU, and a device file that this process may open.
std::string vfio_trouble(const std::string& device, const PciDevice& found, Permission permission,
                         const MachineRoots& roots) {
  if (found.iommu_group.empty()) {
    return device + " is bound to vfio-pci but has no IOMMU; switch it on in the firmware and boot with " +
           "intel_iommu=on or amd_iommu=on, or use af_xdp: with the kernel's driver";
  }
  const fs::path group = roots.dev / "vfio" / found.iommu_group;
  std::error_code none;
  if (!fs::exists(group, none)) {
    return device + " is in IOMMU group " + found.iommu_group + " but " + group.native() +
           " is missing; bind every device of the group to vfio-pci or to no driver";
  }
  if (permission == Permission::not_asked) return {};
  for (const fs::path& file : {roots.dev / "vfio/vfio", group}) {
    if (::access(file.c_str(), R_OK | W_OK) == 0) continue;
    return device + " cannot be opened: " + file.native() + ": " + std::strerror(errno) +
           "; give this file to the dataplane's user (a udev rule keeps it so, see dataplane/port/README.md)";
  }
  return {};
}

}  // namespace

bool read_pci_name(std::string_view text, PciName& name) {
  const std::string_view address = text.substr(0, text.find(','));
  if (address.size() != address_form.size()) return false;
  for (std::size_t i = 0; i < address.size(); ++i) {
    const auto letter = static_cast<unsigned char>(address[i]);
    const bool is_right = address_form[i] == 'h'   ? std::isxdigit(letter) != 0
                          : address_form[i] == 'o' ? letter >= '0' && letter <= '7'
                                                   : address[i] == address_form[i];
    if (!is_right) return false;
  }
  name.address = address;
  for (char& letter : name.address)
    letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  name.options = address.size() == text.size() ? std::string_view{} : text.substr(address.size() + 1);
  return true;
}

PciDevice look_at_pci_device(const std::string& address, const MachineRoots& roots) {
  const fs::path directory = directory_of(address, roots);
  PciDevice found;
  std::error_code none;
  found.is_there = fs::is_directory(directory, none);
  if (!found.is_there) return found;
  std::ifstream(directory / "class") >> std::hex >> found.class_code;
  found.driver = name_behind(directory / "driver");
  found.iommu_group = name_behind(directory / "iommu_group");
  for (const auto& entry : fs::directory_iterator(directory / "net", none)) {
    found.interfaces.push_back(entry.path().filename());
  }
  std::sort(found.interfaces.begin(), found.interfaces.end());
  return found;
}

std::string pci_trouble(const std::string& address, Permission permission, const MachineRoots& roots) {
  const std::string device = "PCI device " + address;
  const PciDevice found = look_at_pci_device(address, roots);
  if (!found.is_there) {
    return device + " is not in this machine; `lspci -D` lists those that are, network cards as \"Ethernet\"";
  }
  if (found.class_code >> 16 != network_class) {
    return device + " is no network card; `lspci -D -s " + address + "` says what it is";
  }
  if (found.driver.empty()) return device + " is bound to no driver; " + give_it_by(address);
  if (found.driver == "vfio-pci") return vfio_trouble(device, found, permission, roots);
  if (found.is_bifurcated()) {
    std::error_code none;
    if (fs::exists(directory_of(address, roots) / "infiniband", none)) return {};
    return device + " stays with " + found.driver + ", and its verbs device is missing; `modprobe " +
           (found.driver == "mlx5_core" ? "mlx5_ib" : "mlx4_ib") + " ib_uverbs` makes it";
  }
  if (found.driver == "uio_pci_generic" || found.driver == "igb_uio") {
    return device + " is bound to " + found.driver + ", which needs root and gives the card all memory; " +
           give_it_by(address);
  }
  const std::string interface = found.interfaces.empty() ? std::string() : found.interfaces.front();
  return device + " is held by the kernel's driver " + found.driver +
         (interface.empty() ? "" : " as interface " + interface) + "; " + give_it_by(address) +
         (interface.empty() ? "" : ", or use af_xdp:" + interface);
}

}  // namespace shm
