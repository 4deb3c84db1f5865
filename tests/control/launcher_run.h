// `noonmark run` with real processes: the launcher and stand-ins for the roles, which are small scripts that
// say READY=1 and wait. What the kernel tells of them in /proc is what is tested.

#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <linux/magic.h>
#include <map>
#include <set>
#include <sstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "control/launcher.h"
#include "control/roles.h"

namespace control {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// Behaves as the files beside it say: NAME.dies, NAME.deaf (to SIGTERM), NAME.waits (until that is removed).
inline constexpr std::string_view stand_in = R"(#!/usr/bin/python3 -ISB
import os, signal, socket, sys, time
here, program = os.path.split(sys.argv[0])
name = "dataplane" if program == "noonmark-dataplane" else sys.argv[1]
def does(what): return os.path.exists(f"{here}/{name}.{what}")
def say(word): print(name, word, file=sys.stderr, flush=True)
if does("dies"): say("has its own words"); sys.exit(3)
if does("deaf"): signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, lambda *_: say("heard SIGHUP"))
while does("waits"): time.sleep(0.01)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.connect(os.environ["NOTIFY_SOCKET"])
    to.send(b"READY=1")
while True: time.sleep(0.05)  # pause() would sleep through a signal that came just before it
)";

inline std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// True as soon as `condition` is; false when it has not become true in a time that is long for any machine.
inline bool becomes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

inline bool is_alive(pid_t pid) {
  const std::string status = text_of("/proc/" + std::to_string(pid) + "/status");
  return !status.empty() && status.find("State:\tZ") == std::string::npos;
}

// A field of /proc/PID/status, blanks made single.
inline std::string status_of(pid_t pid, const std::string& field) {
  std::istringstream lines(text_of("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(field + ":")) continue;
    std::istringstream words(line.substr(field.size() + 1));
    std::string all, word;
    while (words >> word) all += (all.empty() ? "" : " ") + word;
    return all;
  }
  return "no such field";
}

inline std::vector<std::string> parts_of(pid_t pid, const std::string& file) {
  std::istringstream all(text_of("/proc/" + std::to_string(pid) + "/" + file));
  std::vector<std::string> parts;
  for (std::string part; std::getline(all, part, '\0');) parts.push_back(part);
  return parts;
}

class LauncherRun : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can start roles under their own users";
    std::string form = "/tmp/noonmark-launcher-test-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    ASSERT_EQ(::chmod(form.c_str(), 0755), 0);
    directory_ = form;
    form = "/dev/shm/noonmark-launcher-test-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    ASSERT_EQ(::chmod(form.c_str(), 0755), 0);
    shared_ = form;

    fs::create_directory(directory_ / "bin");
    for (const char* program : {"noonmark-control", "noonmark-dataplane"}) {
      std::ofstream(directory_ / "bin" / program) << stand_in;
      ASSERT_EQ(::chmod((directory_ / "bin" / program).c_str(), 0755), 0);
    }
    std::ofstream(directory_ / "key.pem") << "a key\n";
    ASSERT_EQ(::chown((directory_ / "key.pem").c_str(), 62102, 62102), 0);
    ASSERT_EQ(::chmod((directory_ / "key.pem").c_str(), 0400), 0);
    write_config("af_packet:lo", 123, 4460);
    options_.config = directory_ / "config.toml";
    options_.pages = shared_ / "pages";
    options_.bin_dir = directory_ / "bin";
    options_.ready_file = directory_ / "ready";
  }
  void TearDown() override {
    for (const pid_t pid : launchers_) {
      if (::kill(pid, SIGKILL) == 0) ::waitpid(pid, nullptr, 0);
    }
    for (const pid_t pid : seen_) {
      if (is_ours(pid)) ::kill(pid, SIGKILL);
    }
    if (!directory_.empty()) fs::remove_all(directory_);
    if (!shared_.empty()) fs::remove_all(shared_);
  }

  void write_config(const std::string& device, int ntp_port, int ke_port) {
    std::ofstream(directory_ / "config.toml")
        << "[server]\nname = \"time.example.net\"\naddresses = [\"192.0.2.1/24\"]\nntp_port = " << ntp_port
        << "\n[dataplane]\ndevices = [\"" << device
        << "\"]\n[nts_ke]\ncertificate = \"/c.pem\"\nprivate_key = " << directory_ / "key.pem"
        << "\nworkers = 2\nport = " << ke_port
        << "\n[keys]\nfile = " << directory_ / "state" / "keeper" / "keys"
        << "\n";
  }
  void tell(const std::string& behaviour) { std::ofstream(directory_ / "bin" / behaviour).flush(); }

  pid_t start() {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      const int log = ::open((directory_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(log, STDOUT_FILENO);
      ::dup2(log, STDERR_FILENO);
      ::setenv("LD_PRELOAD_OF_A_STRANGER", "1", 1);
      try {
        ::_exit(run_launcher(options_));
      } catch (const std::exception& error) {
        const std::string line = std::string("refused: ") + error.what() + "\n";
        ::_exit(::write(STDERR_FILENO, line.data(), line.size()) > 0 ? 7 : 8);
      }
    }
    launchers_.insert(pid);
    return pid;
  }
  pid_t start_and_wait() {
    const pid_t pid = start();
    EXPECT_TRUE(becomes_true([&] { return fs::exists(*options_.ready_file) || !is_alive(pid); }));
    EXPECT_TRUE(is_alive(pid)) << log();
    return pid;
  }
  int exit_code_of(pid_t pid) {
    int status = 0;
    if (!becomes_true([&] { return ::waitpid(pid, &status, WNOHANG) == pid; })) return -1;
    launchers_.erase(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int stop(pid_t pid) {
    ::kill(pid, SIGTERM);
    return exit_code_of(pid);
  }
  // What it says when it refuses to start.
  std::string refusal() {
    fs::remove(directory_ / "log");
    EXPECT_EQ(exit_code_of(start()), 7);
    return log();
  }
  std::string log() { return text_of(directory_ / "log"); }

  // Name ("ke 0", "keeper") to pid, of those that have begun to be what they are.
  std::map<std::string, pid_t> children_of(pid_t launcher) {
    const std::string task = std::to_string(launcher);
    std::istringstream pids(text_of("/proc/" + task + "/task/" + task + "/children"));
    std::map<std::string, pid_t> children;
    for (pid_t pid = 0; pids >> pid;) {
      const std::vector<std::string> words = parts_of(pid, "cmdline");
      const auto program = std::find_if(words.begin(), words.end(), [&](const std::string& word) {
        return word.starts_with(options_.bin_dir.native());
      });
      if (program == words.end() || program + 1 == words.end()) continue;
      std::string name = program->ends_with("dataplane") ? "dataplane" : *(program + 1);
      if (name == "ke") name += " " + words.back();
      children[name] = pid;
      seen_.insert(pid);
    }
    return children;
  }
  bool is_ours(pid_t pid) {
    const std::vector<std::string> words = parts_of(pid, "cmdline");
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& word) { return word.starts_with(options_.bin_dir.native()); });
  }

  fs::path directory_;
  fs::path shared_;
  LauncherOptions options_;
  std::set<pid_t> launchers_;
  std::set<pid_t> seen_;
};

}  // namespace control
