// The edge to a NIC's clock (PHC): what it says against the kernel's clock, and the edges on its pins.
//
// <linux/ptp_clock.h>. Several ways lead to a pair of readings; the best that the driver has is taken, and
// one it does not have is not asked for again: hardware's own pair (PTP_SYS_OFFSET_PRECISE), the register
// bracketed by the driver (EXTENDED), by the kernel (PTP_SYS_OFFSET), by us (clock_gettime). Nothing here
// ever sets a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hwclock {

// The edge that is the second.
enum class PhcEdge : std::uint8_t { rising, falling };

// From the best to the worst.
enum class PhcMethod : std::uint8_t { precise, extended, basic, gettime };

struct CrossStamp {
  std::int64_t phc_ns = 0;         // what the NIC's clock said, since its own epoch
  std::int64_t clock_ns = 0;       // CLOCK_REALTIME then,
  std::int64_t half_width_ns = 0;  // give or take this
};

struct PhcReading {
  std::int64_t before_ns = 0;  // CLOCK_REALTIME
  std::int64_t phc_ns = 0;
  std::int64_t after_ns = 0;
};

// The reading with the narrowest bracket. Nothing when none is one: a clock that was set in between ends
// before it begins.
[[nodiscard]] std::optional<CrossStamp> narrowest(std::span<const PhcReading> readings) noexcept;

// Readings a cross stamp is made of; at ten cross stamps a second ENA's limit of 125 readings a second
// leaves others 3 in 5.
inline constexpr unsigned phc_readings = 5;

class Phc {
 public:
  // Throws std::system_error with what to do when the device is not there, or is no PHC.
  explicit Phc(const std::string& path);
  Phc(const Phc&) = delete;
  Phc& operator=(const Phc&) = delete;
  ~Phc();

  // Gives `pin` to `channel` and asks for its edges of that kind, and for those only where the driver can
  // promise it; another stamps both (edge_filter.h). Throws std::system_error.
  void watch_pin(std::uint32_t pin, std::uint32_t channel, PhcEdge edge);

  // A pair of readings, now. Nothing when the device is busy or fails (`error`, errno; 0 when a later try may
  // do).
  [[nodiscard]] std::optional<CrossStamp> cross_stamp(int& error) noexcept;

  // The edges on `channel` since the last call, in the PHC's time: each once, though a queue that several
  // readers share may tell them twice. Never waits. `error`: the device has gone.
  [[nodiscard]] std::vector<std::int64_t> edges(std::uint32_t channel, int& error);

  // What edges() was told and is none: of another channel, told before, cut short, no time.
  [[nodiscard]] std::uint64_t dropped_edges() const noexcept { return dropped_edges_; }

  // How wrong the clock may be, where the driver says so (ENA's phc_error_bound), in ns.
  [[nodiscard]] std::optional<std::int64_t> error_bound_ns() const;

 private:
  [[nodiscard]] int ask(PhcMethod method, std::optional<CrossStamp>& stamp) noexcept;  // errno

  std::string path_;
  int fd_ = -1;
  PhcMethod method_ = PhcMethod::precise;
  std::int64_t last_edge_ns_ = -1;
  std::uint64_t dropped_edges_ = 0;
};

}  // namespace hwclock
