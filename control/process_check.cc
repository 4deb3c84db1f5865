#include "control/process_check.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

namespace control {

bool is_process_of(std::uint64_t pid, uid_t uid) {
  if (pid == 0 || pid > 0x7fffffff) return false;
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind("State:\tZ", 0) == 0) return false;  // dead, only not yet collected
    if (line.rfind("Uid:\t", 0) == 0) return std::strtoul(line.c_str() + 5, nullptr, 10) == uid;
  }
  // Without /proc the number alone must do. EPERM: there is one, only not ours to signal.
  return ::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM;
}

}  // namespace control
