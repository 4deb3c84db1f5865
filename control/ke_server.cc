#include "control/ke_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <ctime>
#include <memory>
#include <sys/socket.h>
#include <unistd.h>

#include "control/cookie_source.h"
#include "control/file_check.h"
#include "control/ke_limits.h"
#include "control/ke_session.h"
#include "control/log.h"
#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/waiter.h"
#include "nts/cookie.h"

namespace control {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;

constexpr std::size_t read_bytes = 4096;
constexpr std::chrono::milliseconds accept_pause{50};  // after an error such as EMFILE: others need the CPU
constexpr int backlog = 1024;

// Which Server record a client of this family gets: one of its own family where there is a choice (P08).
nts::ke::Policy policy_for(const Config& config, bool is_ipv6) {
  nts::ke::Policy policy;
  policy.aeads = {nts::aead_aes_siv_cmac_256};
  policy.ntp_port = config.server.ntp_port;
  policy.ntp_servers_ours = config.nts_ke.ntp_servers_ours;
  policy.ntp_server = config.nts_ke.ntp_server;
  const auto is_other_family = [&](const std::string& name) {
    error_code no_address;
    const auto address = asio::ip::make_address(name, no_address);
    return !no_address && address.is_v6() != is_ipv6;
  };
  if (is_other_family(policy.ntp_server)) {
    policy.ntp_server.clear();  // without a record the client asks the host it has, in the family it has
    for (const std::string& name : policy.ntp_servers_ours) {
      if (policy.ntp_server.empty() && !is_other_family(name)) policy.ntp_server = name;
    }
  }
  return policy;
}

class KeServer {
 public:
  KeServer(asio::io_context& io, const Config& config, unsigned worker)
      : io_(io),
        config_(config),
        policies_{policy_for(config, false), policy_for(config, true)},
        limits_(config.nts_ke.connections_max, config.nts_ke.connections_per_source_max),
        cookies_(config.paths.pages / "keeper" / "socket", identity_of(Role::keeper).uid),
        admin_(config.paths.pages / "ke" / (std::to_string(worker) + ".socket"), 0666,
               {identity_of(Role::admin).uid}),
        deadline_(config.nts_ke.deadline_ms) {
    load_certificate();
    for (const std::string& address : config.nts_ke.listen) listen(address);
    if (acceptors_.empty()) {
      throw ConfigError(
          "no address to listen on: this machine has no IPv6, and [nts_ke] listen names nothing else");
    }
  }

  void start() {
    for (tcp::acceptor& acceptor : acceptors_) asio::co_spawn(io_, accept_from(acceptor), rethrow);
    asio::co_spawn(io_, answer_admin(), rethrow);
    asio::co_spawn(io_, stop_at_signal(io_, [this] { reload_certificate(); }), rethrow);
    asio::co_spawn(io_, pat_watchdog(io_), rethrow);
  }

 private:
  using SharedContext = std::shared_ptr<const TlsContext>;

  void load_certificate() {
    const auto& files = config_.nts_ke;
    const std::filesystem::path* looked_at = &files.private_key;
    try {
      require_secret_file(files.private_key, ::geteuid(), ::getegid());
      looked_at = &files.certificate;
      // Before OpenSSL, which waits for ever on a FIFO and cannot say why a file does not open.
      static_cast<void>(read_checked_file(files.certificate, certificate_bytes_max));
    } catch (const FileError& error) {
      throw FileError(looked_at->string() + ": " + error.what());
    }
    auto context =
        std::make_shared<const TlsContext>(TlsContext::for_server(files.certificate, files.private_key));
    if (context->expires_unix_s() < std::time(nullptr)) {
      // Clients decide, and our clock may be the one that is wrong.
      log(Severity::warning,
          files.certificate.string() + ": has expired by this machine's clock; serving with it");
    }
    context_ = std::move(context);
  }

  // Running conversations keep the context they began with.
  void reload_certificate() {
    try {
      load_certificate();
      log(Severity::notice, "certificate and key loaded anew");
    } catch (const std::exception& refused) {
      log(Severity::error, std::string(refused.what()) + "; going on with the old certificate");
    }
  }

  void listen(const std::string& text) {
    const asio::ip::address address = asio::ip::make_address(text);
    const tcp::endpoint endpoint(address, config_.nts_ke.port);
    tcp::acceptor acceptor(io_);
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (error && address.is_v6()) {
      log(Severity::warning, "this machine has no IPv6: not listening on " + text);
      return;
    }
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    const int one = 1;  // all workers share the port; the kernel spreads connections over them
    if (!error && ::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) {
      error.assign(errno, boost::system::system_category());
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(backlog, error);
    if (error) {
      throw ConfigError("cannot listen on " + text + " port " + std::to_string(config_.nts_ke.port) + ": " +
                        error.message() + "; see [nts_ke] listen and port");
    }
    acceptors_.push_back(std::move(acceptor));
  }

  asio::awaitable<void> accept_from(tcp::acceptor& acceptor) {
    asio::steady_timer pause(io_);
    for (;;) {
      error_code error;
      tcp::socket socket = co_await acceptor.async_accept(no_throw(error));
      if (error == asio::error::operation_aborted) co_return;
      if (error) {
        accept_log_.log(Severity::warning, "cannot accept NTS-KE connections: " + error.message());
        pause.expires_after(accept_pause);
        co_await pause.async_wait(no_throw(error));
        continue;
      }
      ++counters_.accepted;
      const tcp::endpoint peer = socket.remote_endpoint(error);
      if (error) {  // gone already
        ++counters_.disconnected;
        continue;
      }
      const KeLimits::Source source = peer.address().is_v4()
                                          ? KeLimits::source_of_ipv4(peer.address().to_v4().to_bytes())
                                          : KeLimits::source_of_ipv6(peer.address().to_v6().to_bytes());
      if (!limits_.enter(source)) {
        ++counters_.refused_limit;
        continue;  // closing says enough: a reply would cost what the limit is there to save
      }
      asio::co_spawn(io_, hold_place(std::move(socket), source, peer.address().is_v6()), asio::detached);
    }
  }

  // One connection, whatever becomes of it, gives its place back.
  asio::awaitable<void> hold_place(tcp::socket socket, KeLimits::Source source, bool is_ipv6) {
    try {
      co_await serve(std::move(socket), is_ipv6);
    } catch (const std::exception& fault) {  // no memory, no descriptor: this client's loss, not the worker's
      ++counters_.disconnected;
      internal_log_.log(Severity::error, std::string("a connection was given up: ") + fault.what());
    }
    limits_.leave(source);
  }

  asio::awaitable<void> serve(tcp::socket socket, bool is_ipv6) {
    const SharedContext context = context_;  // a reload leaves running conversations alone
    KeSession session(*context, policies_[is_ipv6 ? 1 : 0]);
    asio::steady_timer deadline(io_, deadline_);
    error_code ignored;
    co_await (converse(socket, session) || deadline.async_wait(no_throw(ignored)));
    if (!session.is_done()) {
      session.refuse();
      const std::vector<std::uint8_t> last_words = session.take_output();
      socket.non_blocking(true, ignored);
      if (!last_words.empty()) socket.write_some(asio::buffer(last_words), ignored);
      socket.shutdown(tcp::socket::shutdown_send, ignored);
    }
    count(session);
  }

  asio::awaitable<void> converse(tcp::socket& socket, KeSession& session) {
    std::array<std::uint8_t, read_bytes> buffer;
    error_code error;
    while (!session.is_done()) {
      const std::size_t bytes = co_await socket.async_read_some(asio::buffer(buffer), no_throw(error));
      if (error == asio::error::operation_aborted) co_return;  // the deadline: hold_place has the last word
      if (error) {
        session.receive_end();
      } else {
        session.receive(std::span(buffer).first(bytes));
      }
      if (session.wants_cookies()) session.finish(co_await cookies_.seal(session.request()));
      const std::vector<std::uint8_t> output = session.take_output();
      if (output.empty()) continue;
      co_await asio::async_write(socket, asio::buffer(output), no_throw(error));
      if (error) co_return;
    }
    // What the client still sends is its close_notify. Closing with unread octets would reset the connection
    // and could take our reply with it, so it is read and forgotten, within the same deadline.
    socket.shutdown(tcp::socket::shutdown_send, error);
    while (!error) co_await socket.async_read_some(asio::buffer(buffer), no_throw(error));
  }

  void count(const KeSession& session) {
    switch (session.outcome()) {
      case KeOutcome::open:
      case KeOutcome::disconnected:
        ++counters_.disconnected;
        break;
      case KeOutcome::served:
        ++counters_.served;
        break;
      case KeOutcome::no_common_algorithm:
        ++counters_.no_common_algorithm;
        break;
      case KeOutcome::error_unrecognised:
        ++counters_.error_unrecognised;
        break;
      case KeOutcome::error_bad_request:
        ++counters_.error_bad_request;
        break;
      case KeOutcome::error_internal:
        ++counters_.error_internal;
        internal_log_.log(Severity::error, "no cookies from the keeper: clients are told error 2");
        break;
      case KeOutcome::handshake_failed:
        ++counters_.handshake_failed;
        break;
      case KeOutcome::timeout:
        ++counters_.timeouts;
        break;
    }
  }

  asio::awaitable<void> answer_admin() {
    Waiter waiter(io_.get_executor(), admin_.fd());
    asio::steady_timer pause(io_);
    for (;;) {
      if (!co_await waiter.readable()) co_return;
      if (std::optional<RoleConnection> peer = admin_.accept()) {
        asio::co_spawn(io_, answer_one(std::move(*peer)), asio::detached);
        continue;
      }
      pause.expires_after(accept_pause);  // strangers only, or no descriptor is left
      error_code error;
      co_await pause.async_wait(no_throw(error));
    }
  }

  // Admin asks as often as it likes and closes.
  asio::awaitable<void> answer_one(RoleConnection peer) {
    Waiter waiter(io_.get_executor(), peer.fd());
    for (;;) {
      if (!co_await waiter.readable()) co_return;
      ReceivedMessage message;
      const Received received = peer.receive(message);
      if (received == Received::nothing) continue;
      EmptyRequest request;
      if (received != Received::message || !message.read(MessageKind::ke_counters_request, request))
        co_return;
      KeCountersReply reply{};
      reply.header = {message_magic, MessageKind::ke_counters_reply, request.header.request_id};
      reply.counters = counters_;
      reply.counters.open_now = limits_.open();
      if (!peer.send(reply)) co_return;
    }
  }

  asio::io_context& io_;
  const Config& config_;
  std::array<nts::ke::Policy, 2> policies_;  // for IPv4 and for IPv6 clients
  KeLimits limits_;
  CookieSource cookies_;
  RoleListener admin_;
  std::chrono::milliseconds deadline_;
  SharedContext context_;
  std::vector<tcp::acceptor> acceptors_;
  KeCounters counters_{};
  LogLimit accept_log_;
  LogLimit internal_log_;
};

}  // namespace

int run_ke(const Config& config, unsigned worker) {
  asio::io_context io(1);
  KeServer server(io, config, worker);
  server.start();
  notify_ready();
  io.run();
  return 0;
}

}  // namespace control
