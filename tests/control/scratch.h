// What tests of files need: a directory of one's own (on a tmpfs, because pages want one), a mount nobody
// else sees, and another uid for a moment.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tests {

class Scratch {
 public:
  Scratch() {
    std::string form = "/dev/shm/noonmark-test-XXXXXX";
    EXPECT_NE(::mkdtemp(form.data()), nullptr);
    path_ = form;
    EXPECT_EQ(::chmod(form.c_str(), 0755), 0);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

template <class Octets>
void write_file(const std::filesystem::path& path, const Octets& octets, mode_t mode = 0600) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  EXPECT_EQ(::chmod(path.c_str(), mode), 0);
}

[[nodiscard]] inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

[[nodiscard]] inline mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0;
}

// False, with errno, when this machine does not let us. The first call takes this process out of the
// machine's mount namespace, so that nothing mounted here is seen elsewhere or outlives it.
[[nodiscard]] inline bool mount_in_own_namespace(const char* type, const std::filesystem::path& where,
                                                 const std::string& options) {
  static const bool is_apart =
      ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return is_apart && ::mount("noonmark-test", where.c_str(), type, 0, options.c_str()) == 0;
}

// Runs `body` in a child under `uid` and gives its exit status; 99 when the uid could not be taken.
template <class Body>
[[nodiscard]] int as_uid(uid_t uid, Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::setresgid(uid, uid, uid) == 0 && ::setresuid(uid, uid, uid) == 0 ? body() : 99);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

}  // namespace tests
