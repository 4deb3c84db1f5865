#include "control/admin_request.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace control {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<std::string_view, AdminCommand>, 10> commands = {
    {{"status", AdminCommand::status},
     {"counters", AdminCommand::counters},
     {"keys", AdminCommand::keys},
     {"ports", AdminCommand::ports},
     {"clock", AdminCommand::clock},
     {"upstreams", AdminCommand::upstreams},
     {"rotate", AdminCommand::rotate},
     {"reload", AdminCommand::reload},
     {"drain", AdminCommand::drain},
     {"undrain", AdminCommand::undrain}}};

constexpr std::array<AdminCommand, 2> about_one_cpu = {AdminCommand::drain, AdminCommand::undrain};

AdminRequest with_cpu(AdminCommand command, const json& request) {
  const auto cpu = request.find("cpu");
  if (cpu == request.end() || !cpu->is_number_unsigned() ||
      cpu->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
    return {{}, "this command needs the number of a CPU, as in {\"command\": \"drain\", \"cpu\": 3}"};
  }
  return {command, {}, cpu->get<std::uint32_t>()};
}

}  // namespace

AdminRequest read_admin_request(std::string_view text) {
  const json request = json::parse(text, nullptr, false);
  const json* wanted = nullptr;
  if (request.is_object() && request.contains("command")) wanted = &request["command"];
  if (wanted == nullptr || !wanted->is_string()) {
    return {{}, "this is no request; send one JSON object like {\"command\": \"status\"}"};
  }
  for (const auto& [name, command] : commands) {
    if (wanted->get_ref<const std::string&>() != name) continue;
    const bool needs_cpu =
        std::find(about_one_cpu.begin(), about_one_cpu.end(), command) != about_one_cpu.end();
    return needs_cpu ? with_cpu(command, request) : AdminRequest{command, {}};
  }
  return {{},
          "there is no such command; use \"status\", \"counters\", \"keys\", \"ports\", \"clock\", "
          "\"upstreams\", \"rotate\", \"reload\", \"drain\" or \"undrain\""};
}

}  // namespace control
