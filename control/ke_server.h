// The `ke` role: NTS-KE connections on TCP (RFC 8915 section 4), thousands at once in one thread.
//
// Every connection has a deadline for each phase and one from accept to close (ke_limits.h); there is a limit
// in all and one per source (an IPv4 address, an IPv6 /64), so that one stranger cannot take every place. No
// error of accept() is fatal.
#pragma once

#include "control/config.h"
#include "control/config_source.h"

namespace control {

// Serves as worker number `worker` until SIGTERM or SIGINT; SIGHUP, or admin's word, reads configuration,
// certificate and key anew and keeps the old ones if any of the new is bad. Returns the process's exit code.
// Throws ConfigError, TlsError, FileError or RoleSocketError when it cannot start.
[[nodiscard]] int run_ke(const Config& config, const ConfigSource& source, unsigned worker);

}  // namespace control
