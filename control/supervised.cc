#include "control/supervised.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "control/log.h"
#include "dataplane/shm/failpoint.h"

namespace control {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t message_bytes_max = 4096;
constexpr int messages_per_look_max = 32;  // one child that chatters does not keep the others waiting

Descriptor make_notify_socket(const std::filesystem::path& path, uid_t writer) {
  const auto fail = [&](const char* step) {
    throw std::runtime_error(path.native() + ": cannot listen to a role (" + step + ": " +
                             std::strerror(errno) + "); see the page directory");
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fail("path");
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  Descriptor made(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.is_open()) fail("socket");
  const int one = 1;
  if (::setsockopt(made.get(), SOL_SOCKET, SO_PASSCRED, &one, sizeof one) != 0) fail("credentials");
  ::unlink(path.c_str());  // a killed launcher's; only root writes in this directory, and we hold its lock
  if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (::chmod(path.c_str(), 0600) != 0 || ::chown(path.c_str(), writer, 0) != 0) fail("owner");
  return made;
}

// The sender's pid, or 0 when there was no message.
pid_t receive_from(int socket, std::array<char, message_bytes_max>& octets, std::string_view& text) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
  iovec buffer{octets.data(), octets.size()};
  msghdr header{};
  header.msg_iov = &buffer;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t bytes = -1;
  do {
    // Descriptors that came along would be closed with the control data cut off.
    bytes = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) return 0;
  text = std::string_view(octets.data(), static_cast<std::size_t>(bytes));
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
    return sender.pid;
  }
  return -1;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return "was killed by SIG" + std::string(name == nullptr ? std::to_string(WTERMSIG(status)) : name);
  }
  return "ended with code " + std::to_string(WEXITSTATUS(status));
}

std::string file_name_of(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

}  // namespace

Supervised::Supervised(ChildSpec spec, const std::filesystem::path& directory, int family_lock)
    : spec_(std::move(spec)),
      socket_path_(directory / file_name_of(spec_.name)),
      socket_(make_notify_socket(socket_path_, spec_.uid)),
      family_lock_(family_lock) {}

Supervised::~Supervised() {
  if (is_running()) {
    kill();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::unlink(socket_path_.c_str());
}

void Supervised::begin(Time now) noexcept {
  if (!is_running() && !is_stopping_) start_at_ = now;
}

void Supervised::start(Time now) {
  kill_at_.reset();
  is_ready_ = false;
  must_reload_ = false;
  started_ = now;
  start_at_ = now + longest_pause;  // should there be no process to be had
  shm::failpoint::reach("launcher.role_about_to_start");
  keep_socket();
  pid_ = start_child(spec_, socket_path_, family_lock_);
  start_at_.reset();
}

// Under a name that somebody deleted no life would ever be heard.
void Supervised::keep_socket() {
  struct stat status {};
  if (::lstat(socket_path_.c_str(), &status) == 0 || errno != ENOENT) return;
  try {
    socket_ = make_notify_socket(socket_path_, spec_.uid);
    log(Severity::warning, socket_path_.native() + ": was removed; made anew");
  } catch (const std::runtime_error& fault) {
    log(Severity::error, fault.what());  // the next start tries again
  }
}

void Supervised::receive(Time now) {
  std::array<char, message_bytes_max> octets;
  for (int i = 0; i < messages_per_look_max; ++i) {
    std::string_view text;
    const pid_t sender = receive_from(socket_.get(), octets, text);
    if (sender == 0) return;
    // Not of this life: a predecessor's last words, or a process of the same user.
    if (sender == pid_) hear(text, now);
  }
}

void Supervised::hear(std::string_view message, Time now) {
  while (!message.empty()) {
    const std::size_t end = message.find('\n');
    const std::string_view line = message.substr(0, end);
    message = end == std::string_view::npos ? std::string_view{} : message.substr(end + 1);
    constexpr std::string_view status = "STATUS=";
    if (line == "READY=1" && !is_ready_) {
      is_ready_ = true;
      last_sign_ = now;
      if (must_reload_) reload();
    } else if (line == "WATCHDOG=1") {
      last_sign_ = now;
    } else if (line.starts_with(status) && line.substr(status.size()) != status_) {
      status_ = line.substr(status.size());
      log(Severity::info, spec_.name + ": " + status_);
    }
  }
}

void Supervised::look(Time now) {
  if (is_stopping_) return;
  if (!is_running()) {
    if (start_at_ && now >= *start_at_) start(now);
    return;
  }
  if (kill_at_) {
    if (now < *kill_at_) return;
    kill();
    kill_at_ = now + last_words;  // again, should it be stuck in the kernel
    return;
  }
  if (!is_ready_ && now - started_ >= start_max) end_silent("has not become ready", now);
  if (is_ready_ && spec_.watchdog.count() > 0 && now - last_sign_ >= spec_.watchdog) {
    end_silent("gives no sign of life", now);
  }
}

// SIGABRT first: a debugger or a sanitiser may have something to say. A process that is stopped or stuck in
// the kernel takes only SIGKILL.
void Supervised::end_silent(const std::string& why, Time now) {
  log(Severity::error, spec_.name + " (process " + std::to_string(pid_) + ") " + why + "; killing it");
  signal(SIGABRT);
  kill_at_ = now + last_words;
}

std::optional<Supervised::Time> Supervised::next_look() const noexcept {
  if (is_stopping_) return std::nullopt;
  if (!is_running()) return start_at_;
  if (kill_at_) return kill_at_;
  if (!is_ready_) return started_ + start_max;
  if (spec_.watchdog.count() > 0) return last_sign_ + spec_.watchdog;
  return std::nullopt;
}

std::optional<std::string> Supervised::reap(Time now) {
  if (!is_running()) return std::nullopt;
  int status = 0;
  pid_t ended = 0;
  do {
    ended = ::waitpid(pid_, &status, WNOHANG);
  } while (ended < 0 && errno == EINTR);
  if (ended != pid_) return std::nullopt;
  std::string account = spec_.name + " (process " + std::to_string(pid_) + ") " + how_it_ended(status);
  shm::failpoint::reach("launcher.role_reaped");
  pid_ = 0;
  is_ready_ = false;
  if (is_stopping_) return account;

  pause_ = now - started_ >= clean_after ? milliseconds(0) : next_pause_;
  next_pause_ = std::clamp(2 * pause_, first_pause, longest_pause);
  start_at_ = now + pause_;
  return account;
}

void Supervised::signal(int number) const noexcept {
  if (is_running()) ::kill(pid_, number);
}

void Supervised::reload() noexcept {
  if (!spec_.reloads_on_hangup || !is_running()) return;  // the next life reads the files anyway
  if (is_stopping_) return;                               // who has let go of its signals would die of it
  must_reload_ = !is_ready_;
  if (is_ready_) signal(SIGHUP);
}

void Supervised::stop() noexcept {
  is_stopping_ = true;
  start_at_.reset();
  signal(SIGTERM);
}

void Supervised::kill() const noexcept {
  if (!is_running()) return;
  ::kill(-pid_, SIGKILL);  // the group: it and what it started
  ::kill(pid_, SIGKILL);   // the group is made by the child itself, and may not be there yet
}

}  // namespace control
