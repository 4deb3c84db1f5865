// `noonmark run` with real processes: the launcher and stand-ins for the roles, which are small scripts that
// say READY=1 and wait. What the kernel tells of them in /proc is what is tested.

#include "control/launcher.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
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

#include "control/roles.h"

namespace control {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Behaves as the files beside it say: NAME.dies, NAME.deaf (to SIGTERM), NAME.waits (until that is removed).
constexpr std::string_view stand_in = R"(#!/usr/bin/python3 -ISB
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
while True: signal.pause()
)";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// True as soon as `condition` is; false when it has not become true in a time that is long for any machine.
bool becomes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

bool is_alive(pid_t pid) {
  const std::string status = text_of("/proc/" + std::to_string(pid) + "/status");
  return !status.empty() && status.find("State:\tZ") == std::string::npos;
}

// A field of /proc/PID/status, blanks made single.
std::string status_of(pid_t pid, const std::string& field) {
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

std::vector<std::string> parts_of(pid_t pid, const std::string& file) {
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

std::string four(unsigned number) {
  const std::string one = std::to_string(number);
  return one + " " + one + " " + one + " " + one;
}

TEST_F(LauncherRun, T13_EachRoleIsAUserOfItsOwnAndHasNothingMore) {
  const pid_t launcher = start_and_wait();
  const auto children = children_of(launcher);
  ASSERT_EQ(children.size(), 7U);
  for (const auto& [name, pid] : children) {
    SCOPED_TRACE(name);
    const auto identity = std::find_if(
        identities.begin(), identities.end(),
        [&name = name](const Identity& one) { return name.substr(0, name.find(' ')) == one.name; });
    ASSERT_NE(identity, identities.end());
    EXPECT_EQ(status_of(pid, "Uid"), four(identity->uid));
    EXPECT_EQ(status_of(pid, "Gid"), four(identity->gid));
    EXPECT_EQ(status_of(pid, "Groups"), name == "keeper" ? "62106" : "");
    // CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW: 10, 12, 13.
    const std::string capabilities = name == "dataplane" ? "0000000000003400" : "0000000000000000";
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      EXPECT_EQ(status_of(pid, set), capabilities) << set;
    }
    EXPECT_EQ(status_of(pid, "NoNewPrivs"), "1");
    EXPECT_EQ(status_of(pid, "Umask"), "0077");
    EXPECT_EQ(::getsid(pid), pid);
    const fs::path proc = "/proc/" + std::to_string(pid);
    EXPECT_EQ(fs::read_symlink(proc / "cwd"), "/");
    EXPECT_EQ(fs::read_symlink(proc / "fd" / "0"), "/dev/null");
    EXPECT_THAT(text_of(proc / "limits"), testing::ContainsRegex("Max core file size +0 +0 "));
    if (name == "keeper") {
      EXPECT_THAT(text_of(proc / "limits"), testing::ContainsRegex("Max locked memory +8388608 "));
    }
    if (name.starts_with("ke ")) {  // two for each of 2048 connections, and 256 more
      EXPECT_THAT(text_of(proc / "limits"), testing::ContainsRegex("Max open files +4352 "));
    }
    const std::vector<std::string> environment = parts_of(pid, "environ");
    EXPECT_THAT(environment, Contains("WATCHDOG_PID=" + std::to_string(pid)));
    EXPECT_THAT(environment,
                Contains(std::string("WATCHDOG_USEC=") + (name == "dataplane" ? "4000000" : "10000000")));
    EXPECT_THAT(environment, Not(Contains(HasSubstr("STRANGER"))));
    // The family's lock, once the socket that said READY=1 is closed.
    const std::set<fs::path> lock = {shared_ / "pages" / "launcher"};
    EXPECT_TRUE(becomes_true([&] {
      std::set<fs::path> descriptors;
      for (const auto& entry : fs::directory_iterator(proc / "fd")) {
        std::error_code closed;
        if (std::stoi(entry.path().filename()) > STDERR_FILENO) {
          descriptors.insert(fs::read_symlink(entry.path(), closed));
        }
      }
      return descriptors == lock;
    }));
  }
  EXPECT_THAT(parts_of(children.at("dataplane"), "cmdline"),
              Contains("keeper=62101,clock=62103,admin=62105"));
  EXPECT_THAT(parts_of(children.at("dataplane"), "environ"),
              Contains("RUNTIME_DIRECTORY=" + (shared_ / "pages" / "dataplane").native()));
  EXPECT_EQ(stop(launcher), 0);
}

TEST_F(LauncherRun, CapabilitiesAreThoseThatDevicesAndPortsNeed) {
  write_config("af_packet:lo", 1024, 1023);
  pid_t launcher = start_and_wait();
  EXPECT_EQ(status_of(children_of(launcher).at("dataplane"), "CapEff"), "0000000000003000");
  EXPECT_EQ(status_of(children_of(launcher).at("ke 1"), "CapEff"), "0000000000000400");
  EXPECT_EQ(status_of(children_of(launcher).at("ke 1"), "CapBnd"), "0000000000000400");
  EXPECT_EQ(status_of(children_of(launcher).at("keeper"), "CapEff"), "0000000000000000");
  EXPECT_EQ(stop(launcher), 0);
  write_config("vdev:net_null0", 123, 4460);
  launcher = start_and_wait();
  EXPECT_EQ(status_of(children_of(launcher).at("dataplane"), "CapBnd"), "0000000000000000");
  EXPECT_EQ(stop(launcher), 0);
}

TEST_F(LauncherRun, WithoutNtsThereIsNoKeAndNoCertificateIsAskedFor) {
  std::ofstream(directory_ / "config.toml")
      << "[server]\nname = \"time.example.net\"\naddresses = [\"192.0.2.1/24\"]\nanswer_nts = false\n"
         "[dataplane]\ndevices = [\"vdev:net_null0\"]\n[keys]\nfile = "
      << directory_ / "state" / "keeper" / "keys"
      << "\n";
  const pid_t launcher = start_and_wait();
  std::vector<std::string> names;
  for (const auto& [name, pid] : children_of(launcher)) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("admin", "clock", "dataplane", "keeper", "upstream"));
  EXPECT_EQ(stop(launcher), 0);
}

TEST_F(LauncherRun, DirectoriesBelongToTheirWriters) {
  const pid_t launcher = start_and_wait();
  const auto expect = [](const fs::path& path, uid_t owner, mode_t mode) {
    struct stat status {};
    ASSERT_EQ(::lstat(path.c_str(), &status), 0) << path;
    EXPECT_TRUE(S_ISDIR(status.st_mode));
    EXPECT_EQ(status.st_uid, owner) << path;
    EXPECT_EQ(status.st_gid, owner) << path;
    EXPECT_EQ(status.st_mode & 07777, mode) << path;
  };
  expect(shared_ / "pages", 0, 0755);
  for (const Identity& identity : identities) {
    if (identity.role != Role::upstream) expect(shared_ / "pages" / identity.name, identity.uid, 0755);
  }
  expect(directory_ / "state", 0, 0755);
  expect(directory_ / "state" / "keeper", 62101, 0700);
  EXPECT_EQ(stop(launcher), 0);
}

TEST_F(LauncherRun, IsReadyWhenTheLastRoleIs) {
  tell("clock.waits");
  tell("dataplane.waits");
  const pid_t launcher = start();
  ASSERT_TRUE(becomes_true([&] { return children_of(launcher).size() == 6; }));
  EXPECT_FALSE(children_of(launcher).contains("dataplane"));  // it comes when the pages are there
  EXPECT_FALSE(fs::exists(directory_ / "ready"));
  fs::remove(directory_ / "bin" / "clock.waits");
  ASSERT_TRUE(becomes_true([&] { return children_of(launcher).contains("dataplane"); }));
  EXPECT_FALSE(fs::exists(directory_ / "ready"));
  fs::remove(directory_ / "bin" / "dataplane.waits");
  ASSERT_TRUE(becomes_true([&] { return fs::exists(directory_ / "ready"); }));
  EXPECT_EQ(text_of(directory_ / "ready"), std::to_string(launcher) + "\n");
  EXPECT_EQ(stop(launcher), 0);
  EXPECT_FALSE(fs::exists(directory_ / "ready"));
}

// H01 to H04: whoever is killed comes back, and the others never notice.
TEST_F(LauncherRun, H02_ARoleThatWasKilledIsStartedAgain) {
  const pid_t launcher = start_and_wait();
  for (const char* victim : {"ke 0", "keeper", "clock", "upstream", "admin", "dataplane", "ke 0"}) {
    SCOPED_TRACE(victim);
    auto before = children_of(launcher);
    ASSERT_EQ(before.size(), 7U);
    ::kill(before.at(victim), SIGKILL);
    ASSERT_TRUE(becomes_true([&] {
      const auto now = children_of(launcher);
      return now.size() == 7 && now.at(victim) != before.at(victim);
    }));
    auto after = children_of(launcher);
    EXPECT_NE(status_of(after.at(victim), "Uid"), four(0));
    before.erase(victim);
    after.erase(victim);
    EXPECT_EQ(before, after);
  }
  EXPECT_THAT(log(), testing::ContainsRegex(
                         "keeper \\(process [0-9]+\\) was killed by SIGKILL; starting it again\n"));
  EXPECT_THAT(log(), testing::ContainsRegex(
                         "ke 0 \\(process [0-9]+\\) was killed by SIGKILL; starting it again in 100 ms"));
  EXPECT_EQ(stop(launcher), 0);
}

TEST_F(LauncherRun, OneThatEndsBeforeAllWereReadyEndsAll) {
  for (const char* culprit : {"upstream", "dataplane"}) {
    SCOPED_TRACE(culprit);
    tell(std::string(culprit) + ".dies");
    const pid_t launcher = start();
    EXPECT_EQ(exit_code_of(launcher), 1);
    EXPECT_THAT(log(), HasSubstr(std::string(culprit) + " has its own words"));
    EXPECT_THAT(log(), HasSubstr("ended with code 3 before all were ready"));
    EXPECT_FALSE(fs::exists(directory_ / "ready"));
    EXPECT_TRUE(std::none_of(seen_.begin(), seen_.end(), is_alive));
    fs::remove(directory_ / "bin" / (std::string(culprit) + ".dies"));
  }
}

TEST_F(LauncherRun, G07_ASecondLauncherIsRefusedAndTheFirstGoesOn) {
  const pid_t first = start_and_wait();
  const auto before = children_of(first);
  EXPECT_THAT(refusal(), HasSubstr("another launcher works here; stop that one first"));
  EXPECT_EQ(children_of(first), before);
  EXPECT_TRUE(fs::exists(directory_ / "ready"));
  EXPECT_TRUE(
      std::all_of(before.begin(), before.end(), [](const auto& child) { return is_alive(child.second); }));
  EXPECT_EQ(stop(first), 0);
}

TEST_F(LauncherRun, StopsEveryRoleAndLeavesThePages) {
  for (const int signal : {SIGTERM, SIGINT}) {
    const pid_t launcher = start_and_wait();
    const auto children = children_of(launcher);
    std::ofstream(shared_ / "pages" / "keeper" / "keys") << "a page";
    ::kill(launcher, signal);
    EXPECT_EQ(exit_code_of(launcher), 0);
    for (const auto& [name, pid] : children) EXPECT_FALSE(is_alive(pid)) << name;
    EXPECT_EQ(text_of(shared_ / "pages" / "keeper" / "keys"), "a page");
    EXPECT_TRUE(fs::is_empty(shared_ / "pages" / "launcher"));
    EXPECT_FALSE(fs::exists(directory_ / "ready"));
  }
}

TEST_F(LauncherRun, H06_OneThatIsDeafToSigtermIsKilled) {
  tell("admin.deaf");
  const pid_t launcher = start_and_wait();
  const pid_t deaf = children_of(launcher).at("admin");
  EXPECT_EQ(stop(launcher), 0);
  EXPECT_FALSE(is_alive(deaf));
  EXPECT_THAT(log(), HasSubstr("admin does not stop; killing it"));
}

TEST_F(LauncherRun, H05_AKilledLaunchersRolesEndAndTheNextOneStarts) {
  const pid_t killed = start_and_wait();
  const auto orphans = children_of(killed);
  ::kill(killed, SIGKILL);
  EXPECT_EQ(exit_code_of(killed), -SIGKILL);
  const pid_t next = start();  // at once: it must wait for them by itself
  for (const auto& [name, pid] : orphans) {
    EXPECT_TRUE(becomes_true([pid = pid] { return !is_alive(pid); })) << name;
  }
  EXPECT_TRUE(becomes_true([&] { return text_of(directory_ / "ready") == std::to_string(next) + "\n"; }))
      << log();
  EXPECT_EQ(stop(next), 0);
}

TEST_F(LauncherRun, G07_AnOrphanThatStaysKeepsTheNextLauncherOut) {
  tell("keeper.deaf");
  const pid_t killed = start_and_wait();
  const pid_t orphan = children_of(killed).at("keeper");
  ::kill(killed, SIGKILL);
  EXPECT_EQ(exit_code_of(killed), -SIGKILL);
  EXPECT_THAT(refusal(), HasSubstr("processes of a launcher that was killed still run here"));
  EXPECT_TRUE(is_alive(orphan));
}

TEST_F(LauncherRun, SighupIsForKeAlone) {
  const pid_t launcher = start_and_wait();
  ::kill(launcher, SIGHUP);
  ASSERT_TRUE(becomes_true([&] {
    const std::string text = log();
    const std::size_t first = text.find("ke heard SIGHUP");
    return first != std::string::npos && text.find("ke heard SIGHUP", first + 1) != std::string::npos;
  }));
  EXPECT_EQ(stop(launcher), 0);
  EXPECT_THAT(log(), Not(HasSubstr("keeper heard SIGHUP")));
}

TEST_F(LauncherRun, F11_DirectoriesThatOthersHadAHandInAreRefused) {
  ASSERT_EQ(stop(start_and_wait()), 0);
  const fs::path pages = shared_ / "pages";
  const fs::path keeper = pages / "keeper";
  ASSERT_EQ(::chown(keeper.c_str(), 62105, 62101), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to 62105:62101 and not to 62101:62101"));
  ASSERT_EQ(::chown(keeper.c_str(), 62101, 62101), 0);
  ASSERT_EQ(::chmod(keeper.c_str(), 0777), 0);
  EXPECT_THAT(refusal(), HasSubstr("has mode 0777 and not 0755"));
  fs::remove_all(keeper);
  fs::create_directory_symlink("/tmp", keeper);
  EXPECT_THAT(refusal(), HasSubstr("is a symbolic link"));
  fs::remove(keeper);
  std::ofstream(keeper) << "";
  EXPECT_THAT(refusal(), HasSubstr("is in the way and no directory"));
  fs::remove(keeper);
  ASSERT_EQ(::chown(pages.c_str(), 62105, 62105), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to 62105:62105 and not to 0:0"));
  ASSERT_EQ(::chown(pages.c_str(), 0, 0), 0);
  EXPECT_EQ(stop(start_and_wait()), 0);
}

TEST_F(LauncherRun, F04_SecretsThatOthersCouldReadAreRefused) {
  const fs::path keys = directory_ / "state" / "keeper";
  fs::create_directories(keys);
  EXPECT_THAT(refusal(), HasSubstr("holds the keys and belongs to user 0"));
  ASSERT_EQ(::chown(keys.c_str(), 62101, 62101), 0);
  ASSERT_EQ(::chmod(keys.c_str(), 0750), 0);
  EXPECT_THAT(refusal(), HasSubstr("holds the keys and has mode 0750; chmod it to 0700"));
  ASSERT_EQ(::chmod(keys.c_str(), 0700), 0);
  ASSERT_EQ(::chmod((directory_ / "key.pem").c_str(), 0444), 0);
  EXPECT_THAT(refusal(), HasSubstr("key.pem: others than its owner may read or write it"));
  ASSERT_EQ(::chmod((directory_ / "key.pem").c_str(), 0400), 0);
  EXPECT_EQ(stop(start_and_wait()), 0);
}

TEST_F(LauncherRun, PagesAwayFromTmpfsAreRefused) {
  struct statfs status {};
  ASSERT_EQ(::statfs(directory_.c_str(), &status), 0);
  if (status.f_type == TMPFS_MAGIC) GTEST_SKIP() << "/tmp is a tmpfs here";
  options_.pages = directory_ / "pages";
  EXPECT_THAT(refusal(), HasSubstr("is not on a tmpfs"));
}

TEST_F(LauncherRun, ProgramsThatARoleCannotReachAreRefused) {
  ASSERT_EQ(::chmod((directory_ / "bin").c_str(), 0700), 0);
  EXPECT_THAT(refusal(), HasSubstr("bin: may not be entered by every user"));
  ASSERT_EQ(::chmod((directory_ / "bin").c_str(), 0755), 0);
  ASSERT_EQ(::chmod((directory_ / "bin" / "noonmark-dataplane").c_str(), 0750), 0);
  EXPECT_THAT(refusal(), HasSubstr("noonmark-dataplane: is no program that every user may run"));
  fs::remove(directory_ / "bin" / "noonmark-dataplane");
  EXPECT_THAT(refusal(), HasSubstr("noonmark-dataplane: cannot be found"));
}

}  // namespace
}  // namespace control
