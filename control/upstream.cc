#include "control/upstream.h"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"

namespace control {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds report_interval{10};
constexpr std::chrono::seconds reconnect_interval{1};

// Tells the clock role, for as long as it lives and again when it is started anew, that there is nobody to
// ask.
asio::awaitable<void> report_nothing(asio::io_context& io, std::filesystem::path socket) {
  const std::array<uid_t, 1> peers = {identity_of(Role::clock).uid};
  asio::steady_timer timer(io);
  std::optional<RoleConnection> clock;
  UpstreamReport report{};  // source_count 0: no upstreams are configured
  report.header = {message_magic, MessageKind::upstream_report, 0};
  for (;;) {
    if (!clock) clock = RoleConnection::connect(socket, peers);
    ++report.header.request_id;
    if (clock && !clock->send(report)) clock.reset();
    timer.expires_after(clock ? report_interval : reconnect_interval);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

}  // namespace

int run_upstream(const Config& config) {
  asio::io_context io(1);
  asio::co_spawn(io, report_nothing(io, config.paths.pages / "clock" / "socket"), rethrow);
  asio::co_spawn(io, stop_at_signal(io), rethrow);
  asio::co_spawn(io, pat_watchdog(io), rethrow);
  notify_ready();
  notify_status("no upstreams are configured");
  io.run();
  return 0;
}

}  // namespace control
