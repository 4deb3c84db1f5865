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

}  // namespace sim
