// A role as a process of the test's own, ended at the latest with it.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <sys/types.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace tests {

class RoleProcess {
 public:
  explicit RoleProcess(const std::function<int()>& role) : pid_(::fork()) {
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "no process for a role");
    if (pid_ != 0) return;
    try {
      ::_exit(role());
    } catch (const std::exception& error) {
      static_cast<void>(!::write(STDERR_FILENO, error.what(), std::strlen(error.what())));
      ::_exit(99);
    }
  }
  ~RoleProcess() {
    if (pid_ > 0) end(SIGKILL);
  }
  RoleProcess(const RoleProcess&) = delete;
  RoleProcess& operator=(const RoleProcess&) = delete;

  // Sends `signal` and gives the exit status, or minus the signal that ended it. Once.
  int end(int signal) {
    if (pid_ <= 0) std::abort();  // kill(-1) is everybody
    ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

}  // namespace tests
