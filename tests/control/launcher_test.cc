// `noonmark run` with real processes: what the kernel tells of the roles in /proc, and who ends when.

#include "control/launcher.h"

#include <gmock/gmock.h>

#include "tests/control/launcher_run.h"

namespace control {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

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

TEST_F(LauncherRun, SighupIsForThoseThatReadTheConfigurationWhileTheyServe) {
  const pid_t launcher = start_and_wait();
  ::kill(launcher, SIGHUP);
  ASSERT_TRUE(becomes_true([&] {
    const std::string text = log();
    const std::size_t first = text.find("ke heard SIGHUP");
    return first != std::string::npos && text.find("ke heard SIGHUP", first + 1) != std::string::npos &&
           text.find("keeper heard SIGHUP") != std::string::npos &&
           text.find("admin heard SIGHUP") != std::string::npos;
  }));
  EXPECT_EQ(stop(launcher), 0);
  EXPECT_THAT(log(), Not(HasSubstr("clock heard SIGHUP")));
  EXPECT_THAT(log(), Not(HasSubstr("upstream heard SIGHUP")));
  EXPECT_THAT(log(), Not(HasSubstr("dataplane heard SIGHUP")));
}

}  // namespace
}  // namespace control
