#include "control/cookie_source.h"

#include <array>
#include <boost/asio/this_coro.hpp>

#include "control/role_socket.h"
#include "control/waiter.h"

namespace control {

namespace asio = boost::asio;

asio::awaitable<std::optional<SealReply>> CookieSource::seal(const SealRequest& request) const {
  const std::array<uid_t, 1> peers = {keeper_};
  std::optional<RoleConnection> keeper = RoleConnection::connect(socket_, peers);
  if (!keeper || !keeper->send(request)) co_return std::nullopt;

  Waiter waiter(co_await asio::this_coro::executor, keeper->fd());
  if (!co_await waiter.readable_by(deadline_in(seal_deadline))) co_return std::nullopt;

  ReceivedMessage message;
  SealReply reply;
  if (keeper->receive(message) != Received::message || !message.read(MessageKind::seal_reply, reply) ||
      reply.header.request_id != request.header.request_id) {
    co_return std::nullopt;
  }
  co_return reply;
}

}  // namespace control
