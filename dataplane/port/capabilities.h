// What a device can do, asked once: the one place that reads DPDK's capability words.
//
// Offered is what the driver promises, or did when it was asked (the clocks, a flow rule); what is used of it
// is port.cc's choice and written beside. TIMESTAMPS.md section 3 says which driver promises what.
#pragma once

#include <cstdint>

#include "dataplane/shm/port_report.h"

namespace dataplane {

// Before the device is configured: driver, queues, and all features that the driver names. Throws PortError
// when it does not even tell these. `device` is the name in the config.
[[nodiscard]] shm::PortReport probe(std::uint16_t port_id, const std::string& device);

// After it was started: MAC, MTU, and what only a started device can say: its clocks, flow rules.
// Leaves no rule behind.
void probe_started(std::uint16_t port_id, std::uint16_t ntp_port, shm::PortReport& report);

struct Link {
  bool is_up = false;
  std::uint32_t mbps = 0;  // 0: not known
};
// Never waits.
[[nodiscard]] Link link_of(std::uint16_t port_id) noexcept;

}  // namespace dataplane
