#include "control/role_socket.h"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "nts/secret.h"

namespace control {
namespace {

constexpr int backlog = 64;
constexpr int accept_tries_max = 64;  // strangers skipped in one call

bool to_address(const std::filesystem::path& path, sockaddr_un& address) {
  const std::string& text = path.native();
  address = {};
  address.sun_family = AF_UNIX;
  if (text.empty() || text.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, text.data(), text.size());
  return true;
}

Descriptor make_socket() {
  return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

std::optional<uid_t> uid_of_peer(int fd) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || bytes != sizeof peer) return {};
  return peer.uid;
}

bool is_welcome(int fd, std::span<const uid_t> peers) {
  const std::optional<uid_t> uid = uid_of_peer(fd);
  if (!uid) return false;
  return *uid == 0 || *uid == ::geteuid() || std::find(peers.begin(), peers.end(), *uid) != peers.end();
}

bool connect_to(int fd, const sockaddr_un& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Makes room for a new socket at `path` without ever removing what is not a dead socket.
void remove_dead_socket(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    throw RoleSocketError(path.native() + " is in the way and no socket; look at it and move it elsewhere");
  }
  const Descriptor probe = make_socket();
  // EAGAIN is a full queue: somebody is there, only busy.
  if (connect_to(probe.get(), address) || errno == EAGAIN) {
    throw RoleSocketError(path.native() + " already has a process that listens; stop that one first");
  }
  ::unlink(path.c_str());
}

}  // namespace

ReceivedMessage::~ReceivedMessage() { nts::wipe(octets_); }

MessageHeader ReceivedMessage::header() const noexcept {
  MessageHeader header{};
  if (bytes_ >= sizeof header) std::memcpy(&header, octets_, sizeof header);
  return header;
}

std::optional<RoleConnection> RoleConnection::connect(const std::filesystem::path& path,
                                                      std::span<const uid_t> peers) {
  sockaddr_un address;
  Descriptor socket = make_socket();
  if (!socket.is_open() || !to_address(path, address) || !connect_to(socket.get(), address)) return {};
  if (!is_welcome(socket.get(), peers)) return {};
  return RoleConnection(std::move(socket));
}

uid_t RoleConnection::peer_uid() const { return uid_of_peer(socket_.get()).value_or(static_cast<uid_t>(-1)); }

bool RoleConnection::send_octets(std::span<const std::uint8_t> octets) noexcept {
  for (;;) {
    const ssize_t sent = ::send(socket_.get(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return static_cast<std::size_t>(sent) == octets.size();
    if (errno != EINTR) return false;
  }
}

Received RoleConnection::receive(ReceivedMessage& message) noexcept {
  nts::wipe({message.octets_, message.bytes_});
  message.bytes_ = 0;
  for (;;) {
    // MSG_TRUNC: the length is that of the packet, even when it is longer than the room for it.
    const ssize_t got =
        ::recv(socket_.get(), message.octets_, sizeof message.octets_, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Received::nothing : Received::closed;
    if (got == 0) return Received::closed;
    const auto bytes = static_cast<std::size_t>(got);
    message.bytes_ = std::min(bytes, sizeof message.octets_);
    const bool good = bytes >= sizeof(MessageHeader) && bytes <= sizeof message.octets_ &&
                      message.header().magic == message_magic;
    return good ? Received::message : Received::bad;
  }
}

Received RoleConnection::receive_by(Deadline deadline, ReceivedMessage& message) noexcept {
  for (;;) {
    const Received received = receive(message);
    if (received != Received::nothing) return received;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Received::nothing;
    pollfd waiting{socket_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000))) < 0 &&
        errno != EINTR) {
      return Received::closed;
    }
  }
}

RoleListener::RoleListener(const std::filesystem::path& path, mode_t mode, std::vector<uid_t> peers)
    : RoleListener(path, mode, std::move(peers), false) {}

RoleListener RoleListener::for_anyone(const std::filesystem::path& path, mode_t mode) {
  return {path, mode, {}, true};
}

RoleListener::RoleListener(const std::filesystem::path& path, mode_t mode, std::vector<uid_t> peers,
                           bool hears_anyone)
    : path_(path), peers_(std::move(peers)), hears_anyone_(hears_anyone), socket_(make_socket()) {
  sockaddr_un address;
  const auto fail = [&](const std::string& what) {
    throw RoleSocketError("cannot listen on " + path.native() + " (" + what +
                          "); check the page directory and its owner");
  };
  if (!to_address(path, address)) fail("the path is too long for a socket");
  if (!socket_.is_open()) fail(std::strerror(errno));
  remove_dead_socket(path, address);
  // The mode before bind keeps strangers out in the instant before the one after it, which no umask changes.
  if (::fchmod(socket_.get(), mode & 0600) != 0) fail(std::strerror(errno));
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), mode) != 0 || ::listen(socket_.get(), backlog) != 0) {
    fail(std::strerror(errno));
  }
}

RoleListener::~RoleListener() { ::unlink(path_.c_str()); }

std::optional<RoleConnection> RoleListener::accept() {
  for (int tries = 0; tries < accept_tries_max; ++tries) {
    Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.is_open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return {};
    }
    if (hears_anyone_ || is_welcome(socket.get(), peers_)) return RoleConnection(std::move(socket));
    ++refused_;
  }
  return {};
}

}  // namespace control
