// The edge to the kernel's PPS (RFC 2783): the last edge on a line, stamped by the kernel in its own clock.
//
// <linux/pps.h>. The stamp is late by the interrupt: 5 to 12 us on a small board, and no statistics can show
// it; what is known of it is configured (CLOCK.md section 2.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hwclock {

enum class PpsEdge : std::uint8_t { assert, clear };

struct PpsEvent {
  std::int64_t clock_ns = 0;  // CLOCK_REALTIME
  std::uint32_t sequence = 0;
};

// A descriptor that the caller owns. Throws std::system_error with what to do when the device is not there,
// cannot capture that edge, or is no PPS source.
[[nodiscard]] int open_kernel_pps(const std::string& path, PpsEdge edge);

// The last event, at once. Nothing before the first one, and when the device cannot be asked (`error`,
// errno).
[[nodiscard]] std::optional<PpsEvent> last_pps_event(int fd, PpsEdge edge, int& error) noexcept;

}  // namespace hwclock
