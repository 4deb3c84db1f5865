// What every role's event loop does beside its own work: end when told, give signs of life, let no error
// pass.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <functional>

namespace control {

// The completion token of a coroutine that looks at `error` itself.
inline auto no_throw(boost::system::error_code& error) {
  return boost::asio::redirect_error(boost::asio::use_awaitable, error);
}

// The end of a coroutine that the role cannot do without: its exception leaves io_context::run, where
// asio::detached would swallow it.
void rethrow(std::exception_ptr error);

// Ends `io` at SIGTERM or SIGINT. SIGHUP calls `on_hangup`; a role without one dies of it as any process
// does.
[[nodiscard]] boost::asio::awaitable<void> stop_at_signal(boost::asio::io_context& io,
                                                          std::function<void()> on_hangup = {});

// Tells the supervisor that the loop turns, as often as it asked for; ends at once if it did not ask.
[[nodiscard]] boost::asio::awaitable<void> pat_watchdog(boost::asio::io_context& io);

}  // namespace control
