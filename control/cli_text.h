// How reports look for a person: plain ASCII, one fact a line, readable in 40 columns and through a pipe.
//
// The reports are those of admin_protocol.h. A field that is missing or of another type, as from a server of
// another version, reads as "?" and never stops the rest.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace control {

[[nodiscard]] std::string status_text(const nlohmann::json& status);
// What its first line says: a dataplane runs. False when the report does not say.
[[nodiscard]] bool is_serving(const nlohmann::json& status);
[[nodiscard]] std::string counters_text(const nlohmann::json& counters);
[[nodiscard]] std::string keys_text(const nlohmann::json& keys, std::int64_t now_unix_s);
[[nodiscard]] std::string ports_text(const nlohmann::json& ports);
// A dataplane runs and has told of its ports. False when the report does not say.
[[nodiscard]] bool has_ports(const nlohmann::json& ports);
[[nodiscard]] std::string clock_text(const nlohmann::json& clock);
// Whether clients are told a time that was measured.
[[nodiscard]] bool is_synchronised(const nlohmann::json& clock);
[[nodiscard]] std::string rotate_text(const nlohmann::json& rotate);
[[nodiscard]] std::string drain_text(const nlohmann::json& drain);
[[nodiscard]] std::string reload_text(const nlohmann::json& reload);
// Of check_config's summary: the lines after "FILE: good".
[[nodiscard]] std::string check_text(const nlohmann::json& summary, std::int64_t now_unix_s);

}  // namespace control
