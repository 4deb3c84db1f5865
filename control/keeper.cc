#include "control/keeper.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sodium.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control/role_loop.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/socket_keeping.h"
#include "control/waiter.h"
#include "dataplane/shm/failpoint.h"

namespace control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Both callers ask as soon as they are connected; this ends those that do not.
constexpr std::chrono::milliseconds idle_max{5000};
// After a readiness that gave no caller: strangers only, or no descriptor is left. Well below ke's deadline.
constexpr std::chrono::milliseconds accept_pause{5};

bool is_trusted(uid_t uid) { return uid == 0 || uid == ::geteuid(); }
bool may_seal(uid_t uid) { return is_trusted(uid) || uid == identity_of(Role::ke).uid; }
bool may_administer(uid_t uid) { return is_trusted(uid) || uid == identity_of(Role::admin).uid; }

}  // namespace

Keeper::Keeper(asio::io_context& io, const KeyLifeSetup& setup, const nts::siv::Kernels& tier)
    : io_(io),
      keys_(io, setup, tier),
      listener_(setup.pages / "keeper" / "socket", 0666,
                {identity_of(Role::ke).uid, identity_of(Role::admin).uid}) {}

void Keeper::start(std::function<void()> on_serving) {
  auto serve = [this, on_serving = std::move(on_serving)] {
    asio::co_spawn(io_, accept(), rethrow);
    on_serving();
  };
  asio::co_spawn(io_, keys_.run(std::move(serve)), rethrow);
  asio::co_spawn(io_, keys_.keep_page(), rethrow);
}

asio::awaitable<void> Keeper::accept() {
  Waiter waiter(io_.get_executor(), listener_.fd());
  asio::steady_timer pause(io_);
  for (;;) {
    if (!co_await waiter.readable()) co_return;
    std::optional<RoleConnection> peer = listener_.accept();
    if (!peer) {
      pause.expires_after(accept_pause);
      error_code error;
      co_await pause.async_wait(no_throw(error));
      continue;
    }
    Places& places = peer->peer_uid() == identity_of(Role::ke).uid ? ke_places_ : admin_places_;
    if (places.open >= places.max) {
      full_log_.log(Severity::warning, "too many callers at once: one was turned away");
      continue;
    }
    ++places.open;
    shm::failpoint::reach("keeper.accepted");
    asio::co_spawn(io_, hold_place(std::move(*peer), places), asio::detached);
  }
}

// One caller, whatever becomes of it, gives its place back.
asio::awaitable<void> Keeper::hold_place(RoleConnection peer, Places& places) {
  try {
    co_await converse(peer);
  } catch (const std::exception& error) {
    full_log_.log(Severity::warning, std::string("a caller could not be answered: ") + error.what());
  }
  --places.open;
}

asio::awaitable<void> Keeper::converse(RoleConnection& peer) {
  Waiter waiter(io_.get_executor(), peer.fd());
  // One message a turn of the event loop, so that a caller who never stops asking leaves turns for the
  // others.
  for (bool goes_on = true; goes_on;) {
    if (!co_await waiter.readable_by(deadline_in(idle_max))) co_return;
    ReceivedMessage message;
    const Received received = peer.receive(message);
    if (received == Received::nothing) continue;
    if (received != Received::message) co_return;
    goes_on = co_await answer(peer, message);
  }
}

// False: close it.
asio::awaitable<bool> Keeper::answer(RoleConnection& peer, const ReceivedMessage& message) {
  switch (message.header().kind) {
    case MessageKind::seal_request:
      co_return answer_seal(peer, message);
    case MessageKind::key_list_request:
      co_return answer_list(peer, message);
    case MessageKind::rotate_request: {
      EmptyRequest request;
      if (!may_administer(peer.peer_uid()) || !message.read(MessageKind::rotate_request, request))
        co_return false;
      RotateReply reply = co_await keys_.rotate();
      reply.header = {message_magic, MessageKind::rotate_reply, request.header.request_id};
      co_return peer.send(reply);
    }
    case MessageKind::reload_request:
      co_return answer_reload(peer, message);
    default:
      co_return false;
  }
}

bool Keeper::answer_seal(RoleConnection& peer, const ReceivedMessage& message) {
  SealRequest request;
  if (!may_seal(peer.peer_uid()) || !message.read(MessageKind::seal_request, request)) return false;
  SealReply reply{};
  reply.header = {message_magic, MessageKind::seal_reply, request.header.request_id};
  keys_.seal(request, reply);
  shm::failpoint::reach("keeper.cookies_sealed");
  const bool is_sent = peer.send(reply);
  shm::failpoint::reach("keeper.reply_sent");
  return is_sent;
}

bool Keeper::answer_list(RoleConnection& peer, const ReceivedMessage& message) {
  EmptyRequest request;
  if (!may_administer(peer.peer_uid()) || !message.read(MessageKind::key_list_request, request)) return false;
  KeyListReply reply{};
  reply.header = {message_magic, MessageKind::key_list_reply, request.header.request_id};
  keys_.list(reply);
  return peer.send(reply);
}

bool Keeper::answer_reload(RoleConnection& peer, const ReceivedMessage& message) {
  EmptyRequest request;
  if (!reload_ || !may_administer(peer.peer_uid()) || !message.read(MessageKind::reload_request, request))
    return false;
  ReloadReply reply{};
  reply.header = {message_magic, MessageKind::reload_reply, request.header.request_id};
  const std::string fault = reload_();
  reply.status = fault.empty() ? Status::ok : Status::refused;
  put_text(fault, reply.text);
  return peer.send(reply);
}

int run_keeper(const Config& config, const ConfigSource& source) {
  if (::sodium_init() < 0) throw std::runtime_error("libsodium cannot start; check /dev/urandom");
  // No core dump, no ptrace by our own uid: the keys are in here.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    throw std::runtime_error("this process cannot be made undumpable; check the sandbox it runs in");
  }
  const nts::siv::Kernels* tier = nts::siv::choose_tier();
  if (tier == nullptr) {
    throw std::runtime_error("AES-SIV gives wrong answers on this machine; do not serve with it");
  }
  KeyLifeSetup setup;
  setup.pages = config.paths.pages;
  setup.file = config.keys.file;
  setup.retention_s = config.keys.retention_s;
  setup.dataplane_uid = identity_of(Role::dataplane).uid;
  setup.dataplane_gid = identity_of(Role::dataplane).gid;
  asio::io_context io(1);
  Keeper keeper(io, setup, *tier);
  Reload reload(source, [&](const Config& fresh) { keeper.set_retention(fresh.keys.retention_s); });
  keeper.reload_by([&] { return reload.run(); });
  // First the ear for signals: who is told that we are ready may send one at once.
  asio::co_spawn(io, stop_at_signal(io, [&] { reload.run(); }), rethrow);
  asio::co_spawn(io, pat_watchdog(io), rethrow);
  asio::co_spawn(io, keep_sockets(io, {config.paths.pages / "keeper" / "socket"}), rethrow);
  keeper.start(notify_ready);
  io.run();
  return 0;
}

}  // namespace control
