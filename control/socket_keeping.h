// A role's sockets stay where the other roles look for them.
//
// One whose name was deleted is open and hears nobody any more, and only a start makes another: so its role
// ends, as it may at any time, and what it knows waits in its page and its files. Under a name that somebody
// else has taken, the next start would be refused: there the role goes on with those who are connected.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <sys/stat.h>
#include <vector>

#include "control/role_loop.h"
#include "control/role_socket.h"

namespace control {

constexpr std::chrono::milliseconds socket_look_interval{500};

// For ever. Throws RoleSocketError, which is to end the role.
[[nodiscard]] inline boost::asio::awaitable<void> keep_sockets(boost::asio::io_context& io,
                                                               std::vector<std::filesystem::path> sockets) {
  boost::asio::steady_timer timer(io);
  for (;;) {
    boost::system::error_code error;
    timer.expires_after(socket_look_interval);
    co_await timer.async_wait(no_throw(error));
    if (error) co_return;
    for (const std::filesystem::path& socket : sockets) {
      struct stat status {};
      if (::lstat(socket.c_str(), &status) == 0 || errno != ENOENT) continue;
      throw RoleSocketError(socket.native() +
                            ": was removed, and nobody finds us there any more; ending, so that the next "
                            "start makes it anew");
    }
  }
}

}  // namespace control
