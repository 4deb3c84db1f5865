// What gpsd says over its socket, a line of JSON each: fixes, when a receiver's messages came, pulses.
//
// gpsd's own library reads the lines (libgps, gps_unpack), behind a gate, for version 3.22 does not return
// from some lines that are broken: only printable lines of a bounded length get there, of a class that we
// hear and with no second class in them. Its numbers are looked at one by one: it gives whatever stood there,
// NaN and years long gone included. Format: gpsd_json(5). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hwclock/position_watch.h"

namespace hwclock {

// TPV: a fix, or that there is none.
struct GpsdFix {
  std::string device;
  bool has_fix = false;              // of two dimensions at least, and with a time
  std::int64_t utc_ns = 0;           // with a fix; whole seconds for most receivers
  std::optional<Place> place;        // with a fix
  std::int32_t gps_minus_utc_s = 0;  // leap seconds, as gpsd heard or was built with; 0: not said
};

// TOFF: a receiver's message named `reference_ns` (UTC), and began to come when CLOCK_REALTIME was
// `clock_ns`.
struct GpsdOffset {
  std::string device;
  std::int64_t reference_ns = 0;
  std::int64_t clock_ns = 0;
};

// PPS: at the edge that begins `reference_ns` (UTC), CLOCK_REALTIME was `clock_ns`.
struct GpsdPulse {
  std::string device;
  std::int64_t reference_ns = 0;
  std::int64_t clock_ns = 0;
  double error_ns = 0.0;     // what gpsd says of the way that edge came: 1 us by the kernel, 1 ms over USB
  double sawtooth_ns = 0.0;  // the edge plus this is the true second
};

// SKY.
struct GpsdSky {
  std::string device;
  std::uint8_t used = 0;  // satellites
};

// VERSION: what a connection begins with.
struct GpsdVersion {
  std::int32_t major = 0;  // of the protocol
  std::int32_t minor = 0;
};

// ERROR: it did not like what we asked.
struct GpsdRefusal {
  std::string text;  // printable
};

using GpsdMessage = std::variant<GpsdFix, GpsdOffset, GpsdPulse, GpsdSky, GpsdVersion, GpsdRefusal>;

class GpsdReader {
 public:
  // A sky full of satellites takes some kilooctets; gpsd itself sends no more.
  static constexpr std::size_t line_octets_max = 10'240;

  GpsdReader();
  ~GpsdReader();
  GpsdReader(const GpsdReader&) = delete;
  GpsdReader& operator=(const GpsdReader&) = delete;

  // The next octets of the connection; appends what they completed to `messages`.
  void take(std::span<const std::uint8_t> octets, std::vector<GpsdMessage>& messages);

  // A new connection: what was left of the last one's line is nobody's.
  void start_over() noexcept;

  // One line without its end. Nothing for classes that say nothing of the time, and for what is no message;
  // the second is counted.
  [[nodiscard]] std::optional<GpsdMessage> read(std::string_view line);

  [[nodiscard]] std::uint64_t dropped_lines() const noexcept { return dropped_; }

 private:
  struct Unpacked;  // libgps's structure: 24 kilooctets

  std::unique_ptr<Unpacked> unpacked_;
  std::string line_;
  bool is_too_long_ = false;
  std::uint64_t dropped_ = 0;
};

// gpsd may have several receivers. One is followed, until it has had nothing to say for a while and another
// one has: two that take turns would be a clock that jumps.
class GpsdDevices {
 public:
  static constexpr double patience_s = 10.0;

  explicit GpsdDevices(std::uint64_t tick_hz) noexcept : tick_hz_(static_cast<double>(tick_hz)) {}

  // Whether to hear what `device` says at `tick`. `is_good`: it is worth following.
  [[nodiscard]] bool follows(std::string_view device, bool is_good, std::uint64_t tick);

  [[nodiscard]] const std::string& followed() const noexcept { return followed_; }

 private:
  double tick_hz_;
  std::string followed_;
  bool was_good_ = false;
  std::uint64_t good_tick_ = 0;
};

}  // namespace hwclock
