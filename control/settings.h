// From the configuration to what the dataplane reads: the value of the settings page.
//
// Pure but for sysfs, which says whether a pci: device leaves the kernel an interface. What else the machine
// has to say (addresses found, CPUs allowed) is brought by the caller. The dataplane's own check
// (dataplane/service.h) accepts every result.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "control/config.h"
#include "dataplane/shm/pages.h"

namespace control {

// The interfaces behind the devices, in their order: "af_packet:eth0" stands for eth0, a device with a twin
// for that (which may come only with the dataplane), a virtual device for none.
[[nodiscard]] std::vector<std::string> interfaces_of(const Config& config);

// Throws ConfigError when addresses are "auto" and no device has an interface to ask.
void require_address_source(const Config& config);

// The settings with revision 0: publishing gives the number. `found` are the addresses to use when they are
// "auto"; those beyond shm::addresses_max are left out. `last_cpu` is the one for `cores = "auto"`.
[[nodiscard]] shm::Settings settings_from(const Config& config, std::span<const shm::Address> found,
                                          std::uint32_t last_cpu);

// The operator's drained cores, which stand in no file, go over from `before` to `after`.
void keep_drained(const shm::Settings& before, shm::Settings& after) noexcept;

// True when the two differ in anything but the revision.
[[nodiscard]] bool is_change(const shm::Settings& before, const shm::Settings& after) noexcept;

// "192.0.2.1", "2001:db8::1"; without the prefix.
[[nodiscard]] std::string text_of(const shm::Address& address);

}  // namespace control
