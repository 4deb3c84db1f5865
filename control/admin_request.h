// One request on the operator's socket, read: which command, or what is wrong with it (admin_protocol.h).
//
// Pure, because anybody on the machine may write these octets: the fuzzer and the admin read them alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace control {

enum class AdminCommand : std::uint8_t {
  status,
  counters,
  keys,
  ports,
  clock,
  upstreams,
  rotate,
  reload,
  drain,
  undrain
};

struct AdminRequest {
  std::optional<AdminCommand> command;
  std::string fault;      // for people, when there is no command
  std::uint32_t cpu = 0;  // of drain and undrain
};

[[nodiscard]] AdminRequest read_admin_request(std::string_view text);

}  // namespace control
