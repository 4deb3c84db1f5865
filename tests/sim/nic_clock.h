// A NIC's clock between the receiver and us: its pin stamps the pulses, and reading it costs time.
//
// An oscillator of its own that nobody steers, read through a bus: a reading takes `latency_ns` and an
// exponential rest, and the register is latched somewhere in between, which no reader can see. What is made
// of the readings is the product's: narrowest() of hwclock/phc, Stamps twice (the kernel's clock over ticks,
// the NIC's over ticks), EdgeFilter; with the gate of control/phc_input.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "hwclock/edge_filter.h"
#include "hwclock/stamps.h"
#include "tests/sim/noise.h"

namespace sim {

struct NicModel {
  bool is_used = false;
  double offset_ppb = -7'000.0;
  double walk_ppb = 0.05;
  double latency_ns = 800.0;  // of one reading over PCIe
  double jitter_ns = 150.0;   // mean of what comes on top
  double latch_part = 0.5;    // of a reading, when the register is latched: 0.5 errs to neither side
  double slow_chance = 0.0;   // of a reading that takes slow_ns more
  double slow_ns = 20'000.0;
  double resolution_ns = 8.0;  // of its stamps
};

// An edge as the engine is told it.
struct PlacedEdge {
  std::uint64_t tick = 0;
  double sigma_ns = 0.0;
};

class NicClock {
 public:
  // Gives the tick at a true time, in seconds since the simulation's second that is passing.
  using TickAt = std::function<std::uint64_t(double part_s)>;

  NicClock(const NicModel& model, std::uint64_t tick_hz, std::uint64_t seed);

  // The NIC's next second.
  void pass(std::int64_t second);
  // Somebody sets it.
  void set_by(std::int64_t ns) { set_ns_ += ns; }

  // What the clock role does 8 times a second, `part_s` after the second.
  void look(double part_s, const TickAt& tick_at);

  // A pulse on the pin, at most a tenth of a second ago. Nothing where the filter drops it, or nothing is
  // known of when it was.
  [[nodiscard]] std::optional<PlacedEdge> edge(double part_s);

  // As PhcInput::window_ns().
  [[nodiscard]] double window_ns() const { return window_ns_; }
  [[nodiscard]] std::uint64_t steps_seen() const { return stamps_.step_count(); }

 private:
  [[nodiscard]] std::int64_t at(double part_s) const;
  [[nodiscard]] std::int64_t kernel_ns(std::uint64_t tick) const;
  [[nodiscard]] bool is_narrow(std::int64_t half_width_ns);

  NicModel model_;
  double tick_hz_;
  Noise noise_;
  double rate_ppb_;
  std::int64_t second_ = 0;
  double phase_ns_ = 0.0;
  double next_phase_ns_ = 0.0;
  std::int64_t set_ns_ = 0;
  hwclock::Stamps system_;
  hwclock::Stamps stamps_;
  hwclock::EdgeFilter filter_;
  double narrow_ns_ = 0.0;
  double window_ns_ = 0.0;
};

}  // namespace sim
