// Where `ke` gets cookies: it hands the session's keys to the keeper and gets them back sealed, without ever
// seeing a master key.
//
// One connection a request: the keeper may be restarted between any two, and a late reply can never be taken
// for another session's. A unix connect costs a few microseconds beside a TLS handshake of a millisecond.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <filesystem>
#include <optional>

#include "control/messages.h"

namespace control {

// What a client waits for at most before it is told error 2 (DESIGN: sealing has a deadline of 100 ms).
inline constexpr std::chrono::milliseconds seal_deadline{100};

class CookieSource {
 public:
  // `socket` is the keeper's; `keeper` the uid that must listen there.
  CookieSource(std::filesystem::path socket, uid_t keeper) : socket_(std::move(socket)), keeper_(keeper) {}

  // Nothing when the keeper is away, refuses, or takes longer than seal_deadline.
  [[nodiscard]] boost::asio::awaitable<std::optional<SealReply>> seal(const SealRequest& request) const;

 private:
  std::filesystem::path socket_;
  uid_t keeper_;
};

}  // namespace control
