// A network card as the kernel's sysfs shows it, before anybody opens it: is it there, whose is it, and what
// must the operator do so that it can be ours.
//
// Both sides of the doors ask: `noonmark check` before a start, the launcher for the rights to give, and the
// dataplane before DPDK tries, whose own words for all of this are "no Ethernet ports".
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace shm {

// Where to look; tests bring trees of their own.
struct MachineRoots {
  std::filesystem::path sys = "/sys";
  std::filesystem::path dev = "/dev";
};

// "0000:3b:00.0,rx_vec_en=0" split; `address` is domain:bus:device.function in hexadecimal, in lower case.
struct PciName {
  std::string address;
  std::string options;  // the driver's, behind the comma; may be empty
};
// False when `text` does not begin with such an address.
[[nodiscard]] bool read_pci_name(std::string_view text, PciName& name);

struct PciDevice {
  bool is_there = false;
  std::uint32_t class_code = 0;         // 0x020000 is an Ethernet controller
  std::string driver;                   // the kernel's; empty: none is bound
  std::vector<std::string> interfaces;  // of that driver
  std::string iommu_group;              // a number; empty: the kernel has no IOMMU for it
  // The driver leaves the card to the kernel, and we take our share beside it (mlx4, mlx5).
  [[nodiscard]] bool is_bifurcated() const { return driver == "mlx5_core" || driver == "mlx4_core"; }
};

[[nodiscard]] PciDevice look_at_pci_device(const std::string& address, const MachineRoots& roots = {});

enum class Permission : bool { not_asked, asked };

// Why DPDK cannot use the device, as one sentence with the way out; empty when it can. With `asked`, whether
// this very process may open it counts too.
[[nodiscard]] std::string pci_trouble(const std::string& address, Permission permission,
                                      const MachineRoots& roots = {});

}  // namespace shm
