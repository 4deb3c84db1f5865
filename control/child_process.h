// One process for one role: forked, stripped to what the role may have, executed.
//
// Everything a parent must take away is taken away between fork and exec, in one place: groups and uid, all
// capabilities but the listed ones, new privileges, core dumps, descriptors, environment, and a life of its
// own after us (PR_SET_PDEATHSIG). The program starts as if by systemd: NOTIFY_SOCKET and WATCHDOG_USEC are
// sd_notify(3)'s.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <sys/types.h>
#include <vector>

namespace control {

struct ChildSpec {
  std::string name;  // for people: "keeper", "ke 0"
  std::filesystem::path program;
  std::vector<std::string> arguments;    // after the program's name
  std::vector<std::string> environment;  // "NAME=value", added to the few every child has
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;           // supplementary
  std::vector<unsigned> capabilities;  // CAP_ numbers; all that it gets, and all it may ever get
  // Soft limits. They are raised as far as this machine lets us; too low is the role's to report.
  std::optional<rlim_t> open_files;
  std::optional<rlim_t> locked_bytes;
  bool reloads_on_hangup = false;         // any other would end on SIGHUP; deaf to it until it listens
  std::chrono::microseconds watchdog{0};  // longest silence once it serves; 0: not watched
};

// Starts it and returns its pid. `notify_socket` is the path it reports to. `family_lock` is a descriptor
// that it inherits and never uses: a lock on it is held as long as any of the family lives. The child leads a
// session and a process group of its own, so that kill(-pid) is it and what it started. A child that cannot
// be prepared says why on stderr and ends with 127. Throws std::runtime_error when there can be no new
// process.
[[nodiscard]] pid_t start_child(const ChildSpec& spec, const std::filesystem::path& notify_socket,
                                int family_lock);

}  // namespace control
