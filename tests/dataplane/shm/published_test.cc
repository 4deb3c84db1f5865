#include "dataplane/shm/published.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t words = 96;

// A value that tells by itself whether it is torn: every word follows from the first.
struct Checked {
  std::array<std::uint64_t, words> word;
};

Checked checked(std::uint64_t seed) {
  Checked value{};
  for (std::size_t i = 0; i < words; ++i) value.word[i] = seed * 0x9e3779b97f4a7c15ULL + i;
  return value;
}

bool is_whole(const Checked& value) {
  for (std::size_t i = 0; i < words; ++i) {
    if (value.word[i] != value.word[0] + i) return false;
  }
  return true;
}

using Shared = shm::Published<Checked>;

// Memory that a forked child shares.
struct SharedMapping {
  SharedMapping()
      : page(new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                 Shared) {}
  ~SharedMapping() { ::munmap(page, sizeof(Shared)); }
  Shared* page;
};

// The generation stands in front of the words; a test that plays a dying writer sets it by hand.
std::atomic<std::uint64_t>& generation_of(Shared& page) {
  return reinterpret_cast<std::atomic<std::uint64_t>&>(page);
}

TEST(Published, GivesNothingBeforeTheFirstPublication) {
  Shared page;
  Checked value = checked(1);
  std::uint64_t seen = 77;
  EXPECT_FALSE(page.read(value, seen));
  EXPECT_EQ(seen, 77U);
  EXPECT_TRUE(is_whole(value));
}

TEST(Published, GivesWhatWasPublishedLast) {
  Shared page;
  Checked value{};
  std::uint64_t seen = 0;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    page.publish(checked(i));
    ASSERT_TRUE(page.read(value, seen));
    EXPECT_EQ(value.word, checked(i).word);
    EXPECT_EQ(seen, 2 * i);
    EXPECT_EQ(page.generation(), 2 * i);
  }
}

TEST(Published, G04_AWriterThatDiedMidWayLeavesReadersWithWhatTheyHadAndIsHealedByTheNext) {
  Shared page;
  page.publish(checked(1));
  generation_of(page).store(3);
  Checked value = checked(42);
  std::uint64_t seen = 0;
  EXPECT_FALSE(page.read(value, seen));
  EXPECT_EQ(value.word, checked(42).word);
  page.publish(checked(2));
  ASSERT_TRUE(page.read(value, seen));
  EXPECT_EQ(value.word, checked(2).word);
  EXPECT_EQ(seen % 2, 0U);
}

TEST(Published, G05_TheGenerationMayWrapAndNoPublicationIsMissed) {
  for (const std::uint64_t start : {~std::uint64_t{0} - 3, ~std::uint64_t{0}, std::uint64_t{0xffff'fffc}}) {
    Shared page;
    generation_of(page).store(start);  // 2^64 - 4, an odd one just before the wrap, 2^32 - 4
    Checked value{};
    std::uint64_t seen = 0;
    for (std::uint64_t i = 1; i <= 6; ++i) {
      const std::uint64_t before = seen;
      page.publish(checked(i));
      ASSERT_TRUE(page.read(value, seen)) << start << " " << i;
      EXPECT_EQ(value.word, checked(i).word);
      EXPECT_NE(seen, before) << "a reader that compares generations sees that it is new";
    }
  }
}

// A reader spins on generation() alone in the packet path; a dead writer must cost it nothing but a look.
TEST(Published, G04_AReadUnderADeadWriterReturnsAtOnceEveryTime) {
  Shared page;
  page.publish(checked(1));
  generation_of(page).store(3);
  Checked value = checked(42);
  std::uint64_t seen = 2;
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(page.read(value, seen));
  EXPECT_EQ(value.word, checked(42).word);
  EXPECT_EQ(seen, 2U);
}

// 10^6 publications, 10^7 with NOONMARK_LONG.
TEST(Published, G03_FourReadersNeverSeeATornValueWhileTheWriterRunsFlatOut) {
  const std::uint64_t publications = std::getenv("NOONMARK_LONG") != nullptr ? 10'000'000 : 1'000'000;
  Shared page;
  page.publish(checked(1));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> backwards{0};
  std::atomic<std::uint64_t> fresh{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      Checked value{};
      std::uint64_t seen = 0;
      std::uint64_t last = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        if (!page.read(value, seen)) continue;
        if (!is_whole(value)) torn.fetch_add(1);
        if (seen < last) backwards.fetch_add(1);
        if (seen != last) fresh.fetch_add(1, std::memory_order_relaxed);
        last = seen;
      }
    });
  }
  for (std::uint64_t i = 2; i < publications; ++i) {
    page.publish(checked(i));
    if (i % 1024 == 0) std::this_thread::yield();  // two cores for five threads
  }
  while (fresh.load() < 4) std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn.load(), 0U);
  EXPECT_EQ(backwards.load(), 0U);
  RecordProperty("values_read", std::to_string(fresh.load()));
}

// As a clock page is used: one writer that bends its line a thousand times a second, sixteen readers of the
// time.
TEST(Published, S12_SixteenReadersOfAClockSeeNoTornLineAndNoTimeGoBack) {
  struct Clock {
    std::uint64_t begin = 0;
    std::uint64_t time = 0;
    std::uint64_t rate = 0;
    std::uint64_t check = 0;
  };
  const int publications = std::getenv("NOONMARK_LONG") != nullptr ? 30'000 : 500;
  shm::Published<Clock> page;
  const auto now = [] {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  };
  Clock clock{now(), 0, 1000, 0};
  const auto publish = [&] {
    clock.check = clock.begin ^ clock.time ^ clock.rate;
    page.publish(clock);
  };
  publish();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> backwards{0};
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 16; ++i) {
    readers.emplace_back([&] {
      Clock seen_clock;
      std::uint64_t seen = 0;
      std::uint64_t last = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        static_cast<void>(page.read(seen_clock, seen));
        if (seen == 0) continue;
        if (seen_clock.check != (seen_clock.begin ^ seen_clock.time ^ seen_clock.rate)) torn.fetch_add(1);
        const std::uint64_t time = seen_clock.time + (now() - seen_clock.begin) * seen_clock.rate;
        if (time < last) backwards.fetch_add(1);
        last = time;
        reads.fetch_add(1, std::memory_order_relaxed);
        std::this_thread::yield();
      }
    });
  }
  for (int i = 0; i < publications; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // Faster each time: a line that turns slower may be read behind its turn by whoever still has the old
    // one.
    const std::uint64_t turn = now();
    clock = {turn, clock.time + (turn - clock.begin) * clock.rate, clock.rate + 1, 0};
    publish();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn.load(), 0U);
  EXPECT_EQ(backwards.load(), 0U);
  EXPECT_GT(reads.load(), 0U);
}

// The writer as a child under ptrace, stopped after each of its instructions: what a reader sees then is what
// it would see for ever if the writer died there.
TEST(Published, G02_AtEveryInstructionOfAPublicationAReaderSeesOldOrNewAndTheNextWriterHeals) {
  const SharedMapping shared;
  shared.page->publish(checked(1));
  const pid_t writer = ::fork();
  if (writer == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(77);
    const Checked next = checked(2);
    ::raise(SIGSTOP);
    shared.page->publish(next);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  if (WIFEXITED(status)) GTEST_SKIP() << "ptrace is not allowed here";
  std::size_t old_seen = 0;
  std::size_t odd_seen = 0;
  std::size_t new_seen = 0;
  while (::ptrace(PTRACE_SINGLESTEP, writer, nullptr, nullptr) == 0 &&
         ::waitpid(writer, &status, 0) == writer && WIFSTOPPED(status)) {
    Checked value{};
    std::uint64_t seen = 0;
    if (!shared.page->read(value, seen)) {
      ++odd_seen;
      // Heal a copy, so that the writer itself goes on undisturbed.
      const SharedMapping copy;
      std::memcpy(static_cast<void*>(copy.page), shared.page, sizeof(Shared));
      ASSERT_FALSE(copy.page->read(value, seen));
      copy.page->publish(checked(3));
      ASSERT_TRUE(copy.page->read(value, seen));
      ASSERT_EQ(value.word, checked(3).word);
      continue;
    }
    ASSERT_TRUE(value.word == checked(1).word || value.word == checked(2).word) << "mixed";
    ASSERT_TRUE(new_seen == 0 || value.word == checked(2).word) << "the old one again";
    ++(value.word == checked(1).word ? old_seen : new_seen);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_GT(old_seen, 0U);
  EXPECT_GT(odd_seen, 12U);
  EXPECT_GT(new_seen, 0U);
}

TEST(Published, G02_AWriterKilledAtRandomInstantsNeverLeavesAMixedValueVisible) {
  const SharedMapping shared;
  shared.page->publish(checked(1));
  std::uint64_t odd = 0;
  for (int kill_after_us = 0; kill_after_us < 200; ++kill_after_us) {
    const pid_t writer = ::fork();
    if (writer == 0) {
      for (std::uint64_t i = 1;; ++i) shared.page->publish(checked(i));
    }
    ::usleep(static_cast<useconds_t>(300 + kill_after_us * 7));
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    Checked value{};
    std::uint64_t seen = 0;
    if (shared.page->read(value, seen)) {
      ASSERT_TRUE(is_whole(value));
    } else {
      ++odd;
      ASSERT_EQ(shared.page->generation() % 2, 1U);
    }
    shared.page->publish(checked(7));
    ASSERT_TRUE(shared.page->read(value, seen)) << "healed";
    ASSERT_EQ(value.word, checked(7).word);
  }
  EXPECT_GT(odd, 0U) << "no writer ever died in the middle: this test proved nothing";
}

}  // namespace
