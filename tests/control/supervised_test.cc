// One child's lives: real processes, invented time.

#include "control/supervised.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace control {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Time = Supervised::Time;

// Says READY=1 to NOTIFY_SOCKET and WATCHDOG=1 at each SIGUSR1; deaf to SIGABRT when told so.
constexpr std::string_view speaker = R"(
import os, signal, socket, sys, time
if sys.argv[1] == "deaf": signal.signal(signal.SIGABRT, signal.SIG_IGN)
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(os.environ["NOTIFY_SOCKET"])
signal.signal(signal.SIGUSR1, lambda *_: to.send(b"WATCHDOG=1"))
to.send(b"STATUS=all is well\nREADY=1\n")
while True: time.sleep(0.05)  # pause() would sleep through a signal that came just before it
)";

class SupervisedChild : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a child its user";
    std::string form = "/tmp/noonmark-supervised-test-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    directory_ = form;
    ASSERT_EQ(::chmod(form.c_str(), 0755), 0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static ChildSpec spec_of(const std::string& program, std::vector<std::string> arguments = {}) {
    ChildSpec spec;
    spec.name = "child";
    spec.program = program;
    spec.arguments = std::move(arguments);
    spec.uid = 62102;
    spec.gid = 62102;
    return spec;
  }
  static ChildSpec speaker_of(const std::string& ears) {
    return spec_of("/usr/bin/python3", {"-I", "-S", "-c", std::string(speaker), ears});
  }
  // How it ended; the time it is given is `now`, however long that takes in truth.
  static std::string wait_for_end(Supervised& child, Time now) {
    for (int tries = 0; tries < 2000; ++tries) {
      if (const auto account = child.reap(now)) return *account;
      std::this_thread::sleep_for(5ms);
    }
    return "has not ended";
  }
  static void wait_until_ready(Supervised& child, Time now) {
    for (int tries = 0; tries < 100 && !child.is_ready(); ++tries) {
      pollfd readable{child.notify_fd(), POLLIN, 0};
      ::poll(&readable, 1, 100);
      child.receive(now);
    }
    ASSERT_TRUE(child.is_ready());
  }

  std::filesystem::path directory_;
  const Time start_ = Time{} + 1000s;
};

TEST_F(SupervisedChild, H02_IsStartedAgainAtOnceThenAfterAPauseThatDoubles) {
  Supervised child(spec_of("/bin/false"), directory_, -1);
  EXPECT_FALSE(child.next_look());  // it has not begun
  child.look(start_);
  EXPECT_FALSE(child.is_running());
  Time now = start_;
  child.begin(now);
  for (const auto pause : {0ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
    SCOPED_TRACE(pause.count());
    child.look(now);
    ASSERT_TRUE(child.is_running());
    EXPECT_THAT(wait_for_end(child, now), HasSubstr("ended with code 1"));
    EXPECT_EQ(child.pause(), pause);
    ASSERT_EQ(child.next_look(), now + pause);
    if (pause > 0ms) {
      child.look(now + pause - 1ms);
      EXPECT_FALSE(child.is_running());
    }
    now += pause;
  }
  // A life of ten seconds cleans the record, and one a bit shorter does not.
  child.look(now);
  wait_for_end(child, now + 9999ms);
  EXPECT_EQ(child.pause(), 5000ms);
  now += 20s;
  child.look(now);
  wait_for_end(child, now + 10s);
  EXPECT_EQ(child.pause(), 0ms);
}

TEST_F(SupervisedChild, SaysWhichSignalKilledIt) {
  Supervised child(spec_of("/bin/sleep", {"1000"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  EXPECT_FALSE(child.reap(start_));
  child.signal(SIGKILL);
  EXPECT_THAT(wait_for_end(child, start_), HasSubstr("was killed by SIGKILL"));
}

TEST_F(SupervisedChild, AProgramThatIsNotThereEndsAsInAShell) {
  Supervised child(spec_of("/nowhere/at/all"), directory_, -1);
  child.begin(start_);
  child.look(start_);
  EXPECT_THAT(wait_for_end(child, start_), HasSubstr("ended with code 127"));
}

TEST_F(SupervisedChild, ALogThatNobodyReadsDoesNotEndIt) {
  Supervised child(spec_of("/bin/sh", {"-c", "kill -PIPE $$; exit 5"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  EXPECT_THAT(wait_for_end(child, start_), HasSubstr("ended with code 5"));
}

// Ends with 6 when it hears SIGHUP, which it listens to from the moment it says READY=1.
constexpr std::string_view reloader = R"(
import os, signal, socket, sys, time
if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN: sys.exit(7)
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(os.environ["NOTIFY_SOCKET"])
signal.signal(signal.SIGHUP, lambda *_: os._exit(6))
to.send(b"READY=1\n")
while True: time.sleep(0.05)  # pause() would sleep through a signal that came just before it
)";

TEST_F(SupervisedChild, F07_AReloadBeforeItListensIsMadeUpForAndNotItsEnd) {
  ChildSpec spec = spec_of("/usr/bin/python3", {"-I", "-S", "-c", std::string(reloader)});
  spec.reloads_on_hangup = true;
  Supervised child(spec, directory_, -1);
  child.begin(start_);
  child.reload();  // it does not live: nothing to tell, it will read the files
  sigset_t hangup;
  sigset_t before;
  sigemptyset(&hangup);
  sigaddset(&hangup, SIGHUP);
  ::sigprocmask(SIG_BLOCK, &hangup, &before);  // as in the launcher
  child.look(start_);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  child.signal(SIGHUP);  // a stray one, at any moment of its start
  child.reload();
  wait_until_ready(child, start_);
  EXPECT_THAT(wait_for_end(child, start_), HasSubstr("ended with code 6")) << "heard once it listened";
}

TEST_F(SupervisedChild, H06_WhoIsToldToEndIsNotToldToReloadAnyMore) {
  ChildSpec spec = spec_of("/usr/bin/python3", {"-I", "-S", "-c", R"(
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as of a role that has let go of its signals
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect(os.environ["NOTIFY_SOCKET"])
to.send(b"READY=1")
while True: time.sleep(0.05)
)"});
  spec.reloads_on_hangup = true;
  Supervised child(spec, directory_, -1);
  child.begin(start_);
  child.look(start_);
  wait_until_ready(child, start_);
  child.stop();
  child.reload();
  child.signal(SIGUSR1);
  EXPECT_THAT(wait_for_end(child, start_ + 1s), HasSubstr("ended with code 0"));
}

TEST_F(SupervisedChild, WhoDoesNotReloadIsNotSentSighup) {
  Supervised child(spec_of("/bin/sleep", {"1000"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  child.reload();
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(child.reap(start_));
}

TEST_F(SupervisedChild, H15_OneThatFallsSilentIsKilled) {
  ChildSpec spec = speaker_of("deaf");
  spec.watchdog = 10s;
  Supervised child(spec, directory_, -1);
  child.begin(start_);
  child.look(start_);
  EXPECT_EQ(child.next_look(), start_ + Supervised::start_max);
  const Time ready = start_ + 3s;
  wait_until_ready(child, ready);
  EXPECT_EQ(child.next_look(), ready + 10s);
  child.look(ready + 9999ms);
  EXPECT_EQ(child.next_look(), ready + 10s);  // not yet
  child.look(ready + 10s);
  EXPECT_EQ(child.next_look(), ready + 10s + Supervised::last_words);  // SIGABRT is on its way
  EXPECT_FALSE(child.reap(ready + 10s));                               // and it is deaf to it
  child.look(ready + 10s + Supervised::last_words);
  EXPECT_THAT(wait_for_end(child, ready + 11s), HasSubstr("was killed by SIGKILL"));
}

TEST_F(SupervisedChild, H15_OneWhoseSocketWasDeletedIsHeardAgainInItsNextLife) {
  Supervised child(speaker_of("hears"), directory_, -1);
  child.begin(start_);
  child.look(start_);
  wait_until_ready(child, start_);
  ASSERT_TRUE(std::filesystem::remove(directory_ / "child"));
  child.kill();
  wait_for_end(child, start_);
  child.look(start_ + 10s);
  ASSERT_TRUE(child.is_running());
  wait_until_ready(child, start_ + 10s);
}

TEST_F(SupervisedChild, AWatchdogMessageBuysAnotherInterval) {
  ChildSpec spec = speaker_of("hearing");
  spec.watchdog = 10s;
  Supervised child(spec, directory_, -1);
  child.begin(start_);
  child.look(start_);
  wait_until_ready(child, start_);
  EXPECT_EQ(child.next_look(), start_ + 10s);
  child.signal(SIGUSR1);
  for (int tries = 0; tries < 500 && child.next_look() != start_ + 17s; ++tries) {
    std::this_thread::sleep_for(5ms);
    child.receive(start_ + 7s);
  }
  EXPECT_EQ(child.next_look(), start_ + 17s);
  child.excuse(start_ + 9s);
  EXPECT_EQ(child.next_look(), start_ + 19s);
  child.look(start_ + 19s);
  EXPECT_THAT(wait_for_end(child, start_ + 20s), HasSubstr("was killed by SIGABRT"));
}

TEST_F(SupervisedChild, OneThatNeverBecomesReadyIsKilled) {
  Supervised child(spec_of("/bin/sleep", {"1000"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  child.look(start_ + Supervised::start_max - 1ms);
  EXPECT_EQ(child.next_look(), start_ + Supervised::start_max);
  child.look(start_ + Supervised::start_max);
  EXPECT_THAT(wait_for_end(child, start_ + 61s), HasSubstr("was killed by SIGABRT"));
}

TEST_F(SupervisedChild, IsBelievedOnlyAboutItself) {
  Supervised child(spec_of("/bin/sleep", {"1000"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  const std::string path = directory_ / "child";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int stranger = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  ASSERT_EQ(::connect(stranger, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::send(stranger, "READY=1", 7, 0), 7);
  ::close(stranger);
  child.receive(start_);
  EXPECT_FALSE(child.is_ready());
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(status.st_uid, 62102U);
}

TEST_F(SupervisedChild, WhatItStartedDiesWithIt) {
  Supervised child(spec_of("/bin/sh", {"-c", "sleep 1000 & wait"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  pid_t leader = 0;
  std::ifstream("/proc/self/task/" + std::to_string(::getpid()) + "/children") >> leader;
  const auto members = [leader] {  // of the group that it leads
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "stat");
      std::string pid, name, state;
      pid_t parent = 0, group = 0;
      if (file >> pid >> name >> state >> parent >> group && group == leader && state != "Z") ++count;
    }
    return count;
  };
  const auto become = [&](int wanted) {
    for (int tries = 0; tries < 2000 && members() != wanted; ++tries) std::this_thread::sleep_for(5ms);
    return members() == wanted;
  };
  ASSERT_TRUE(become(2));
  child.kill();
  EXPECT_THAT(wait_for_end(child, start_), HasSubstr("was killed by SIGKILL"));
  EXPECT_TRUE(become(0));
}

TEST_F(SupervisedChild, OneThatWasStoppedIsNotStartedAgain) {
  Supervised child(spec_of("/bin/sleep", {"1000"}), directory_, -1);
  child.begin(start_);
  child.look(start_);
  child.stop();
  EXPECT_THAT(wait_for_end(child, start_), HasSubstr("was killed by SIGTERM"));
  EXPECT_FALSE(child.next_look());
  child.begin(start_);
  child.look(start_ + 100s);
  EXPECT_FALSE(child.is_running());
}

TEST_F(SupervisedChild, LeavesNeitherProcessNorSocketBehind) {
  {
    Supervised child(spec_of("/bin/sleep", {"1000"}), directory_, -1);
    child.begin(start_);
    child.look(start_);
    EXPECT_TRUE(std::filesystem::exists(directory_ / "child"));
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "child"));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace control
