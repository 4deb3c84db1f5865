#include "control/admin.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
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
#include "control/config_change.h"
#include "control/drain.h"
#include "control/interface_addresses.h"
#include "control/log.h"
#include "control/other_roles.h"
#include "control/page_keeping.h"
#include "control/port_status.h"
#include "control/role_loop.h"
#include "control/role_socket.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/settings.h"
#include "control/socket_keeping.h"
#include "control/status.h"
#include "control/upstream_status.h"
#include "control/waiter.h"
#include "dataplane/shm/failpoint.h"
#include "dataplane/shm/segment.h"

namespace control {
namespace {

namespace asio = boost::asio;
namespace failpoint = shm::failpoint;
using boost::system::error_code;
using nlohmann::json;

// All questions of one report share this much time: a role that hangs is shown as not running.
constexpr std::chrono::milliseconds roles_patience{200};
// Reading a few files anew, and a certificate.
constexpr std::chrono::milliseconds reload_patience{2000};
// The dataplane looks at its settings 50 times a second, and takes a few looks.
constexpr std::chrono::milliseconds drain_patience{1500};
constexpr std::chrono::milliseconds drain_look_pause{10};
// The keeper saves a new key to disk before it answers, or says that this takes its time.
constexpr std::chrono::milliseconds rotation_patience = rotate_reply_max + std::chrono::milliseconds(500);
// The first word is answered at once, because the kernel refuses NTP at an address that is new until it is
// published. Addresses come and go in groups: those behind the first wait together, this long.
constexpr std::chrono::milliseconds address_pause{100};
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
  Admin(asio::io_context& io, const Config& config, const ConfigSource& source)
      : io_(io),
        config_(config),
        source_(source),
        reload_(source, [this](const Config& fresh) { take(fresh); }),
        interfaces_(interfaces_of(config)),
        page_(shm::Segment<shm::SettingsPage>::open_writable(config.paths.pages, 0)),
        operators_(RoleListener::for_anyone(config.paths.pages / "admin" / "socket", 0666)),
        others_(io, config_) {
    require_address_source(config);
    if (config.server.addresses_automatic)
      watch_.emplace();  // before the first look, so that nothing is missed
    read_last_settings();
    publish_settings();
  }

  void start() {
    // What the role cannot do without ends it, and it is started again; nothing of it dies alone.
    asio::co_spawn(io_, stop_at_signal(io_, [this] { reload_.run(); }), rethrow);
    asio::co_spawn(io_, pat_watchdog(io_), rethrow);
    asio::co_spawn(io_, keep_page(io_, page_), rethrow);
    asio::co_spawn(io_, keep_sockets(io_, {config_.paths.pages / "admin" / "socket"}), rethrow);
    asio::co_spawn(io_, accept_operators(), rethrow);
    if (watch_) asio::co_spawn(io_, follow_addresses(), rethrow);
    asio::post(io_, notify_ready);  // behind the ear for signals: who hears it may send one at once
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
    keep_drained(settings_, wanted);
    warn_of(found);
    if (!has_settings_ || is_change(settings_, wanted)) publish(wanted);
  }

  void publish(shm::Settings wanted) {
    wanted.revision = settings_.revision + 1;
    if (wanted.revision == 0) wanted.revision = 1;
    settings_ = wanted;
    has_settings_ = true;
    failpoint::reach("admin.settings_made");
    page_->settings.publish(settings_, [] { failpoint::reach("admin.publish_torn"); });
    failpoint::reach("admin.settings_published");
    const std::string line = "settings revision " + std::to_string(settings_.revision) + ": " +
                             std::to_string(settings_.address_count) + " addresses answered";
    log(Severity::info, line);
    notify_status(line);
  }

  void warn_of(const std::vector<shm::Address>& found) {
    if (!config_.server.addresses_automatic || (!found.empty() && found.size() <= shm::addresses_max)) return;
    std::string names;
    for (const std::string& name : interfaces_) names += (names.empty() ? "" : ", ") + name;
    if (found.empty()) {
      address_log_.log(Severity::warning,
                       "no address to serve on " + names + ": nothing is answered until there is one");
    } else {
      address_log_.log(Severity::warning, names + " has " + std::to_string(found.size()) +
                                              " addresses, and only the first " +
                                              std::to_string(shm::addresses_max) +
                                              " are answered; write the wanted ones to [server] addresses");
    }
  }

  // A configuration that reads well becomes ours: whole, or not at all.
  void take(const Config& fresh) {
    const ConfigChange change = change_between(config_, fresh);
    Config wanted = with_live_keys(config_, fresh);
    require_address_source(wanted);
    const bool begins_to_follow = wanted.server.addresses_automatic && !watch_;
    if (begins_to_follow) watch_.emplace();  // before the first look, so that nothing is missed
    std::swap(config_, wanted);
    try {
      publish_settings();
    } catch (...) {
      std::swap(config_, wanted);
      if (begins_to_follow) watch_.reset();
      throw;
    }
    if (begins_to_follow) asio::co_spawn(io_, follow_addresses(), rethrow);
    change_ = change;
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
      watch_->take();
      failpoint::reach("admin.addresses_changed");
      try {
        publish_settings();
        is_in_trouble = false;
      } catch (const InterfaceError& trouble) {
        trouble_log_.log(Severity::error,
                         std::string(trouble.what()) + "; going on with the addresses known");
        is_in_trouble = true;
      }
      error_code error;
      pause.expires_after(address_pause);
      co_await pause.async_wait(no_throw(error));
      if (error) co_return;
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
      failpoint::reach("admin.request_read");
      const json reply = co_await answer(text, uid);
      failpoint::reach("admin.reply_made");
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
      case AdminCommand::ports:
        co_return success(ports());
      case AdminCommand::clock:
        co_return success(co_await clock());
      case AdminCommand::upstreams:
        co_return success(co_await upstreams());
      case AdminCommand::rotate:
        co_return co_await rotate(uid);
      case AdminCommand::reload:
        co_return co_await reload(uid);
      case AdminCommand::drain:
      case AdminCommand::undrain:
        break;
    }
    co_return co_await drain(uid, request.cpu, *request.command == AdminCommand::drain);
  }

  asio::awaitable<json> status() {
    const RoleAnswers answers = co_await others_.ask_all(deadline_in(roles_patience));
    std::optional<UpstreamListReply> list;
    if (!config_.upstreams.empty()) list = co_await others_.upstream_list(deadline_in(roles_patience));
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
        {"upstream", upstream_summary(config_, list ? &*list : nullptr)}};
  }

  asio::awaitable<json> counters() {
    const RoleAnswers answers = co_await others_.ask_all(deadline_in(roles_patience));
    const auto stats = others_.stats_page();
    co_return json{
        {"dataplane", dataplane_counters(stats ? &**stats : nullptr, identity_of(Role::dataplane).uid)},
        {"nts_ke", ke_counters(answers.ke)}};
  }

  json ports() {
    const auto stats = others_.stats_page();
    return ports_status(stats ? &**stats : nullptr, identity_of(Role::dataplane).uid);
  }

  asio::awaitable<json> clock() {
    const std::optional<ClockReportReply> reply = co_await others_.clock_report(deadline_in(roles_patience));
    const std::optional<hwclock::ClockState> state = others_.clock_state();
    co_return clock_report(state ? &*state : nullptr, __rdtsc(), reply ? &*reply : nullptr);
  }

  asio::awaitable<json> upstreams() {
    const std::optional<UpstreamListReply> list = co_await others_.upstream_list(deadline_in(roles_patience));
    co_return upstream_report(config_, list ? &*list : nullptr);
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

  // Answers once the dataplane has done it.
  asio::awaitable<json> drain(uid_t uid, std::uint32_t cpu, bool is_drained) {
    if (!is_operator(uid)) {
      co_return failure("not_allowed", "only root or the admin user may take cores out of service; use sudo");
    }
    const uid_t writer = identity_of(Role::dataplane).uid;
    const auto stats = others_.stats_page();
    const DrainPlan plan = plan_drain(stats ? &**stats : nullptr, writer, settings_, cpu, is_drained);
    if (!plan.fault.empty()) co_return failure("failed", plan.fault);
    shm::Settings wanted = settings_;
    wanted.drained_instance = plan.drained_instance;
    wanted.drained_workers = plan.drained_workers;
    if (is_change(settings_, wanted)) publish(wanted);

    asio::steady_timer pause(io_);
    const Deadline deadline = deadline_in(drain_patience);
    while (!is_done(**stats, plan, is_drained)) {
      if (const std::string fault = why_never(**stats, writer, plan); !fault.empty())
        co_return failure("failed", fault);
      if (std::chrono::steady_clock::now() >= deadline) {
        co_return failure("failed",
                          "the dataplane has been asked and has not done it yet; look at `noonmark "
                          "status` and its log");
      }
      error_code error;
      pause.expires_after(drain_look_pause);
      co_await pause.async_wait(no_throw(error));
      if (error) co_return failure("failed", "the admin role ends");
    }
    const std::string name = "CPU " + std::to_string(cpu);
    const std::uint64_t queues = (*stats)->cores[plan.core].queues.load(std::memory_order_relaxed);
    const std::string text =
        is_drained ? name + " is drained and sleeps: other cores poll its queues, until `noonmark undrain " +
                         std::to_string(cpu) + "` or a restart of the dataplane"
                   : name + " is in service, queues: " + std::to_string(queues);
    log(Severity::notice, text + "; asked for by uid " + std::to_string(uid));
    co_return success({{"cpu", cpu}, {"state", is_drained ? "drained" : "in service"}, {"text", text}});
  }

  // The files are judged here first; then by those who may still refuse what stands in them, the certificate
  // say; we come last, so that a refusal leaves the settings as they were.
  asio::awaitable<json> reload(uid_t uid) {
    if (!is_operator(uid)) {
      co_return failure("not_allowed", "only root or the admin user may reload the configuration; use sudo");
    }
    if (is_reloading_) co_return failure("busy", "a reload is under way; try again");
    const Flag reloading(is_reloading_);
    try {
      require_address_source(source_.read());
    } catch (const std::exception& refused) {
      co_return failure("failed", std::string(refused.what()) + "; everything goes on as before");
    }
    json silent = json::array();
    for (const ReloadAnswer& answer : co_await others_.reload(deadline_in(reload_patience))) {
      if (!answer.fault) silent.push_back(answer.role);
      if (answer.fault && !answer.fault->empty()) {
        co_return failure("failed", answer.role + ": " + *answer.fault + "; it goes on as before");
      }
    }
    if (const std::string fault = reload_.run(); !fault.empty()) {
      co_return failure("failed", "admin: " + fault + "; it goes on as before");
    }
    co_return success({{"revision", settings_.revision},
                       {"changed", change_.live},
                       {"at_restart", change_.at_restart},
                       {"silent", std::move(silent)}});
  }

  // True for as long as somebody is at it, however that ends.
  class Flag {
   public:
    explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
    ~Flag() { flag_ = false; }
    Flag(const Flag&) = delete;
    Flag& operator=(const Flag&) = delete;

   private:
    bool& flag_;
  };

  asio::io_context& io_;
  Config config_;
  const ConfigSource source_;
  Reload reload_;
  ConfigChange change_;  // of the last reload
  bool is_reloading_ = false;
  std::vector<std::string> interfaces_;
  shm::Segment<shm::SettingsPage> page_;
  shm::Settings settings_{};
  bool has_settings_ = false;
  std::optional<AddressWatch> watch_;
  RoleListener operators_;
  OtherRoles others_;
  std::uint32_t clients_ = 0;
  LogLimit trouble_log_;
  LogLimit address_log_;
};

}  // namespace

int run_admin(const Config& config, const ConfigSource& source) {
  asio::io_context io(1);
  Admin admin(io, config, source);
  admin.start();
  io.run();
  return 0;
}

}  // namespace control
