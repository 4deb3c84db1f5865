// `noonmark check FILE`: the configuration and the files it names, looked at as the roles will at their
// start, before anything is restarted.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace control {

struct ConfigCheck {
  std::vector<std::string> errors;    // "FILE:LINE:COLUMN: what is wrong; what to do"; empty: it is good
  std::vector<std::string> warnings;  // the same form: it will start, and a person should know
  nlohmann::json
      summary;  // {"server", "addresses": [text] or "auto", "devices": [text], "ntp_port", "ke_port",
                //  "clock_source", "stratum" (local only), "certificate_expires_unix_s", "pages"}
};

// Throws nothing: what is wrong is in `errors`. What this user may not look at is a warning.
[[nodiscard]] ConfigCheck check_config(const std::filesystem::path& file,
                                       std::span<const std::filesystem::path> overlays);

}  // namespace control
