// The `upstream` role: the NTP and NTS client to other servers, and what the clock role hears of them.
//
// It owns nothing: no key, no page. Each configured server has an UpstreamSource of its own; every report
// goes to the clock role, which judges all of them together. Without [[upstream]] sections it says so.
#pragma once

#include "control/config.h"

namespace control {

// Serves until SIGTERM or SIGINT; returns the exit code.
[[nodiscard]] int run_upstream(const Config& config);

}  // namespace control
