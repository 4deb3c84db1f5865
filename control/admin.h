// The `admin` role: turns the configuration into the settings page, follows the interfaces' addresses when
// they are "auto", and answers the operator's socket (admin_protocol.h). Sees no key.
#pragma once

#include "control/config.h"
#include "control/config_source.h"

namespace control {

// Serves until SIGTERM or SIGINT; returns the exit code. Throws ConfigError, SegmentError, RoleSocketError or
// std::runtime_error with one sentence when it cannot start.
[[nodiscard]] int run_admin(const Config& config, const ConfigSource& source);

}  // namespace control
