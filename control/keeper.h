// The `keeper` role: owns the master keys. Loads or makes the ring, publishes the keys page, seals cookies
// for `ke`, rotates by hand, retires what is past its retention. It never opens a network socket.
#pragma once

#include "control/config.h"

namespace control {

// Serves until SIGTERM or SIGINT; returns the exit code. Throws SegmentError, RoleSocketError or
// std::runtime_error with one sentence when it cannot start.
[[nodiscard]] int run_keeper(const Config& config);

}  // namespace control
