// The key file saved by a process that is killed before and after each of its system calls (TESTS.md F09).
//
// A child saves under ptrace; the parent lets it come to its n-th stop, kills it there with SIGKILL, and
// looks at the disk as the next keeper will. n goes on until a child finishes.

#include <csignal>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/key_rotation.h"
#include "control/key_store.h"
#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::IsSupersetOf;

constexpr int stops_max = 200;  // a save has some 25

bool is_same(const StoredRing& left, const StoredRing& right) {
  return std::memcmp(&left, &right, sizeof left) == 0;
}

enum class Step : std::uint8_t { killed, finished, cannot_trace };

class KeySaveKilled : public testing::Test {
 protected:
  void SetUp() override {
    make_first_ring(old_, {100, 1'700'000'000}, 5);
    fresh_ = old_;
    ASSERT_EQ(add_pending_key(fresh_, {200, 1'700'000'100}, 10), "");
  }

  static std::string save(const std::filesystem::path& file, const StoredRing& stored) {
    KeyFileImage image{};
    encode_key_file(stored, image);
    return save_key_file(file, image);
  }

  // Saves `fresh_` in a child and kills it at stop number `stop`: 0 is before the first system call, 1 behind
  // it, 2 before the second.
  Step save_until(int stop) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
      ::raise(SIGSTOP);
      ::_exit(save(file_, fresh_).empty() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return Step::cannot_trace;
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (int seen = 0;; ++seen) {
      ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
      ::waitpid(child, &status, 0);
      if (WIFEXITED(status)) {
        EXPECT_EQ(WEXITSTATUS(status), 0);
        return Step::finished;
      }
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      calls_.insert(static_cast<long>(registers.orig_rax));
      if (seen == stop) break;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return Step::killed;
  }

  // What the next keeper finds: the old ring or the new one, whole, private, and nothing that stops it.
  void expect_old_or_new(bool had_old) {
    StoredRing found{};
    const LoadReport report = load_key_file(file_, found);
    if (report.loaded == Loaded::missing) {
      EXPECT_FALSE(had_old) << "the old file is gone";
    } else {
      ASSERT_EQ(report.loaded, Loaded::ring) << report.reason;
      EXPECT_TRUE(is_same(found, fresh_) || (had_old && is_same(found, old_)));
      EXPECT_EQ(tests::mode_of(file_), 0600U);
      (is_same(found, fresh_) ? seen_new_ : seen_old_) = true;
    }
    const std::filesystem::path scrap = file_.native() + ".new";
    if (std::filesystem::exists(scrap)) {
      EXPECT_EQ(tests::mode_of(scrap) & 077U, 0U) << "half a file, for us only";
    }
    EXPECT_EQ(save(file_, fresh_), "");
    ASSERT_EQ(load_key_file(file_, found).loaded, Loaded::ring);
    EXPECT_TRUE(is_same(found, fresh_));
    EXPECT_FALSE(std::filesystem::exists(scrap));
  }

  tests::Scratch scratch_;
  std::filesystem::path file_ = scratch_.path() / "keys";
  StoredRing old_{};
  StoredRing fresh_{};
  std::set<long> calls_;
  bool seen_old_ = false;
  bool seen_new_ = false;
};

TEST_F(KeySaveKilled, F09_AtEachSystemCallLeavesTheOldFileOrTheNewOne) {
  for (const bool has_old : {true, false}) {
    for (int stop = 0;; ++stop) {
      SCOPED_TRACE(testing::Message()
                   << "stop " << stop << (has_old ? ", over an old file" : ", first file"));
      ASSERT_LT(stop, stops_max);
      std::filesystem::remove(file_);
      if (has_old) {
        ASSERT_EQ(save(file_, old_), "");
      }
      const Step step = save_until(stop);
      if (step == Step::cannot_trace) GTEST_SKIP() << "this machine does not let us trace our own children";
      if (step == Step::finished) {
        EXPECT_GT(stop, 12) << "a save makes more calls than that";
        break;
      }
      expect_old_or_new(has_old);
    }
  }
  EXPECT_TRUE(seen_old_ && seen_new_) << "kills on both sides of the rename";
  EXPECT_THAT(calls_, IsSupersetOf({static_cast<long>(SYS_write), static_cast<long>(SYS_fchmod),
                                    static_cast<long>(SYS_fsync), static_cast<long>(SYS_rename)}));
}

// What somebody else put at the names that a save uses is never written into (CVE-2020-14367).
TEST_F(KeySaveKilled, F09_NoLinkIsFollowedWhereverItStands) {
  const std::filesystem::path victim = scratch_.path() / "victim";
  const auto plant = [&](const std::filesystem::path& name, bool is_symbolic) {
    std::filesystem::remove(name);
    is_symbolic ? std::filesystem::create_symlink(victim, name)
                : std::filesystem::create_hard_link(victim, name);
  };
  for (const char* suffix : {"", ".new"}) {
    for (const bool is_symbolic : {true, false}) {
      SCOPED_TRACE(testing::Message() << "keys" << suffix << (is_symbolic ? " symbolic" : " hard"));
      tests::write_file(victim, std::string("precious"), 0644);
      plant(file_.native() + suffix, is_symbolic);
      EXPECT_EQ(save(file_, fresh_), "");
      EXPECT_EQ(tests::read_file(victim), "precious");
      EXPECT_EQ(tests::mode_of(victim), 0644U);
      EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(file_)));
      StoredRing found{};
      EXPECT_EQ(load_key_file(file_, found).loaded, Loaded::ring);
      std::filesystem::remove(file_);
    }
  }
}

}  // namespace
}  // namespace control
