// NMEA 0183 sentences that tell the time, from a serial line that may carry anything.
//
// An octet at a time, at a bounded cost each: a line is collected, and read once when it ends. What is too
// long, not printable, without a checksum or with a wrong one is counted and gone (TESTS.md I01).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "hwclock/position_watch.h"

namespace hwclock {

struct NmeaTime {
  std::int64_t utc_s = 0;  // POSIX
  bool knows_fix = false;  // RMC; ZDA says nothing of a fix
  bool has_fix = false;    // RMC says A
  // Of RMC with a fix. It does not say how sure it is: what is usual, and then some.
  static constexpr double accuracy_usual_m = 30.0;
  std::optional<Place> place;
};

// The sentence from '$' to the checksum, without the end of the line. Nothing unless it is RMC or ZDA, whole,
// with a right checksum and a date.
[[nodiscard]] std::optional<NmeaTime> read_nmea(std::string_view sentence) noexcept;

class NmeaReader {
 public:
  // The standard says 82; some receivers say a little more.
  static constexpr std::size_t sentence_max = 120;

  // A sentence begins at every such octet, whatever stood before it.
  [[nodiscard]] static bool begins(std::uint8_t octet) noexcept { return octet == '$'; }
  // The next octet of the line; a time when it ended a sentence that tells one.
  std::optional<NmeaTime> take(std::uint8_t octet) noexcept;

  [[nodiscard]] std::uint64_t dropped_lines() const noexcept { return dropped_; }

 private:
  std::array<char, sentence_max> line_{};
  std::size_t length_ = 0;
  bool is_collecting_ = false;
  std::uint64_t dropped_ = 0;
};

}  // namespace hwclock
