#include "control/ke_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <ctime>
#include <memory>
#include <netinet/tcp.h>
#include <new>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/config_change.h"
#include "control/cookie_source.h"
#include "control/file_check.h"
#include "control/ke_limits.h"
#include "control/ke_session.h"
#include "control/log.h"
#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/socket_keeping.h"
#include "control/waiter.h"
#include "dataplane/shm/failpoint.h"
#include "nts/cookie.h"

namespace control {
namespace {

namespace asio = boost::asio;
namespace failpoint = shm::failpoint;
using asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;

constexpr std::size_t read_bytes = 4096;
constexpr std::chrono::milliseconds accept_pause{50};  // after an error such as EMFILE: others need the CPU
constexpr int backlog = 1024;
// Kept out of strangers' reach: listeners, event loop, log, files of a reload, the admin's questions.
constexpr rlim_t descriptors_reserved = 32;
constexpr rlim_t descriptors_per_connection = 2;  // the client's, and the keeper's while it seals

// Which Server record a client of this family gets: one of its own family where there is a choice (P08).
nts::ke::Policy policy_for(const Config& config, bool is_ipv6) {
  nts::ke::Policy policy;
  policy.aeads = config.nts_ke.aeads;
  policy.is_gcm_siv_export_strict = config.nts_ke.gcm_siv_export == GcmSivExport::strict;
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

// How many connections may be open at once: what the configuration says, or what our descriptors are enough
// for.
std::uint32_t places_for(const Config& config) {
  const std::uint32_t wanted = config.nts_ke.connections_max;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur <= descriptors_reserved + descriptors_per_connection) {
    throw ConfigError("only " + std::to_string(limit.rlim_cur) +
                      " descriptors are allowed to this process; raise RLIMIT_NOFILE (LimitNOFILE=)");
  }
  const rlim_t possible = (limit.rlim_cur - descriptors_reserved) / descriptors_per_connection;
  if (possible >= wanted) return wanted;
  log(Severity::warning, "descriptors are enough for " + std::to_string(possible) +
                             " connections, not for connections_max = " + std::to_string(wanted) +
                             "; raise RLIMIT_NOFILE (LimitNOFILE=)");
  return static_cast<std::uint32_t>(possible);
}

std::shared_ptr<const TlsContext> load_certificate(const Config::NtsKe& files) {
  const std::filesystem::path* looked_at = &files.private_key;
  try {
    require_secret_file(files.private_key, ::geteuid(), ::getegid());
    looked_at = &files.certificate;
    // Before OpenSSL, which waits for ever on a FIFO and cannot say why a file does not open.
    static_cast<void>(read_checked_file(files.certificate, certificate_bytes_max));
  } catch (const FileError& error) {
    throw FileError(looked_at->string() + ": " + error.what());
  }
  return std::make_shared<const TlsContext>(TlsContext::for_server(files.certificate, files.private_key));
}

// What a conversation goes by from its first octet to its last, whatever is reloaded meanwhile.
struct Terms {
  std::shared_ptr<const TlsContext> context;
  std::array<nts::ke::Policy, 2> policies;  // for IPv4 and for IPv6 clients
  std::chrono::milliseconds phase_max;
  std::chrono::milliseconds all_max;
};

std::shared_ptr<const Terms> terms_from(const Config& config) {
  return std::make_shared<const Terms>(Terms{load_certificate(config.nts_ke),
                                             {policy_for(config, false), policy_for(config, true)},
                                             std::chrono::milliseconds(config.nts_ke.phase_deadline_ms),
                                             std::chrono::milliseconds(config.nts_ke.deadline_ms)});
}

class KeServer {
 public:
  KeServer(asio::io_context& io, const Config& config, const ConfigSource& source, unsigned worker)
      : io_(io),
        config_(config),
        reload_(source, [this](const Config& fresh) { take(fresh); }),
        terms_(terms_from(config)),
        limits_(places_for(config), config.nts_ke.connections_per_source_max),
        cookies_(config.paths.pages / "keeper" / "socket", identity_of(Role::keeper).uid),
        socket_(config.paths.pages / "ke" / (std::to_string(worker) + ".socket")),
        admin_(socket_, 0666, {identity_of(Role::admin).uid}) {
    warn_of_expiry();
    for (const std::string& address : config.nts_ke.listen) listen(address);
    if (acceptors_.empty()) {
      throw ConfigError(
          "no address to listen on: this machine has no IPv6, and [nts_ke] listen names nothing else");
    }
  }

  void start() {
    asio::co_spawn(io_, stop_at_signal(io_, [this] { reload_.run(); }), rethrow);
    asio::co_spawn(io_, pat_watchdog(io_), rethrow);
    asio::co_spawn(io_, keep_sockets(io_, {socket_}), rethrow);
    asio::co_spawn(io_, answer_admin(), rethrow);
    for (tcp::acceptor& acceptor : acceptors_) asio::co_spawn(io_, accept_from(acceptor), rethrow);
    failpoint::reach("ke.listening");
    asio::post(io_, notify_ready);  // behind the ear for signals: who hears it may send one at once
  }

 private:
  // Clients decide, and our clock may be the one that is wrong.
  void warn_of_expiry() {
    if (terms_->context->expires_unix_s() >= std::time(nullptr)) return;
    expiry_log_.log(Severity::warning, config_.nts_ke.certificate.string() +
                                           ": has expired by this machine's clock; serving with it");
  }

  // Whole or not at all: nothing of ours is touched before everything new is there. Running conversations go
  // on by the terms they began with.
  void take(const Config& fresh) {
    Config wanted = with_live_keys(config_, fresh);
    terms_ = terms_from(wanted);
    limits_.set_source_max(wanted.nts_ke.connections_per_source_max);
    config_ = std::move(wanted);
    warn_of_expiry();
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
    // Else Asio waits for the next connection when one was aborted, although another may be there already.
    if (!error) acceptor.set_option(tcp::acceptor::enable_connection_aborted(true), error);
    if (!error && address.is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    const int one = 1;  // all workers share the port; the kernel spreads connections over them
    if (!error && ::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) {
      error.assign(errno, boost::system::system_category());
    }
    // What a client never reads would stay in the kernel for minutes after our close.
    const unsigned unread_ms = config_.nts_ke.deadline_ms;
    if (!error && ::setsockopt(acceptor.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &unread_ms,
                               sizeof unread_ms) != 0) {
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
        ++counters_.accept_failed;
        accept_log_.log(Severity::warning, "cannot accept NTS-KE connections: " + error.message());
        pause.expires_after(accept_pause);
        co_await pause.async_wait(no_throw(error));
        continue;
      }
      ++counters_.accepted;
      failpoint::reach("ke.accepted");
      const tcp::endpoint peer = socket.remote_endpoint(error);
      if (error) {  // gone already
        ++counters_.disconnected;
        continue;
      }
      const KeLimits::Source source = peer.address().is_v4()
                                          ? KeLimits::source_of_ipv4(peer.address().to_v4().to_bytes())
                                          : KeLimits::source_of_ipv6(peer.address().to_v6().to_bytes());
      if (!is_place_taken(std::move(socket), source, peer.address().is_v6())) ++counters_.refused_limit;
    }
  }

  // False: over a limit, of which no memory is one. Closing says enough: a reply would cost what the limit is
  // there to save.
  bool is_place_taken(tcp::socket socket, KeLimits::Source source, bool is_ipv6) {
    bool has_entered = false;
    try {
      has_entered = limits_.enter(source);
      if (has_entered) asio::co_spawn(io_, hold_place(std::move(socket), source, is_ipv6), asio::detached);
      return has_entered;
    } catch (const std::bad_alloc&) {
      if (has_entered) limits_.leave(source);
      internal_log_.log(Severity::error, "a connection was refused: out of memory");
      return false;
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
    const std::shared_ptr<const Terms> terms = terms_;
    KeSession session(*terms->context, terms->policies[is_ipv6 ? 1 : 0]);
    KeDeadline deadline(KeDeadline::Instant::clock::now(), terms->phase_max, terms->all_max);
    asio::steady_timer timer(io_, deadline.at());
    error_code ignored;
    co_await (converse(socket, session, deadline, timer) || outlast(deadline, timer));
    if (!session.is_done()) {
      session.refuse();
      const std::vector<std::uint8_t> last_words = session.take_output();
      socket.non_blocking(true, ignored);
      if (!last_words.empty()) socket.write_some(asio::buffer(last_words), ignored);
      socket.shutdown(tcp::socket::shutdown_send, ignored);
    }
    count(session);
  }

  // Returns when the deadline has passed, wherever it was moved to meanwhile.
  static asio::awaitable<void> outlast(const KeDeadline& deadline, asio::steady_timer& timer) {
    while (KeDeadline::Instant::clock::now() < deadline.at()) {
      error_code moved;
      co_await timer.async_wait(no_throw(moved));
      if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
        co_return;
    }
  }

  asio::awaitable<void> converse(tcp::socket& socket, KeSession& session, KeDeadline& deadline,
                                 asio::steady_timer& timer) {
    const auto keep_time = [&] {
      const KeDeadline::Instant before = deadline.at();
      deadline.enter(session.phase(), KeDeadline::Instant::clock::now());
      if (deadline.at() != before) timer.expires_at(deadline.at());
    };
    std::array<std::uint8_t, read_bytes> buffer;
    error_code error;
    while (!session.is_done()) {
      const std::size_t bytes = co_await socket.async_read_some(asio::buffer(buffer), no_throw(error));
      if (error == asio::error::operation_aborted) co_return;  // the deadline: hold_place has the last word
      if (error) {
        session.receive_end();
      } else {
        session.receive(std::span(buffer).first(bytes));
        failpoint::reach("ke.octets_read");  // first half a handshake, then a request
      }
      if (session.wants_cookies()) {
        failpoint::reach("ke.cookies_wanted");
        const std::optional<SealReply> cookies = co_await cookies_.seal(session.request());
        failpoint::reach("ke.cookies_received");
        session.finish(cookies);
      }
      const std::vector<std::uint8_t> output = session.take_output();
      keep_time();
      if (output.empty()) continue;
      failpoint::reach("ke.reply_made");
      co_await asio::async_write(socket, asio::buffer(output), no_throw(error));
      failpoint::reach("ke.reply_sent");
      if (error) co_return;
    }
    // What the client still sends is its close_notify. Closing with unread octets would reset the connection
    // and could take our reply with it, so it is read and forgotten, within limits.
    socket.shutdown(tcp::socket::shutdown_send, error);
    for (std::size_t forgotten_bytes = 0; !error && forgotten_bytes < conversation_bytes_max;) {
      forgotten_bytes += co_await socket.async_read_some(asio::buffer(buffer), no_throw(error));
    }
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
      if (received != Received::message ||
          !(is_counters_answered(peer, message) || is_reload_answered(peer, message))) {
        co_return;
      }
    }
  }

  bool is_counters_answered(RoleConnection& peer, const ReceivedMessage& message) {
    EmptyRequest request;
    if (!message.read(MessageKind::ke_counters_request, request)) return false;
    KeCountersReply reply{};
    reply.header = {message_magic, MessageKind::ke_counters_reply, request.header.request_id};
    reply.counters = counters_;
    reply.counters.open_now = limits_.open();
    failpoint::reach("ke.counters_read");
    return peer.send(reply);
  }

  bool is_reload_answered(RoleConnection& peer, const ReceivedMessage& message) {
    EmptyRequest request;
    if (!message.read(MessageKind::reload_request, request)) return false;
    ReloadReply reply{};
    reply.header = {message_magic, MessageKind::reload_reply, request.header.request_id};
    const std::string fault = reload_.run();
    reply.status = fault.empty() ? Status::ok : Status::refused;
    put_text(fault, reply.text);
    return peer.send(reply);
  }

  asio::io_context& io_;
  Config config_;
  Reload reload_;
  std::shared_ptr<const Terms> terms_;
  KeLimits limits_;
  CookieSource cookies_;
  std::filesystem::path socket_;
  RoleListener admin_;
  std::vector<tcp::acceptor> acceptors_;
  KeCounters counters_{};
  LogLimit accept_log_;
  LogLimit internal_log_;
  LogLimit expiry_log_;
};

}  // namespace

int run_ke(const Config& config, const ConfigSource& source, unsigned worker) {
  asio::io_context io(1);
  KeServer server(io, config, source, worker);
  server.start();
  io.run();
  return 0;
}

}  // namespace control
