#include "dataplane/shm/published.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/mman.h>
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

TEST(Published, G05_TheGenerationMayWrap) {
  Shared page;
  generation_of(page).store(~std::uint64_t{0} - 3);  // 2^64 - 4
  Checked value{};
  std::uint64_t seen = 0;
  for (std::uint64_t i = 1; i <= 4; ++i) {
    page.publish(checked(i));
    if (page.generation() == 0) continue;  // 0 says "nothing yet": one publication in 2^63 is seen one later
    ASSERT_TRUE(page.read(value, seen));
    EXPECT_EQ(value.word, checked(i).word);
  }
}

TEST(Published, G03_FourReadersNeverSeeATornValueWhileTheWriterRunsFlatOut) {
  Shared page;
  page.publish(checked(1));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> torn{0};
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      Checked value{};
      std::uint64_t seen = 0;
      std::uint64_t good = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        if (!page.read(value, seen)) continue;
        ++good;
        if (!is_whole(value)) torn.fetch_add(1);
      }
      reads.fetch_add(good);
    });
  }
  for (std::uint64_t i = 2; i < 2'000'000; ++i) page.publish(checked(i));
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn.load(), 0U);
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
