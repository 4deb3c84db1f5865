// `noonmark run`: all roles and the dataplane on one machine, each under its own uid, without systemd.
//
// On an appliance systemd does this work, one unit a role. Here, as there: a role gets no more than it needs
// (its uid, its capabilities, no new privileges), says READY=1 when it serves, and is started again when it
// dies, with a growing pause so that a broken one costs nothing. The dataplane is started when all others
// serve. One launcher per page directory; pages stay there when it ends, and the next one goes on with them.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

namespace control {

struct LauncherOptions {
  std::filesystem::path config;
  std::vector<std::filesystem::path> overlays;
  std::optional<std::filesystem::path> pages;       // instead of [paths] pages
  std::filesystem::path bin_dir;                    // holds noonmark-control and noonmark-dataplane
  std::optional<std::filesystem::path> ready_file;  // made when every role serves, removed at the end
  // Events on stdout, one JSON object a line: {"event": "ready"}, {"event": "ended", "process": name, "how":
  // text},
  // {"event": "stopped", "exit_code": n}. The log goes on on stderr.
  bool is_json = false;
};

// Runs until SIGTERM or SIGINT, then stops every role. Returns 0 after that, 1 when a role ends before all
// were ready; its own words are on stderr. Throws ConfigError or std::runtime_error with one sentence when it
// cannot start. At SIGHUP the configuration is read anew; one without a
// fault is taken by the roles that can (README.md "Reload"), another changes nothing and is told in the log.
// Requires root.
[[nodiscard]] int run_launcher(const LauncherOptions& options);

}  // namespace control
