#include "control/role_loop.h"

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>

#include "control/service_notify.h"

namespace control {

namespace asio = boost::asio;
using boost::system::error_code;

void rethrow(std::exception_ptr error) {
  if (error) std::rethrow_exception(error);
}

asio::awaitable<void> stop_at_signal(asio::io_context& io, std::function<void()> on_hangup) {
  asio::signal_set signals(io, SIGTERM, SIGINT);
  if (on_hangup) signals.add(SIGHUP);
  for (;;) {
    error_code error;
    const int signal = co_await signals.async_wait(no_throw(error));
    if (error || signal != SIGHUP) break;
    on_hangup();
  }
  notify_stopping();
  io.stop();
}

asio::awaitable<void> pat_watchdog(asio::io_context& io) {
  const auto interval = watchdog_interval();
  if (!interval) co_return;
  asio::steady_timer timer(io);
  for (;;) {
    notify_watchdog();
    timer.expires_after(*interval);
    error_code error;
    co_await timer.async_wait(no_throw(error));
    if (error) co_return;
  }
}

}  // namespace control
