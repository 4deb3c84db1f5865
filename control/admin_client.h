// The other end of the operator's socket: one question, one answer, a deadline (admin_protocol.h).
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace control {

struct AdminAnswer {
  enum class Kind : std::uint8_t {
    result,       // in `result`
    refused,      // the answer is no; `error` says why
    not_allowed,  // not for this user; `error` says who may
    nobody        // no admin answers there; `error` says where
  };
  Kind kind;
  nlohmann::json result;
  std::string error;
};

// What the reply `text` says; octets that are no reply are `refused`, with the reason.
[[nodiscard]] AdminAnswer read_admin_reply(const std::string& text);

// Asks the admin of the page directory `pages`, of one CPU where the command is about one. Waits at most
// admin_patience.
[[nodiscard]] AdminAnswer ask_admin(const std::filesystem::path& pages, std::string_view command,
                                    std::optional<std::uint32_t> cpu = {});

}  // namespace control
