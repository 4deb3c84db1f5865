// chrony's SOCK protocol, as gpsd, satpulse, phc2sys and others speak it: datagrams that say what the
// kernel's clock was off by at an instant of it. We are the one who listens, in chronyd's place.
//
// chrony's refclock_sock.c: 40 octets, native order: struct timeval, double offset in seconds (reference
// minus clock), int pulse, int leap, int padding, int magic "SOCK". With `pulse` set the offset is good to a
// fraction of a second only: which second it is, somebody else says.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace hwclock {

inline constexpr std::size_t sock_sample_bytes = 40;

struct SockSample {
  std::int64_t clock_ns = 0;  // CLOCK_REALTIME
  double offset_ns = 0.0;     // true time minus that
  bool is_pulse = false;
  std::uint32_t leap = 0;  // 0 .. 3
};

// Nothing for another size or magic, or numbers that are none (TESTS.md I01: NaN and infinities end here).
[[nodiscard]] std::optional<SockSample> read_sock_sample(std::span<const std::uint8_t> datagram) noexcept;

// The edge. Makes the socket at `path`, replacing one that nobody listens on any more but never another kind
// of file; a descriptor that the caller owns, non-blocking. Mode 0660: whoever may send time is who may write
// to it. Throws std::system_error with the path and what to do.
[[nodiscard]] int open_sock(const std::string& path);

// The next datagram's sample. `is_empty` when there was none; a datagram that is no sample gives nothing too.
[[nodiscard]] std::optional<SockSample> receive_sock_sample(int fd, bool& is_empty) noexcept;

}  // namespace hwclock
