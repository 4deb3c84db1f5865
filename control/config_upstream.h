// The [[upstream]] sections: which servers are asked for the time, and how.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

#include "control/config.h"

namespace control {

inline constexpr std::string_view upstream_section = "upstream";

// Reads an array of tables. Throws ConfigError with the place of what is wrong.
[[nodiscard]] std::vector<Upstream> read_upstreams(const toml::node& node, const std::string& file);

// True when one of them may give the time.
[[nodiscard]] bool has_fallback(const Config& config);

// True when one of them may name the second of pulses that come without a receiver.
[[nodiscard]] bool has_date(const Config& config);

// Refuses a source "upstream" without anybody to ask. `file` stands in the message.
void require_upstreams_agree(const Config& config, const std::string& file);

}  // namespace control
