// The `clock` role: reads its time source, fits the TSC against it, publishes the clock page about eight
// times a second and at every step. Sees no key and no packet.
//
// It goes on from the page it finds: a restart is no step. What it leaves behind, cleanly or not, is believed
// until its own valid_until: that is the holdover.
#pragma once

#include <string>

#include "control/config.h"
#include "hwclock/kernel_model.h"

namespace control {

// What [clock] says, in hwclock's terms.
[[nodiscard]] hwclock::ClockPolicy clock_policy(const Config::Clock& clock);

// One line for people: what is said of the clock, and why no better.
[[nodiscard]] std::string clock_sentence(const hwclock::Judgement& judgement,
                                         const hwclock::ClockPolicy& policy);

// Serves until SIGTERM or SIGINT; returns the exit code. Throws SegmentError, RoleSocketError or
// std::runtime_error with one sentence when it cannot start.
[[nodiscard]] int run_clock(const Config& config);

}  // namespace control
