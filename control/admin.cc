#include "control/admin.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <exception>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#include "control/admin_protocol.h"
#include "control/admin_request.h"
#include "control/interface_addresses.h"
#include "control/log.h"
#include "control/other_roles.h"
#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/settings.h"
#include "control/status.h"
#include "control/waiter.h"
#include "dataplane/shm/segment.h"

namespace control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using nlohmann::json;

// All questions of one report share this much time: a role that hangs is shown as not running.
constexpr std::chrono::milliseconds roles_patience{200};
// The keeper saves a new key to disk before it answers, or says that this takes its time.
constexpr std::chrono::milliseconds rotation_patience = rotate_reply_max + std::chrono::milliseconds(500);
// Addresses come and go in groups: an interface going down takes all of its own along.
constexpr std::chrono::milliseconds address_debounce{100};
constexpr std::chrono::milliseconds trouble_pause{1000};  // before the addresses are asked for again
constexpr std::chrono::milliseconds accept_pause{50};  // after an error such as EMFILE: others need the CPU
// A stranger's place stays taken this long after each answer, so that all strangers together ask the other
// roles at most (clients_max - places_for_operators) / stranger_pause times a second, some 560.
constexpr std::chrono::milliseconds stranger_pause{50};

// The last CPU that this process may use, for `cores = "auto"`: the first ones serve interrupts, and the
// supervisor confines all of Noonmark alike.
std::uint32_t last_cpu() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) return static_cast<std::uint32_t>(cpu);
    }
  }
  return 0;  // every machine has it
}

json success(json result) { return {{"ok", true}, {"result", std::move(result)}}; }
json failure(const char* code, std::string_view error) {
  return {{"ok", false}, {"code", code}, {"error", error}};
}

bool send_reply(int socket, const json& reply) {
  const auto dump = [](const json& value) {
    return value.dump(-1, ' ', true, json::error_handler_t::replace);
  };
  std::string text = dump(reply);
  if (text.size() > reply_bytes_max) {
    text = dump(failure("failed", "the report is too long for one reply; this is a fault of the admin role"));
  }
  // A client that does not read its replies has no room for this one, and is closed.
  return ::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(text.size());
}

class Admin {
 public:
  Admin(asio::io_context& io, const Config& config)
      : io_(io),
        config_(config),
        interfaces_(interfaces_of(config)),
        page_(shm::Segment<shm::SettingsPage>::open_writable(config.paths.pages, 0)),
        operators_(RoleListener::for_anyone(config.paths.pages / "admin" / "socket", 0666)),
        others_(io, config) {
    require_address_source(config);
    if (config.server.addresses_automatic)
      watch_.emplace();  // before the first look, so that nothing is missed
    read_last_settings();
    publish_settings();
  }

  void start() {
    spawn(accept_operators());
    spawn(stop_at_signal(io_));
    spawn(pat_watchdog(io_));
    if (watch_) spawn(follow_addresses());
  }

 private:
  // What goes wrong in one conversation ends that one only.
  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(io_, std::move(work), [this](std::exception_ptr thrown) {
      if (!thrown) return;
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        trouble_log_.log(Severity::error, error.what());
      }
    });
  }

  // --- the settings page

  // Revisions go on from those of the admin before us, so that nobody takes ours for old news. A page that it
  // left torn gives nothing, and is healed by the next publication.
  void read_last_settings() {
    std::uint64_t generation = 0;
    has_settings_ = page_->settings.read(settings_, generation);
  }

  void publish_settings() {
    std::vector<shm::Address> found;
    if (config_.server.addresses_automatic) found = addresses_of(interfaces_);
    shm::Settings wanted = settings_from(config_, found, last_cpu());
    warn_of(found);
    if (has_settings_ && !is_change(settings_, wanted)) return;
    wanted.revision = settings_.revision + 1;
    if (wanted.revision == 0) wanted.revision = 1;
    settings_ = wanted;
    has_settings_ = true;
    page_->settings.publish(settings_);
    const std::string line = "settings revision " + std::to_string(settings_.revision) + ": " +
                             std::to_string(settings_.address_count) + " addresses answered";
    log(Severity::info, line);
    notify_status(line);
  }

  void warn_of(const std::vector<shm::Address>& found) {
    if (!config_.server.addresses_automatic) return;
    std::string names;
    for (const std::string& name : interfaces_) names += (names.empty() ? "" : ", ") + name;
    if (found.empty()) {
      log(Severity::warning, "no address to serve on " + names + ": nothing is answered until there is one");
    } else if (found.size() > shm::addresses_max) {
      log(Severity::warning, names + " has " + std::to_string(found.size()) +
                                 " addresses, and only the first " + std::to_string(shm::addresses_max) +
                                 " are answered; write the wanted ones to [server] addresses");
    }
  }

  asio::awaitable<void> follow_addresses() {
    Waiter waiter(io_.get_executor(), watch_->fd());
    asio::steady_timer pause(io_);
    bool is_in_trouble = false;
    for (;;) {
      // Without trouble only the kernel's word matters; with it the next try may just work.
      const bool has_word = is_in_trouble ? co_await waiter.readable_by(deadline_in(trouble_pause))
                                          : co_await waiter.readable();
      if (!has_word && !is_in_trouble) co_return;
      error_code error;
      pause.expires_after(address_debounce);
      co_await pause.async_wait(no_throw(error));
      if (error) co_return;
      watch_->take();
      try {
        publish_settings();
        is_in_trouble = false;
      } catch (const InterfaceError& trouble) {
        trouble_log_.log(Severity::error,
                         std::string(trouble.what()) + "; going on with the addresses known");
        is_in_trouble = true;
      }
    }
  }

  // --- the operator's socket

  asio::awaitable<void> accept_operators() {
    Waiter waiter(io_.get_executor(), operators_.fd());
    asio::steady_timer pause(io_);
    while (co_await waiter.readable()) {
      std::optional<RoleConnection> peer = operators_.accept();
      if (!peer) {
        error_code error;
        pause.expires_after(accept_pause);
        co_await pause.async_wait(no_throw(error));
        continue;
      }
      const std::uint32_t places = clients_max - (is_operator(peer->peer_uid()) ? 0 : places_for_operators);
      if (clients_ >= places) {
        static_cast<void>(send_reply(peer->fd(), failure("busy", "too many clients ask at once; try again")));
        continue;
      }
      spawn(hold_place(std::move(*peer)));
    }
  }

  static bool is_operator(uid_t uid) {
    return uid == 0 || uid == identity_of(Role::admin).uid || uid == ::geteuid();
  }

  // One client, whatever becomes of it, gives its place back.
  asio::awaitable<void> hold_place(RoleConnection peer) {
    struct Place {
      explicit Place(std::uint32_t& clients) : clients_(clients) { ++clients_; }
      Place(const Place&) = delete;
      Place& operator=(const Place&) = delete;
      ~Place() { --clients_; }
      std::uint32_t& clients_;
    };
    const Place place(clients_);
    Waiter waiter(io_.get_executor(), peer.fd());
    const uid_t uid = peer.peer_uid();
    std::string text;
    while (co_await waiter.readable_by(deadline_in(std::chrono::milliseconds(client_deadline_ms)))) {
      text.resize(request_bytes_max);
      // MSG_TRUNC: the length is that of the packet, even when it is longer than the room for it.
      const ssize_t got = ::recv(peer.fd(), text.data(), text.size(), MSG_DONTWAIT | MSG_TRUNC);
      if (got <= 0) co_return;
      if (static_cast<std::size_t>(got) > request_bytes_max) {
        static_cast<void>(send_reply(
            peer.fd(), failure("too_long", "the request is longer than " + std::to_string(request_bytes_max) +
                                               " octets; send one like {\"command\": \"status\"}")));
        co_return;
      }
      text.resize(static_cast<std::size_t>(got));
      const json reply = co_await answer(text, uid);
      if (!send_reply(peer.fd(), reply)) co_return;
      if (!is_operator(uid)) {
        error_code error;
        asio::steady_timer pause(io_, stranger_pause);
        co_await pause.async_wait(no_throw(error));
      }
    }
  }

  asio::awaitable<json> answer(const std::string& text, uid_t uid) {
    const AdminRequest request = read_admin_request(text);
    if (!request.command) co_return failure("bad_request", request.fault);
    switch (*request.command) {
      case AdminCommand::status:
        co_return success(co_await status());
      case AdminCommand::counters:
        co_return success(co_await counters());
      case AdminCommand::keys:
        co_return co_await keys();
      case AdminCommand::rotate:
        break;
    }
    co_return co_await rotate(uid);
  }

  asio::awaitable<json> status() {
    const RoleAnswers answers = co_await others_.ask_all(deadline_in(roles_patience));
    const auto stats = others_.stats_page();
    const std::optional<hwclock::ClockState> clock = others_.clock_state();
    const Moment now{__rdtsc(), std::time(nullptr)};
    json addresses = json::array();
    for (std::uint32_t i = 0; i < settings_.address_count; ++i) {
      addresses.push_back(text_of(settings_.addresses[i]));
    }
    co_return json{
        {"server", config_.server.name},
        {"version", NOONMARK_VERSION},
        {"ntp_port", config_.server.ntp_port},
        {"addresses", std::move(addresses)},
        {"dataplane", dataplane_status(stats ? &**stats : nullptr, identity_of(Role::dataplane).uid, now)},
        {"clock", clock_status(clock ? &*clock : nullptr, now.tsc)},
        {"keys", keys_status(answers.keys ? &*answers.keys : nullptr)},
        {"nts_ke", ke_status(config_.nts_ke.port, answers.ke)},
        {"upstream", {{"sources", 0}}}};
  }

  asio::awaitable<json> counters() {
    const RoleAnswers answers = co_await others_.ask_all(deadline_in(roles_patience));
    const auto stats = others_.stats_page();
    co_return json{
        {"dataplane", dataplane_counters(stats ? &**stats : nullptr, identity_of(Role::dataplane).uid)},
        {"nts_ke", ke_counters(answers.ke)}};
  }

  asio::awaitable<json> keys() {
    const RoleAnswers answers = co_await others_.ask_all(deadline_in(roles_patience));
    if (!answers.keys) co_return failure("failed", "the keeper does not answer; look at its log");
    co_return success(key_list(*answers.keys));
  }

  asio::awaitable<json> rotate(uid_t uid) {
    if (!is_operator(uid)) {
      co_return failure("not_allowed", "only root or the admin user may rotate keys; use sudo");
    }
    log(Severity::notice, "key rotation asked for by uid " + std::to_string(uid));
    const std::optional<RotateReply> reply = co_await others_.rotate(deadline_in(rotation_patience));
    if (!reply) {
      co_return failure("failed", "the keeper does not answer; look at its log, and at `noonmark keys`");
    }
    const std::string text = printable({reply->text.data(), reply->text.size()});
    if (reply->status != Status::ok) {
      co_return failure("failed", text.empty() ? "the keeper refuses to rotate; look at its log" : text);
    }
    co_return success({{"new_key_id", reply->new_key_id}, {"text", text}});
  }

  asio::io_context& io_;
  const Config& config_;
  std::vector<std::string> interfaces_;
  shm::Segment<shm::SettingsPage> page_;
  shm::Settings settings_{};
  bool has_settings_ = false;
  std::optional<AddressWatch> watch_;
  RoleListener operators_;
  OtherRoles others_;
  std::uint32_t clients_ = 0;
  LogLimit trouble_log_;
};

}  // namespace

int run_admin(const Config& config) {
  asio::io_context io(1);
  Admin admin(io, config);
  admin.start();
  notify_ready();
  io.run();
  return 0;
}

}  // namespace control
