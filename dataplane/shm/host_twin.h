// Which ports have a twin: an interface of the kernel beside a device that takes every frame, with the same
// MAC address, through which the kernel gets and sends what is not NTP to us (dataplane/port/twin.h).
//
// The dataplane makes it, the admin follows its addresses, the launcher gives the right to make one: all
// three ask here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/shm/pages.h"
#include "dataplane/shm/pci_device.h"

namespace shm {

// `device` as in the config. Looks into sysfs for a pci: device: a bifurcated one never has a twin.
[[nodiscard]] bool has_twin(HostTwin wanted, std::string_view device, const MachineRoots& roots = {});

// Of the device at `index` in the config: "nm-twin0" ...
[[nodiscard]] std::string twin_name(std::uint32_t index);
[[nodiscard]] bool is_twin_name(std::string_view interface);

}  // namespace shm
