// Lets the event loop wait for a descriptor that somebody else owns, with a deadline.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/role_loop.h"
#include "control/role_socket.h"

namespace control {

// Lives no longer than the descriptor, which it neither closes nor reads.
class Waiter {
 public:
  Waiter(const boost::asio::any_io_executor& executor, int fd)
      : timer_(executor), descriptor_(executor, fd) {}
  ~Waiter() { descriptor_.release(); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // False when `deadline` came first, or the descriptor cannot be waited for.
  [[nodiscard]] boost::asio::awaitable<bool> readable_by(Deadline deadline) {
    using namespace boost::asio::experimental::awaitable_operators;
    boost::system::error_code ignored;
    boost::system::error_code error;
    timer_.expires_at(deadline);
    const auto which =
        co_await (descriptor_.async_wait(wait_read, no_throw(error)) || timer_.async_wait(no_throw(ignored)));
    co_return which.index() == 0 && !error;
  }

  [[nodiscard]] boost::asio::awaitable<bool> readable() {
    boost::system::error_code error;
    co_await descriptor_.async_wait(wait_read, no_throw(error));
    co_return !error;
  }

 private:
  static constexpr auto wait_read = boost::asio::posix::stream_descriptor::wait_read;

  boost::asio::steady_timer timer_;
  boost::asio::posix::stream_descriptor descriptor_;
};

}  // namespace control
