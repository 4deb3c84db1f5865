// Rules in the card itself that bring NTP to our queues and leave the rest to the kernel: the bifurcated way
// of mlx4 and mlx5, whose kernel driver keeps the card (DPDK guide "mlx5", flow isolated mode).
//
// A rule knows the UDP port and not the NTP mode, so answers to a client of the host at port 123 come to us
// and are not handed on; such a client must use another source port, as chronyd does. Never tried on
// hardware: this project's machines have no such card.
#pragma once

#include <cstdint>
#include <string>

namespace dataplane {

// True when the device would take the rule for IPv4. Nothing is left in the device.
[[nodiscard]] bool can_steer_ntp(std::uint16_t port_id, std::uint16_t ntp_port) noexcept;

// Before the device is configured: from now on only what a rule names is ours. Throws PortError.
void isolate(std::uint16_t port_id, const std::string& device);
// After it was started: UDP to `ntp_port`, both families, spread over `queues`. Throws PortError.
void steer_ntp(std::uint16_t port_id, std::uint16_t ntp_port, std::uint16_t queues,
               const std::string& device);

}  // namespace dataplane
