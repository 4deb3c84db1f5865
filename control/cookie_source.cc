#include "control/cookie_source.h"

#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "control/role_socket.h"

namespace control {

namespace asio = boost::asio;

asio::awaitable<std::optional<SealReply>> CookieSource::seal(const SealRequest& request) const {
  using namespace asio::experimental::awaitable_operators;
  const std::array<uid_t, 1> peers = {keeper_};
  std::optional<RoleConnection> keeper = RoleConnection::connect(socket_, peers);
  if (!keeper || !keeper->send(request)) co_return std::nullopt;

  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer deadline(executor, seal_deadline);
  // Asio waits on a descriptor of its own; the conversation stays with RoleConnection.
  asio::posix::stream_descriptor readable(executor, ::dup(keeper->fd()));
  boost::system::error_code wait_error;
  boost::system::error_code timer_error;
  const auto first = co_await (readable.async_wait(asio::posix::stream_descriptor::wait_read,
                                                   asio::redirect_error(asio::use_awaitable, wait_error)) ||
                               deadline.async_wait(asio::redirect_error(asio::use_awaitable, timer_error)));
  if (first.index() != 0 || wait_error) co_return std::nullopt;

  ReceivedMessage message;
  SealReply reply;
  if (keeper->receive(message) != Received::message || !message.read(MessageKind::seal_reply, reply) ||
      reply.header.request_id != request.header.request_id) {
    co_return std::nullopt;
  }
  co_return reply;
}

}  // namespace control
