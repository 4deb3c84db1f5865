// The `clock` role: reads its time source, fits the TSC against it, publishes the clock page about eight
// times a second and at every step. Sees no key and no packet.
#pragma once

#include "control/config.h"

namespace control {

// Serves until SIGTERM or SIGINT; returns the exit code. Throws SegmentError, RoleSocketError or
// std::runtime_error with one sentence when it cannot start.
[[nodiscard]] int run_clock(const Config& config);

}  // namespace control
