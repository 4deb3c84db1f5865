// The `upstream` role: will be the NTS client to other servers. Today it has no upstreams, and says so.
#pragma once

#include "control/config.h"

namespace control {

// Serves until SIGTERM or SIGINT; returns the exit code.
[[nodiscard]] int run_upstream(const Config& config);

}  // namespace control
