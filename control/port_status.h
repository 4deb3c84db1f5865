// The ports of the stats page as a report: `noonmark ports`, and one line each for `noonmark status`.
//
// Field by field in admin_protocol.h. Believes the page no more than status.h does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>
#include <vector>

#include "dataplane/shm/pages.h"

namespace control {

// `page` may be null: there is none, or it was refused. Only a dataplane that serves now has ports.
[[nodiscard]] nlohmann::json ports_status(const shm::StatsPage* page, uid_t writer);

// One line for people for each port.
[[nodiscard]] std::vector<std::string> port_lines(const shm::StatsPage& page);

}  // namespace control
