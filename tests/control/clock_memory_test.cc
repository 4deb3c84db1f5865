// What the clock role remembers of its oscillator from one run to the next, as a process with a real file.

#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "control/clock_task.h"
#include "control/descriptor.h"
#include "control/oscillator_file.h"
#include "dataplane/shm/segment.h"
#include "hwclock/tsc.h"
#include "tests/control/role_process.h"
#include "tests/control/sock_sample.h"

namespace control {
namespace {

namespace fs = std::filesystem;
using hwclock::ClockState;
using hwclock::State;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

constexpr auto patience = 60s;  // far beyond what anything here needs, on a busy machine too

class ClockMemory : public testing::Test {
 protected:
  void SetUp() override {
    if (!hwclock::has_invariant_tsc()) GTEST_SKIP() << hwclock::no_invariant_tsc;
    std::string form = "/dev/shm/noonmark-memory-test-XXXXXX";
    ASSERT_NE(::mkdtemp(form.data()), nullptr);
    pages_ = form;
    config_.paths.pages = pages_;
    config_.clock.source = ClockSource::gnss;
    config_.gnss.pulse = {PulseKind::sock, pages_ / "clock" / "pulse"};
    config_.gnss.memory = pages_ / "memory" / "oscillator";
    fs::create_directory(pages_ / "memory");
  }
  void TearDown() override {
    role_.reset();
    if (!pages_.empty()) fs::remove_all(pages_);
  }

  // On pages that nobody has served from, so that nothing is held over.
  void start() {
    fs::remove_all(pages_ / "clock");
    fs::create_directory(pages_ / "clock");
    role_.emplace([this] {
      const Descriptor out(::open((pages_ / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
      ::dup2(out.get(), STDERR_FILENO);
      return run_clock(config_);
    });
  }
  [[nodiscard]] std::string log() const {
    std::ifstream file(pages_ / "log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // It names its second itself, so none waits for the next one.
  void send_sample() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tests::send_sock_sample(config_.gnss.pulse.path, now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec);
  }

  // Sends twenty samples a second until `is_enough`; how many were sent, or 0 when it never was.
  int feed(const std::function<bool()>& is_enough) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (int sent = 1;; ++sent) {
      send_sample();
      if (is_enough()) return sent;
      if (std::chrono::steady_clock::now() > deadline) return 0;
      std::this_thread::sleep_for(50ms);
    }
  }
  [[nodiscard]] bool is_locked() const {
    try {
      const auto page = shm::Segment<shm::ClockPage>::attach(pages_, ::geteuid());
      ClockState state{};
      std::uint64_t generation = 0;
      return page->clock.read(state, generation) && state.state == State::locked;
    } catch (const shm::SegmentError&) {
      return false;  // not made yet
    }
  }

  void learn() {
    start();
    int locked_for = 0;
    ASSERT_GT(feed([&] { return is_locked() && ++locked_for > 80; }), 0) << log();
    ASSERT_EQ(role_->end(SIGTERM), 0);
    ASSERT_TRUE(fs::exists(config_.gnss.memory)) << log();
  }
  [[nodiscard]] bool says(const std::string& text) const { return log().find(text) != std::string::npos; }

  fs::path pages_;
  Config config_;
  std::optional<tests::RoleProcess> role_;
};

TEST_F(ClockMemory, IsSavedAtTheEndForItsEyesOnlyAndAgreesWithTheNextPulses) {
  ASSERT_NO_FATAL_FAILURE(learn());
  struct stat status {};
  ASSERT_EQ(::stat(config_.gnss.memory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_FALSE(fs::exists(config_.gnss.memory.native() + ".new"));

  start();
  EXPECT_GT(feed([&] { return is_locked(); }), 0) << log();
  EXPECT_TRUE(says("the pulses agree with what was remembered")) << log();
  EXPECT_FALSE(says("learned anew")) << log();
  EXPECT_EQ(role_->end(SIGTERM), 0);
}

TEST_F(ClockMemory, WhatCannotBeBelievedIsSaidOnceAndCostsNoLock) {
  ASSERT_NO_FATAL_FAILURE(learn());
  const std::string whole = [&] {
    std::ifstream file(config_.gnss.memory, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  std::string changed = whole;
  changed[100] = static_cast<char>(changed[100] ^ 1);
  // Another version: the number behind the magic.
  std::string later = whole;
  later[8] = 99;
  for (const auto& [octets, sentence] :
       {std::pair{std::string("garbage"), "is not used: it is cut short; the oscillator is learned anew"},
        {std::string(100'000, 'x'), "it is larger than"},
        {std::string(5'000, '\0'), "it is no oscillator's memory"},
        {changed, "its checksum is wrong"},
        {later, "it has version 99"}}) {
    std::ofstream(config_.gnss.memory, std::ios::binary | std::ios::trunc) << octets;
    start();
    EXPECT_GT(feed([&, wanted = sentence] { return says(wanted); }), 0) << sentence << "\n" << log();
    EXPECT_EQ(role_->end(SIGTERM), 0);
  }
  start();  // with the last of them, to the end
  EXPECT_GT(feed([&] { return is_locked(); }), 0) << log();
  const std::string text = log();
  EXPECT_EQ(text.find("learned anew"), text.rfind("learned anew")) << text;
  EXPECT_EQ(role_->end(SIGTERM), 0);
}

TEST_F(ClockMemory, OfAnotherMachineOrRateIsRefused) {
  ASSERT_NO_FATAL_FAILURE(learn());
  const auto own = recall_oscillator(config_.gnss.memory);
  ASSERT_NE(own.memory, nullptr) << own.fault;
  hwclock::OscillatorMemory memory = *own.memory;
  memory.machine[0] ^= 1;
  const auto octets = hwclock::encode_memory(memory);
  std::ofstream(config_.gnss.memory, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  EXPECT_EQ(recall_oscillator(config_.gnss.memory).fault, "it is of another machine's oscillator");

  memory.ns_per_tick *= 1.01;
  ASSERT_EQ(save_oscillator(config_.gnss.memory, memory), "");
  start();
  EXPECT_GT(feed([&] { return says("it is of a counter that ticks at another rate"); }), 0) << log();
  EXPECT_EQ(role_->end(SIGTERM), 0);
}

TEST_F(ClockMemory, AFileThatOthersMayWriteOrThatIsNoneIsNotRead) {
  EXPECT_EQ(recall_oscillator(config_.gnss.memory).fault, "") << "there is none yet";
  fs::create_directory(config_.gnss.memory);
  EXPECT_EQ(recall_oscillator(config_.gnss.memory).fault, "it is no regular file");
  fs::remove(config_.gnss.memory);
  std::ofstream(config_.gnss.memory) << "x";
  fs::permissions(config_.gnss.memory, fs::perms(0622));
  EXPECT_EQ(recall_oscillator(config_.gnss.memory).fault, "others could write it");
  fs::remove(config_.gnss.memory);
  fs::create_symlink("/etc/passwd", config_.gnss.memory);
  EXPECT_EQ(recall_oscillator(config_.gnss.memory).fault, "it is no regular file");
}

TEST_F(ClockMemory, AFailedSaveSaysWhyAndLeavesTheOldOne) {
  ASSERT_NO_FATAL_FAILURE(learn());
  auto recalled = recall_oscillator(config_.gnss.memory);
  ASSERT_NE(recalled.memory, nullptr);
  EXPECT_THAT(save_oscillator(pages_ / "nowhere" / "oscillator", *recalled.memory),
              HasSubstr("cannot be made: No such file"));
  // In the way of the new file's name.
  const fs::path fresh = config_.gnss.memory.native() + ".new";
  fs::create_directory(fresh);
  EXPECT_THAT(save_oscillator(config_.gnss.memory, *recalled.memory), HasSubstr("cannot be made"));
  EXPECT_NE(recall_oscillator(config_.gnss.memory).memory, nullptr);
}

}  // namespace
}  // namespace control
