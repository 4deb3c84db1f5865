// A NIC's clock as an input of source "gnss": what it says of the time, or the edges on one of its pins, each
// at its tick.
//
// The clock is read against the kernel's and so against the TSC, at every look. How wide the readings are is
// part of what is said: how well an event was placed, and by how much all of them may be off to one side, for
// nobody knows where inside a bracket the NIC looked. A clock that stands still, or was set since the last
// look, is no line, and tells nothing until it is one again; one that cannot be read is asked again (TESTS.md
// I07).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/config.h"
#include "hwclock/edge_filter.h"
#include "hwclock/phc.h"
#include "hwclock/stamps.h"

namespace control {

// What may be wrong with a NIC's clock when nobody declared it, in ns: whoever steers it, and how.
inline constexpr std::uint32_t phc_error_usual_ns = 100'000;

[[nodiscard]] constexpr bool is_phc_edge(PulseKind kind) noexcept {
  return kind == PulseKind::extts_rising || kind == PulseKind::extts_falling;
}

struct PhcCounters {
  std::uint64_t steps = 0;          // looks that found the clock set, or standing still
  std::uint64_t unread = 0;         // looks that got no reading, or one too wide to be worth something
  std::uint64_t doubted = 0;        // seconds for which the driver admits to more error than was declared
  std::uint64_t unplaced = 0;       // edges between which the clock was set
  std::uint64_t dropped_edges = 0;  // duplicates, the other edge of a pulse, bounces, another channel's
  PhcCounters& operator+=(const PhcCounters& other) noexcept;
};

// Why there is nothing to be had at the moment.
enum class PhcTrouble : std::uint8_t { none, unread, stands_still, set, inexact };
[[nodiscard]] const char* sentence_of(PhcTrouble trouble) noexcept;

// An edge came at `tick`; or the clock said `phc_ns` then.
struct PhcEvent {
  std::uint64_t tick = 0;
  std::int64_t phc_ns = 0;
  double sigma_ns = 0.0;  // of placing it
};

class PhcInput {
 public:
  // Opens the device and, for edges, sets its pin. Throws std::system_error with what to do. `error_max_ns`:
  // what was declared for this input.
  PhcInput(const PulseInput& input, std::int64_t error_max_ns, std::uint64_t tick_hz);

  // What came since the last look. `system` holds readings of CLOCK_REALTIME, the last one just made. False:
  // the device has gone.
  [[nodiscard]] bool look(const hwclock::Stamps& system, std::uint64_t system_half_width_ticks,
                          std::vector<PhcEvent>& events);

  [[nodiscard]] PhcCounters counters() const noexcept;
  [[nodiscard]] PhcTrouble trouble() const noexcept { return trouble_; }
  // How far all events together may be off to one side, by the widest of the readings lately used.
  [[nodiscard]] double window_ns() const noexcept { return window_ns_; }

 private:
  [[nodiscard]] bool read_clock(const hwclock::Stamps& system, std::uint64_t system_half_width_ticks,
                                int& error);
  [[nodiscard]] bool is_narrow(std::int64_t half_width_ns) noexcept;
  void take_time(std::vector<PhcEvent>& events);
  void take_edges(std::vector<PhcEvent>& events, int& error);

  const PulseInput input_;
  std::int64_t error_max_ns_;
  double tick_hz_;
  hwclock::Phc phc_;
  hwclock::Stamps stamps_;  // the NIC's clock against the TSC
  hwclock::EdgeFilter filter_;
  std::optional<hwclock::Reading> last_;
  std::uint64_t next_time_tick_ = 0;
  double narrow_ns_ = 0.0;  // half of what a good reading is wide; 0: none yet
  double window_ns_ = 0.0;
  PhcCounters counters_;
  PhcTrouble trouble_ = PhcTrouble::none;
};

}  // namespace control
