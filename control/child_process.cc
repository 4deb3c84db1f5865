#include "control/child_process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <stdexcept>
#include <string_view>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cap-ng.h>

#include "control/log.h"
#include "dataplane/shm/failpoint.h"

namespace control {
namespace {

constexpr int cannot_start = 127;  // as a shell says it

[[noreturn]] void fail(const ChildSpec& spec, const std::string& step) {
  log(Severity::error, spec.name + " cannot be started (" + step + ": " + std::strerror(errno) +
                           "); see what the container or kernel this runs in forbids");
  ::_exit(cannot_start);
}

// SIGPIPE stays ignored, as systemd has it: a log that nobody reads any more must not end a role.
void reset_signals(bool reloads_on_hangup) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2}) ::signal(signal, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  // One that comes before the role listens must not end it: it has yet to read its files.
  if (reloads_on_hangup) ::signal(SIGHUP, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The soft limit becomes `wanted`, or as much of it as the hard limit or our right to raise that allows.
void set_limit(__rlimit_resource resource, rlim_t wanted) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return;
  const rlimit raised{wanted, std::max(limit.rlim_max, wanted)};  // RLIM_INFINITY is the largest number
  if (::setrlimit(resource, &raised) == 0) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  static_cast<void>(::setrlimit(resource, &limit));
}

void become(const ChildSpec& spec) {
  constexpr auto sets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
                                                  CAPNG_BOUNDING_SET | CAPNG_AMBIENT);
  capng_clear(CAPNG_SELECT_ALL);
  for (const unsigned capability : spec.capabilities) capng_update(CAPNG_ADD, sets, capability);
  // Bounds first: dropping them takes CAP_SETPCAP, which is among what is dropped next.
  if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) fail(spec, "bounding set");
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) fail(spec, "keeping capabilities");
  if (::setgroups(spec.groups.size(), spec.groups.data()) != 0) fail(spec, "groups");
  if (::setresgid(spec.gid, spec.gid, spec.gid) != 0) fail(spec, "group id");
  if (::setresuid(spec.uid, spec.uid, spec.uid) != 0) fail(spec, "user id");
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) fail(spec, "capabilities");
  if (!spec.capabilities.empty() && capng_apply(CAPNG_SELECT_AMBIENT) != 0)
    fail(spec, "ambient capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail(spec, "no_new_privs");
}

// Ends with us, however we end. After the change of uid, which clears it.
void tie_to(pid_t parent, const ChildSpec& spec) {
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0) fail(spec, "parent's death signal");
  if (::getppid() != parent) ::_exit(cannot_start);  // it died before that line
}

void arrange_descriptors(const ChildSpec& spec, int family_lock) {
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0) fail(spec, "/dev/null");
  if (::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail(spec, "descriptors");
  if (family_lock >= 0 && ::fcntl(family_lock, F_SETFD, 0) != 0) fail(spec, "family lock");
}

std::vector<std::string> environment_of(const ChildSpec& spec, const std::filesystem::path& notify_socket) {
  std::vector<std::string> all = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C",
                                  "NOTIFY_SOCKET=" + notify_socket.native()};
  if (spec.watchdog.count() > 0) {
    all.push_back("WATCHDOG_USEC=" + std::to_string(spec.watchdog.count()));
    all.push_back("WATCHDOG_PID=" + std::to_string(::getpid()));
  }
  all.insert(all.end(), spec.environment.begin(), spec.environment.end());
  // stdout and stderr are ours, so what systemd told us of them is true for the child as well (log.h).
  if (const char* stream = std::getenv("JOURNAL_STREAM"))
    all.push_back(std::string("JOURNAL_STREAM=") + stream);
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void execute(const ChildSpec& spec, const std::filesystem::path& notify_socket) {
  std::vector<std::string> words = {spec.program.native()};
  words.insert(words.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<std::string> variables = environment_of(spec, notify_socket);
  ::execve(spec.program.c_str(), pointers_to(words).data(), pointers_to(variables).data());
  log(Severity::error, spec.name + " cannot be started: " + spec.program.native() + ": " +
                           std::strerror(errno) + "; see that it is there, and that user " +
                           std::to_string(spec.uid) + " may run it");
  ::_exit(cannot_start);
}

}  // namespace

pid_t start_child(const ChildSpec& spec, const std::filesystem::path& notify_socket, int family_lock) {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    throw std::runtime_error(spec.name + " cannot be started (fork: " + std::strerror(errno) +
                             "); see the limits on processes and memory");
  }
  if (child != 0) return child;

  reset_signals(spec.reloads_on_hangup);
  if (::setsid() < 0) fail(spec, "session");
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) fail(spec, "core dumps");
  if (spec.open_files) set_limit(RLIMIT_NOFILE, *spec.open_files);
  if (spec.locked_bytes) set_limit(RLIMIT_MEMLOCK, *spec.locked_bytes);
  ::umask(077);
  if (::chdir("/") != 0) fail(spec, "working directory");
  shm::failpoint::reach("launcher.role_forked");
  arrange_descriptors(spec, family_lock);
  become(spec);
  tie_to(parent, spec);
  shm::failpoint::reach("launcher.role_about_to_execute");
  execute(spec, notify_socket);
}

}  // namespace control
