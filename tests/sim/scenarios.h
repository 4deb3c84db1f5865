// The scenarios that are measured and tested, with the figures of others beside them: CLOCK.md
// sections 4.2, 4.3.
#pragma once

#include <span>
#include <vector>

#include "tests/sim/simulator.h"

namespace sim {

// One cell of the table: chrony 4.3 at its best poll, and the Kalman optimum for the same model.
struct Cell {
  OscillatorModel oscillator;
  double pulse_ns;
  double chrony_ns;
  double optimum_ns;  // predicted for one second
};
[[nodiscard]] std::span<const Cell> cells();

// S1: 60 000 s, judged from 20 000 s on.
[[nodiscard]] Scenario locked(const Cell& cell);

// S4: `lock_s` of pulses, then none for `hold_s`; looks are at 1 h, 4 h, 24 h and 7 d of it, as far as they
// fit.
[[nodiscard]] Scenario holdover(const OscillatorModel& oscillator, std::int64_t lock_s, std::int64_t hold_s);

// S5: whatever may happen to a clock, in six hours each.
[[nodiscard]] std::vector<Scenario> hardships();

// S7: a reference that is dragged off, from `drag_begin_s` on and for `drag_s`; the steeper, the sooner seen.
inline constexpr std::int64_t drag_begin_s = 7'200;
inline constexpr std::int64_t drag_s = 1'800;
struct Drag {
  Scenario scenario;
  double ns_per_s;
  std::int64_t seen_s_max;  // held over within so many seconds, in every run; 0: may not be seen at all
};
[[nodiscard]] std::vector<Drag> drags();

// Pulses that a NIC's clock has stamped, whose own readings cost time.
[[nodiscard]] std::vector<Scenario> nic_clocks();

}  // namespace sim
