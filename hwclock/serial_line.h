// The edge to a serial line: opens a receiver's tty, raw, and reads what is there.
//
// termios(3). Nothing is written to it: configuring a receiver is its own tool's work.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace hwclock {

// A descriptor that the caller owns, non-blocking, in raw mode at `baud` (4800 .. 921600). Throws
// std::system_error with the path and what to do.
[[nodiscard]] int open_serial_line(const std::string& path, std::uint32_t baud);

[[nodiscard]] bool is_baud(std::uint32_t baud) noexcept;

enum class LineRead : std::uint8_t { octets, nothing, gone };

// Reads into `room`; `count` octets were there. `gone`: the device was unplugged, or its other end hung up.
[[nodiscard]] LineRead read_line(int fd, std::span<std::uint8_t> room, std::size_t& count) noexcept;

}  // namespace hwclock
