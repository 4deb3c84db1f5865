// The main thread's eye on the page directory: what it attaches, what it keeps while a worker may still read.
#include "dataplane/page_watch.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using dataplane::PageSet;
using dataplane::PageWatch;
using shm::ClockPage;
using shm::KeysPage;
using shm::Segment;
using shm::SettingsPage;

class PageWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/dev/shm/noonmark-page-watch-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    for (const char* role : {"keeper", "clock", "admin", "dataplane"})
      fs::create_directory(directory_ / role);
    const uid_t us = ::geteuid();
    watch_ = std::make_unique<PageWatch>(directory_, dataplane::Writers{us, us, us});
  }
  void TearDown() override {
    watch_.reset();
    fs::remove_all(directory_);
  }

  template <class Page>
  Segment<Page> write() const {
    return Segment<Page>::open_writable(directory_, ::getegid());
  }
  // As a writer with a new layout would: another file under the same name.
  void replace_clock(std::uint64_t tsc0) const {
    fs::remove(clock_path());
    hwclock::ClockState state{};
    state.tsc0 = tsc0;
    write<ClockPage>()->clock.publish(state);
  }
  static std::uint64_t tsc0_of(const PageSet& pages) {
    hwclock::ClockState state{};
    std::uint64_t generation = 0;
    EXPECT_TRUE(pages.clock->clock.read(state, generation));
    return state.tsc0;
  }
  fs::path clock_path() const { return shm::page_path(directory_, shm::PageKind::clock); }

  fs::path directory_;
  std::unique_ptr<PageWatch> watch_;
};

TEST_F(PageWatchTest, AttachesEachPageWhenItAppearsAndNamesThoseThatDoNot) {
  EXPECT_FALSE(watch_->look());
  EXPECT_EQ(watch_->troubles().size(), 3U);
  const PageSet* nothing = watch_->current().load();
  ASSERT_NE(nothing, nullptr);
  EXPECT_EQ(nothing->keys, nullptr);

  const auto keys = write<KeysPage>();
  EXPECT_TRUE(watch_->look());
  EXPECT_NE(watch_->current().load(), nothing) << "workers see that something changed";
  EXPECT_NE(watch_->pages().keys, nullptr);
  EXPECT_EQ(watch_->pages().clock, nullptr);
  EXPECT_EQ(watch_->troubles().size(), 2U);
  EXPECT_FALSE(watch_->look()) << "once";

  const auto clock = write<ClockPage>();
  const auto settings = write<SettingsPage>();
  EXPECT_TRUE(watch_->look());
  EXPECT_EQ(watch_->current().load(), &watch_->pages());
  EXPECT_NE(watch_->pages().keys, nullptr);
  EXPECT_NE(watch_->pages().clock, nullptr);
  EXPECT_NE(watch_->pages().settings, nullptr);
  EXPECT_TRUE(watch_->troubles().empty());
}

TEST_F(PageWatchTest, G08_AReplacedPageStaysReadableUntilTheReadersHaveMoved) {
  replace_clock(1);
  ASSERT_TRUE(watch_->look());
  watch_->forget_replaced();
  const PageSet* before = watch_->current().load();
  replace_clock(2);
  ASSERT_TRUE(watch_->look());
  EXPECT_TRUE(watch_->has_replaced());
  EXPECT_EQ(tsc0_of(*before), 1U) << "a worker may be in the middle of a burst";
  EXPECT_EQ(tsc0_of(*watch_->current().load()), 2U);
  watch_->forget_replaced();
  EXPECT_FALSE(watch_->has_replaced());
  EXPECT_EQ(tsc0_of(*watch_->current().load()), 2U);
}

TEST_F(PageWatchTest, G08_APageThatIsGoneOrRefusedLeavesTheOneThatIsAttached) {
  replace_clock(1);
  ASSERT_TRUE(watch_->look());
  const PageSet* before = watch_->current().load();
  fs::remove(clock_path());
  EXPECT_FALSE(watch_->look());
  std::ofstream(clock_path()) << "no page";
  EXPECT_FALSE(watch_->look());
  EXPECT_EQ(watch_->troubles().size(), 3U) << "the refused one beside the two that are missing";
  EXPECT_EQ(watch_->current().load(), before);
  EXPECT_EQ(tsc0_of(*before), 1U);
  replace_clock(2);
  EXPECT_TRUE(watch_->look());
  EXPECT_EQ(tsc0_of(watch_->pages()), 2U);
}

TEST_F(PageWatchTest, APageOfAnotherOwnerIsRefused) {
  const uid_t us = ::geteuid();
  PageWatch watch(directory_, dataplane::Writers{us, us + 1, us});
  replace_clock(1);
  EXPECT_FALSE(watch.look());
  EXPECT_EQ(watch.pages().clock, nullptr);
}

// A worker that hangs must not make us collect mappings for ever.
TEST_F(PageWatchTest, SwapsNoMoreThanABoundedNumberOfPagesUnderReadersThatDoNotMove) {
  std::uint64_t swaps = 0;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    replace_clock(i);
    swaps += watch_->look() ? 1 : 0;
  }
  EXPECT_EQ(swaps, 4U);
  EXPECT_EQ(tsc0_of(watch_->pages()), 4U);
  watch_->forget_replaced();
  EXPECT_TRUE(watch_->look());
  EXPECT_EQ(tsc0_of(watch_->pages()), 20U);
}

}  // namespace
