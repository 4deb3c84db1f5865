// What a test asked for at a failpoint (dataplane/shm/failpoint.h).
//
// A test arms one while the processes run: it puts a file of the failpoint's name beside the programs' own
// directory (LAB/bin/noonmark-control looks in LAB/failpoints). The file says "ACTION ARGUMENT SKIP KEEP":
// kill, stop, wait (until the file is gone), delay ARGUMENT ms, fail with errno ARGUMENT; SKIP passes go by
// before; the file is removed when it is reached, so that it counts once and the test sees it, unless KEEP is
// 1.
#include "dataplane/shm/failpoint.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <unistd.h>

namespace shm::failpoint {
inline namespace armed {
namespace {

constexpr int directory_bytes = 256;
constexpr long ns_per_ms = 1'000'000;

struct Directory {
  char path[directory_bytes] = {};
  Directory() noexcept {
    const ssize_t bytes = ::readlink("/proc/self/exe", path, sizeof path - sizeof "/failpoints");
    path[bytes > 0 ? bytes : 0] = '\0';
    for (int up = 0; up < 2; ++up) {
      char* slash = std::strrchr(path, '/');
      if (slash != nullptr) *slash = '\0';
    }
    std::strcat(path, "/failpoints");
  }
};

void sleep_ms(long duration_ms) noexcept {
  timespec left{duration_ms / 1000, duration_ms % 1000 * ns_per_ms};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace

int error_at(const char* name) noexcept {
  static const Directory directory;
  char path[PATH_MAX];
  std::snprintf(path, sizeof path, "%s/%s", directory.path, name);
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return 0;
  char text[64] = {};
  const ssize_t bytes = ::read(file, text, sizeof text - 1);
  char action[16] = {};
  int argument = 0, skip = 0, keep = 0;
  if (bytes <= 0 || std::sscanf(text, "%15s %d %d %d", action, &argument, &skip, &keep) < 1) {
    ::close(file);
    return 0;
  }
  if (skip > 0) {  // a file belongs to one test, and each place to one thread
    const int length = std::snprintf(text, sizeof text, "%s %d %d %d\n", action, argument, skip - 1, keep);
    const bool is_written =
        ::ftruncate(file, 0) == 0 && ::pwrite(file, text, static_cast<std::size_t>(length), 0) == length;
    ::close(file);
    if (!is_written) std::fprintf(stderr, "failpoint %s cannot be counted down\n", name);
    return 0;
  }
  const bool waits = std::strcmp(action, "wait") == 0;
  if (waits) {  // tells the test that we are here; whoever comes by meanwhile finds nothing to do
    constexpr char waiting[] = "waiting\n";
    if (::ftruncate(file, 0) != 0 || ::pwrite(file, waiting, sizeof waiting - 1, 0) < 0) std::perror(path);
  } else if (keep == 0) {
    ::unlink(path);
  }
  ::close(file);
  if (std::strcmp(action, "kill") == 0) ::kill(::getpid(), SIGKILL);
  if (std::strcmp(action, "stop") == 0) ::kill(::getpid(), SIGSTOP);
  if (std::strcmp(action, "delay") == 0) sleep_ms(argument);
  while (waits && ::access(path, F_OK) == 0) sleep_ms(1);
  return std::strcmp(action, "fail") == 0 ? argument : 0;
}

void reach(const char* name) noexcept {
  const int before = errno;
  static_cast<void>(error_at(name));
  errno = before;
}

}  // namespace armed
}  // namespace shm::failpoint
