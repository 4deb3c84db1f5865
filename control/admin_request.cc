#include "control/admin_request.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace control {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<std::string_view, AdminCommand>, 4> commands = {
    {{"status", AdminCommand::status},
     {"counters", AdminCommand::counters},
     {"keys", AdminCommand::keys},
     {"rotate", AdminCommand::rotate}}};

}  // namespace

AdminRequest read_admin_request(std::string_view text) {
  const json request = json::parse(text, nullptr, false);
  const json* wanted = nullptr;
  if (request.is_object() && request.contains("command")) wanted = &request["command"];
  if (wanted == nullptr || !wanted->is_string()) {
    return {{}, "this is no request; send one JSON object like {\"command\": \"status\"}"};
  }
  for (const auto& [name, command] : commands) {
    if (wanted->get_ref<const std::string&>() == name) return {command, {}};
  }
  return {{}, "there is no such command; use \"status\", \"counters\", \"keys\" or \"rotate\""};
}

}  // namespace control
