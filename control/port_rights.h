// What the dataplane may do beyond its user's rights: the capabilities that its ports need, and no other.
//
// Which port needs which is the drivers' own doing (dataplane/port/README.md has the table). A capability
// that stands here for one kind of port is not given for another.
#pragma once

#include <vector>

#include "control/config.h"
#include "dataplane/shm/host_twin.h"

namespace control {

// CAP_ numbers, each once. Looks into sysfs for pci: devices (`roots`).
[[nodiscard]] std::vector<unsigned> dataplane_capabilities(const Config& config,
                                                           const shm::MachineRoots& roots = {});

}  // namespace control
