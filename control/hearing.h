// Reads a descriptor as octets come, for ever, though it is closed and opened again in between.
//
// A descriptor that was closed may come back under the same number at once, as another file that nobody waits
// for: so what `read` closed is let go before anybody else can run.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "control/waiter.h"

namespace control {

struct HearingPace {
  std::chrono::milliseconds behind_reading;  // so that a talker costs no more
  std::chrono::milliseconds without_descriptor;
};

// `fd_of()`: the descriptor now, -1 while there is none. `read()`: takes what came, and may close it; whoever
// opens it again does so at another time. Nobody else closes it.
template <class FdOf, class Read>
[[nodiscard]] boost::asio::awaitable<void> hear_for_ever(boost::asio::io_context& io, FdOf fd_of, Read read,
                                                         HearingPace pace) {
  boost::asio::steady_timer pause(io);
  for (;;) {
    const int fd = fd_of();
    if (fd >= 0) {
      Waiter waiter(io.get_executor(), fd);
      for (;;) {
        const bool is_readable = co_await waiter.readable();
        if (!is_readable) break;
        read();
        if (fd_of() != fd) break;
        pause.expires_after(pace.behind_reading);
        co_await pause.async_wait(boost::asio::use_awaitable);
      }
    }
    pause.expires_after(pace.without_descriptor);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
}

}  // namespace control
