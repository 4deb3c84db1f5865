// How the roles talk: SOCK_SEQPACKET unix sockets in the page directory, one fixed-size message per packet.
//
// Both ends check the other's uid (SO_PEERCRED) before they read; length, magic and kind are checked before
// anything is believed. Root and one's own uid are always let in: both could read the other end's memory
// anyway. Nothing here waits but ask() and receive_by(), and those have a deadline. Descriptors are
// non-blocking and close-on-exec; a broken peer gives EPIPE as a value, never SIGPIPE.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <sys/types.h>
#include <type_traits>
#include <vector>

#include "control/descriptor.h"
#include "control/messages.h"

namespace control {

using Deadline = std::chrono::steady_clock::time_point;

[[nodiscard]] inline Deadline deadline_in(std::chrono::milliseconds from_now) {
  return std::chrono::steady_clock::now() + from_now;
}

// A wrong machine: what() is one sentence with the path and what to do.
class RoleSocketError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One packet as it arrived. Wipes itself: a SealRequest holds session keys.
class ReceivedMessage {
 public:
  static constexpr std::size_t bytes_max = 4096;

  ReceivedMessage() = default;
  ReceivedMessage(const ReceivedMessage&) = delete;
  ReceivedMessage& operator=(const ReceivedMessage&) = delete;
  ~ReceivedMessage();

  // The header; valid after Received::message.
  [[nodiscard]] MessageHeader header() const noexcept;
  // Copies the message out when it is of `kind` and exactly as long as a Message; else returns false.
  template <class Message>
  [[nodiscard]] bool read(MessageKind kind, Message& message) const noexcept {
    static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) <= bytes_max);
    if (bytes_ != sizeof(Message) || header().kind != kind) return false;
    std::memcpy(&message, octets_, sizeof message);
    return true;
  }

 private:
  friend class RoleConnection;
  alignas(8) std::uint8_t octets_[bytes_max];
  std::size_t bytes_ = 0;
};

enum class Received : std::uint8_t {
  message,  // with a good magic; kind and length are for ReceivedMessage::read to check
  nothing,  // no packet yet, or the deadline passed
  closed,   // the peer has gone
  bad       // too short, too long, or a wrong magic: close it
};

// One end of a conversation.
class RoleConnection {
 public:
  explicit RoleConnection(Descriptor socket) noexcept : socket_(std::move(socket)) {}

  // Connects at once or not at all: nothing when nobody listens, the queue is full, or the listener's uid is
  // none of `peers`.
  [[nodiscard]] static std::optional<RoleConnection> connect(const std::filesystem::path& path,
                                                             std::span<const uid_t> peers);

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  // Of the process at the other end (of a listener: of the process that began to listen).
  [[nodiscard]] uid_t peer_uid() const;

  // False when the peer has gone or does not read: close it.
  template <class Message>
  [[nodiscard]] bool send(const Message& message) noexcept {
    static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) <= ReceivedMessage::bytes_max);
    return send_octets({reinterpret_cast<const std::uint8_t*>(&message), sizeof message});
  }
  [[nodiscard]] bool send_octets(std::span<const std::uint8_t> octets) noexcept;

  [[nodiscard]] Received receive(ReceivedMessage& message) noexcept;
  // Waits until there is one or `deadline` passes.
  [[nodiscard]] Received receive_by(Deadline deadline, ReceivedMessage& message) noexcept;

  // Sends `request` and waits for the reply of `kind` to exactly this request. Late replies to earlier ones
  // are skipped. False: close it.
  template <class Request, class Reply>
  [[nodiscard]] bool ask(const Request& request, MessageKind kind, Reply& reply, Deadline deadline) noexcept {
    if (!send(request)) return false;
    ReceivedMessage message;
    while (receive_by(deadline, message) == Received::message) {
      if (message.header().request_id != request.header.request_id) continue;
      return message.read(kind, reply);
    }
    return false;
  }

 private:
  Descriptor socket_;
};

// Where a role waits for the others.
class RoleListener {
 public:
  // Binds `path` and listens. A socket that a dead process left is replaced; anything else at `path` is left
  // alone and refused, and so is a socket where somebody still listens. Throws RoleSocketError.
  // `mode` is the socket's: who may connect at all; `peers` decides who is heard.
  RoleListener(const std::filesystem::path& path, mode_t mode, std::vector<uid_t> peers);
  // The same, but hears every uid: judge each request by its peer_uid().
  [[nodiscard]] static RoleListener for_anyone(const std::filesystem::path& path, mode_t mode);
  ~RoleListener();
  RoleListener(const RoleListener&) = delete;
  RoleListener& operator=(const RoleListener&) = delete;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }

  // The next caller whose uid is allowed. Others are closed and counted; nothing when nobody waits or no
  // descriptor is left.
  [[nodiscard]] std::optional<RoleConnection> accept();
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

 private:
  RoleListener(const std::filesystem::path& path, mode_t mode, std::vector<uid_t> peers, bool hears_anyone);

  std::filesystem::path path_;
  std::vector<uid_t> peers_;
  bool hears_anyone_;
  Descriptor socket_;
  std::uint64_t refused_ = 0;
};

}  // namespace control
