#include "control/admin_client.h"

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "control/admin_protocol.h"
#include "control/role_socket.h"
#include "control/roles.h"

namespace control {
namespace {

using nlohmann::json;

// More than the admin itself waits for the roles.
constexpr std::chrono::milliseconds admin_patience{3000};

AdminAnswer nobody(const std::filesystem::path& pages, const std::string& what) {
  return {AdminAnswer::Kind::nobody,
          {},
          what + " in " + pages.native() + "; start Noonmark, or name its page directory with --pages"};
}

// Empty when the deadline passed or the other end closed.
std::string receive_by(int socket, Deadline deadline) {
  std::string reply(reply_bytes_max, '\0');
  for (;;) {
    const ssize_t got = ::recv(socket, reply.data(), reply.size(), MSG_DONTWAIT);
    if (got >= 0) return reply.substr(0, static_cast<std::size_t>(got));
    if (errno != EAGAIN && errno != EINTR) return {};
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return {};
    pollfd waiting{socket, POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(left.count()));
  }
}

}  // namespace

AdminAnswer read_admin_reply(const std::string& text) {
  const json reply = json::parse(text, nullptr, false);
  const bool has_ok = reply.is_object() && reply.contains("ok") && reply["ok"].is_boolean();
  if (has_ok && reply["ok"] && reply.contains("result")) {
    return {AdminAnswer::Kind::result, reply["result"], {}};
  }
  if (!has_ok || !reply.contains("error") || !reply["error"].is_string()) {
    return {AdminAnswer::Kind::refused,
            {},
            "the admin's reply makes no sense; noonmark and the running server differ in version"};
  }
  const bool is_forbidden = reply.contains("code") && reply["code"] == "not_allowed";
  return {is_forbidden ? AdminAnswer::Kind::not_allowed : AdminAnswer::Kind::refused, {}, reply["error"]};
}

AdminAnswer ask_admin(const std::filesystem::path& pages, std::string_view command,
                      std::optional<std::uint32_t> cpu) {
  const std::filesystem::path path = pages / "admin" / "socket";
  const std::array<uid_t, 1> peers = {identity_of(Role::admin).uid};
  std::optional<RoleConnection> admin = RoleConnection::connect(path, peers);
  if (!admin) {
    if (::access(path.c_str(), F_OK) != 0 && errno == EACCES) {
      return {
          AdminAnswer::Kind::not_allowed, {}, "this user may not look into " + pages.native() + "; use sudo"};
    }
    return nobody(pages, "nobody answers");
  }
  json question = {{"command", command}};
  if (cpu) question["cpu"] = *cpu;
  const std::string request = question.dump();
  if (!admin->send_octets({reinterpret_cast<const std::uint8_t*>(request.data()), request.size()})) {
    return nobody(pages, "the admin role hangs up");
  }
  const std::string reply = receive_by(admin->fd(), deadline_in(admin_patience));
  if (reply.empty()) return nobody(pages, "the admin role does not answer");
  return read_admin_reply(reply);
}

}  // namespace control
