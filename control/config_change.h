// Which keys of the configuration a running Noonmark takes at a reload, and which wait for a restart.
//
// One table says it for every key (config_change.cc); a test holds it against configs/appliance.toml, which
// names them all. Live are those that only one role reads and that nobody else has relied on at its start:
// what opens a port, binds a socket, names a file of keys or decides how many processes there are is not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/config.h"

namespace control {

// Names as in the file: "[server] addresses".
struct ConfigChange {
  std::vector<std::string> live;        // these differ, and a reload takes them
  std::vector<std::string> at_restart;  // these differ, and only a restart does
};

[[nodiscard]] ConfigChange change_between(const Config& running, const Config& fresh);

// `running` with every live key as in `fresh`. Throws ConfigError when the two together would serve nobody.
[[nodiscard]] Config with_live_keys(const Config& running, const Config& fresh);

// Every key, for the test of the table.
[[nodiscard]] std::vector<std::string> all_config_keys();

}  // namespace control
