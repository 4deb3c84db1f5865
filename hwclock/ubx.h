// The u-blox binary messages that matter to a clock, from a serial line that may carry anything.
//
// An octet at a time, at a bounded cost each: the checksum runs along, a length is believed only up to
// payload_max, and a message that is too short for what it should hold is dropped (TESTS.md I01,
// CVE-2025-67269). Layouts: u-blox M8 and F9 interface descriptions, "UBX protocol".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "hwclock/position_watch.h"

namespace hwclock {

// UBX-NAV-PVT: date and time of the last pulse, and whether to believe them.
struct UbxTime {
  std::int64_t utc_s = 0;        // POSIX, of the second that `nanoseconds` is relative to
  std::int32_t nanoseconds = 0;  // -1e9 .. 1e9
  std::uint32_t accuracy_ns = 0;
  bool has_fix = false;      // gnssFixOK
  bool is_resolved = false;  // date and time valid, and no uncertainty of seconds left
  std::uint8_t satellites = 0;
  Place place;  // with a fix
};

// UBX-TIM-TP: of the next pulse, not of the last.
struct UbxPulse {
  std::int32_t quantisation_ps = 0;
  bool has_quantisation = false;
};

// UBX-NAV-TIMELS.
struct UbxLeap {
  bool is_current_valid = false;
  std::int32_t gps_minus_utc_s = 0;
  bool is_change_valid = false;
  std::int32_t change_s = 0;
  std::int32_t seconds_to_change = 0;
};

// UBX-NAV-STATUS: whether the receiver itself holds its signals to be false.
struct UbxStatus {
  std::uint8_t spoofing_state = 0;  // 0 unknown, 1 none, 2 indicated, 3 indicated in several ways
};

// UBX-MON-RF, and UBX-MON-HW of older receivers: the worst of all its bands.
enum class Antenna : std::uint8_t { init = 0, unknown = 1, good = 2, short_circuit = 3, open = 4 };
struct UbxRadio {
  std::uint8_t jamming_state = 0;      // 0 unknown, 1 none, 2 warning, 3 critical: no fix
  std::uint8_t jamming_indicator = 0;  // 0 none .. 255 strong
  Antenna antenna = Antenna::unknown;
};

using UbxMessage = std::variant<UbxTime, UbxPulse, UbxLeap, UbxRadio, UbxStatus>;

// Reads a payload; nothing for other messages, and where it is too short or says what cannot be.
[[nodiscard]] std::optional<UbxMessage> read_ubx(std::uint8_t message_class, std::uint8_t id,
                                                 std::span<const std::uint8_t> payload) noexcept;

class UbxReader {
 public:
  static constexpr std::size_t payload_max = 512;  // longer ones are nothing for a clock

  // True when a message would begin with this octet as the next one.
  [[nodiscard]] bool begins(std::uint8_t octet) const noexcept {
    return octet == sync_1 && (at_ == At::sync_1 || at_ == At::sync_2);
  }
  // The next octet of the line; a message when it ended one that matters.
  std::optional<UbxMessage> take(std::uint8_t octet) noexcept;

  [[nodiscard]] std::uint64_t dropped_messages() const noexcept { return dropped_; }

 private:
  static constexpr std::uint8_t sync_1 = 0xb5;
  enum class At : std::uint8_t { sync_1, sync_2, header, payload, sum_a, sum_b };

  void drop() noexcept;

  At at_ = At::sync_1;
  std::array<std::uint8_t, 4> header_{};  // class, id, length
  std::array<std::uint8_t, payload_max> payload_{};
  std::size_t count_ = 0;
  std::size_t length_ = 0;
  std::uint8_t sum_a_ = 0;
  std::uint8_t sum_b_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace hwclock
