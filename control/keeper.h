// The `keeper` role: owns the master keys. Loads or makes the ring, publishes the keys page, seals cookies
// for `ke`, rotates by hand, retires what is past its retention. It never opens a network socket.
//
// One thread with an event loop answers; saving the key file has a thread of its own (key_saver.h).
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>

#include "control/config.h"
#include "control/config_source.h"
#include "control/key_life.h"
#include "control/log.h"
#include "control/role_socket.h"

namespace control {

// Answers on keeper/socket in the page directory. `ke` may ask for cookies, `admin` for the list of keys, for
// a rotation and for a reload, root and our own uid for both; who asks what is not its business is closed.
class Keeper {
 public:
  // Throws SegmentError, RoleSocketError or std::runtime_error with one sentence: a second keeper, say.
  Keeper(boost::asio::io_context& io, const KeyLifeSetup& setup, const nts::siv::Kernels& tier);

  // Begins to serve within `io`; calls `on_serving` once, when the keys are published and callers are heard.
  // The Keeper is still there when `io` runs for the last time.
  void start(std::function<void()> on_serving);

  // What a reload_request does; gives the reason why not, or nothing. Without it such a request is closed.
  void reload_by(std::function<std::string()> reload) { reload_ = std::move(reload); }
  void set_retention(std::uint32_t retention_s) { keys_.set_retention(retention_s); }

 private:
  // Each class of callers has places of its own, so that a ke full of strangers' wishes leaves some for the
  // operator.
  struct Places {
    const unsigned max;
    unsigned open = 0;
  };

  [[nodiscard]] boost::asio::awaitable<void> accept();
  [[nodiscard]] boost::asio::awaitable<void> hold_place(RoleConnection peer, Places& places);
  [[nodiscard]] boost::asio::awaitable<void> converse(RoleConnection& peer);
  [[nodiscard]] boost::asio::awaitable<bool> answer(RoleConnection& peer, const ReceivedMessage& message);
  [[nodiscard]] bool answer_seal(RoleConnection& peer, const ReceivedMessage& message);
  [[nodiscard]] bool answer_list(RoleConnection& peer, const ReceivedMessage& message);
  [[nodiscard]] bool answer_reload(RoleConnection& peer, const ReceivedMessage& message);

  boost::asio::io_context& io_;
  KeyLife keys_;
  RoleListener listener_;
  Places ke_places_{256};
  Places admin_places_{16};
  LogLimit full_log_;
  std::function<std::string()> reload_;
};

// Serves until SIGTERM or SIGINT; returns the exit code. Throws SegmentError, RoleSocketError or
// std::runtime_error with one sentence when it cannot start.
[[nodiscard]] int run_keeper(const Config& config, const ConfigSource& source);

}  // namespace control
