// The header for local programs against pages that the product's own structs wrote: the same numbers, read by
// somebody who knows only the header.
#include "configs/noonmark_clock.h"

#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>

#include "dataplane/shm/pages.h"
#include "hwclock/clock_state.h"
#include "hwclock/tsc.h"
#include "tests/control/scratch.h"

namespace {

static_assert(sizeof(noonmark_clock_state) == sizeof(hwclock::ClockState));
static_assert(noonmark_clock_page_bytes == sizeof(shm::ClockPage));
static_assert(noonmark_clock_layout == shm::page_layout_version);
static_assert(noonmark_clock_kind == static_cast<int>(shm::PageKind::clock));
static_assert(offsetof(noonmark_clock_state, dispersion_rate_ppb) ==
              offsetof(hwclock::ClockState, dispersion_rate_ppb));
static_assert(offsetof(noonmark_clock_state, tai_minus_utc_s) ==
              offsetof(hwclock::ClockState, tai_minus_utc_s));
static_assert(offsetof(noonmark_clock_state, source_name) == offsetof(hwclock::ClockState, source_name));

constexpr std::uint64_t tsc_hz = 2'600'000'000;
constexpr std::uint64_t unix_to_ntp_s = 2'208'988'800;

// A page file of our own, written through the mapping as the clock role does.
class Page {
 public:
  explicit Page(const std::filesystem::path& path) : path_(path) { make(); }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() { ::munmap(page_, sizeof *page_); }

  void make() {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ASSERT_GE(file, 0);
    ASSERT_EQ(::ftruncate(file, sizeof(shm::ClockPage)), 0);
    if (page_ != nullptr) ::munmap(page_, sizeof *page_);
    page_ = static_cast<shm::ClockPage*>(
        ::mmap(nullptr, sizeof(shm::ClockPage), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ::close(file);
    page_->header = {shm::page_magic, shm::page_layout_version, shm::PageKind::clock, sizeof(shm::ClockPage)};
  }
  void publish(const hwclock::ClockState& state) { page_->clock.publish(state); }
  [[nodiscard]] shm::ClockPage& page() { return *page_; }

 private:
  std::filesystem::path path_;
  shm::ClockPage* page_ = nullptr;
};

// Locked at 2026-11-26 00:00:00 UTC just now, 100 ns of dispersion growing by 1000 ppb, 60 ns of delay.
hwclock::ClockState locked_now() {
  hwclock::ClockState state{};
  state.tsc0 = hwclock::read_tsc_in_order();
  state.ntp0 = (std::uint64_t{1'795'651'200} + unix_to_ntp_s) << 32;
  state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) / tsc_hz);
  state.tsc_hz = tsc_hz;
  state.valid_until = state.tsc0 + 3600 * tsc_hz;
  state.root_delay_ns = 60;
  state.dispersion0_ns = 100;
  state.dispersion_rate_ppb = 1000;
  state.state = hwclock::State::locked;
  state.stratum = 1;
  state.tai_minus_utc_s = 37;
  state.step_count = 4;
  return state;
}

class NoonmarkClock : public testing::Test {
 protected:
  tests::Scratch scratch;
  std::string path = scratch.path() / "clock";
  Page page{path};
  noonmark_clock clock{};
  noonmark_interval now{};

  void SetUp() override { ASSERT_EQ(noonmark_clock_open(&clock, path.c_str()), 0); }
  void TearDown() override { noonmark_clock_close(&clock); }
  noonmark_clock_result ask() { return noonmark_clock_now(&clock, &now); }
  // The path is compared with the mapping once a second of TSC; as if that had gone by.
  void let_a_second_pass() { clock.looked_tsc -= 2 * tsc_hz; }
};

TEST_F(NoonmarkClock, GivesTheIntervalThatTheServerWouldPutOnTheWire) {
  const hwclock::ClockState state = locked_now();
  page.publish(state);
  ASSERT_EQ(ask(), NOONMARK_CLOCK_TRUE);
  const std::int64_t middle = now.earliest_ns + now.bound_ns;
  EXPECT_EQ(now.latest_ns - now.bound_ns, middle);
  const std::uint64_t ntp = hwclock::ntp_at(state, now.tsc);
  const auto seconds = static_cast<std::int64_t>((ntp >> 32) - unix_to_ntp_s);
  const auto nanoseconds = static_cast<std::int64_t>(((ntp & 0xffffffff) * 1'000'000'000) >> 32);
  EXPECT_EQ(middle, seconds * 1'000'000'000 + nanoseconds);
  const auto served = hwclock::dispersion_ns_at(state, now.tsc) + state.root_delay_ns / 2;
  EXPECT_EQ(now.bound_ns, static_cast<std::int64_t>(served) + 1);
  EXPECT_EQ(now.status, NOONMARK_CLOCK_LOCKED);
  EXPECT_EQ(now.tai_minus_utc_s, 37);
  EXPECT_EQ(now.step_count, 4U);
}

TEST_F(NoonmarkClock, TheBoundGrowsWhileNobodyPublishes) {
  hwclock::ClockState state = locked_now();
  state.tsc0 -= 1000 * tsc_hz;  // published 1000 s ago
  state.state = hwclock::State::holdover;
  page.publish(state);
  ASSERT_EQ(ask(), NOONMARK_CLOCK_TRUE);
  EXPECT_EQ(now.status, NOONMARK_CLOCK_HOLDOVER);
  EXPECT_GE(now.bound_ns, 1'000'000 + 130);  // 1000 s at 1 ppm
  EXPECT_LT(now.bound_ns, 1'100'000);
}

TEST_F(NoonmarkClock, SaysWhyThereIsNoInterval) {
  EXPECT_EQ(ask(), NOONMARK_CLOCK_NO_PAGE) << "nothing was published";
  hwclock::ClockState state = locked_now();
  state.leap = 3;
  page.publish(state);
  EXPECT_EQ(ask(), NOONMARK_CLOCK_UNSYNCHRONISED);
  EXPECT_EQ(now.latest_ns, 0);
  state = locked_now();
  state.stratum = 0;
  page.publish(state);
  EXPECT_EQ(ask(), NOONMARK_CLOCK_UNSYNCHRONISED);
  state = locked_now();
  state.dispersion0_ns = INT64_MAX;
  page.publish(state);
  EXPECT_EQ(ask(), NOONMARK_CLOCK_UNSYNCHRONISED);
  state = locked_now();
  state.valid_until = state.tsc0;
  page.publish(state);
  EXPECT_EQ(ask(), NOONMARK_CLOCK_STALE);
  page.publish(locked_now());
  EXPECT_EQ(ask(), NOONMARK_CLOCK_TRUE);
}

TEST_F(NoonmarkClock, H09_AStateIsVoidForGoodOnceTheCounterWasSetBack) {
  hwclock::ClockState state = locked_now();
  state.tsc0 += 100 * tsc_hz;  // as after a restored snapshot: the state is of the future
  state.valid_until += 200 * tsc_hz;
  page.publish(state);
  EXPECT_EQ(ask(), NOONMARK_CLOCK_STALE);
  clock.newest_tsc = hwclock::read_tsc_in_order();
  EXPECT_EQ(ask(), NOONMARK_CLOCK_STALE) << "the good range came by again";
  page.publish(locked_now());
  EXPECT_EQ(ask(), NOONMARK_CLOCK_TRUE);
}

TEST_F(NoonmarkClock, H03_AWriterThatDiedAtItsWorkLeavesTheLastWholeState) {
  page.publish(locked_now());
  ASSERT_EQ(ask(), NOONMARK_CLOCK_TRUE);
  // The generation is the first word of Published, whose words another hand may only touch through it.
  auto* generation = reinterpret_cast<std::atomic<std::uint64_t>*>(&page.page().clock);
  generation->store(generation->load() + 1);
  EXPECT_EQ(ask(), NOONMARK_CLOCK_TRUE);
  page.publish(locked_now());
  EXPECT_EQ(ask(), NOONMARK_CLOCK_TRUE);
}

// Every field of a publication holds its number: a copy of two publications has two.
TEST_F(NoonmarkClock, H03_NoReadMixesTwoPublications) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    hwclock::ClockState state = locked_now();
    for (std::uint64_t number = 1; !stop.load(); ++number) {
      state.ntp0 = state.mult = state.reference_ntp = state.root_delay_ns = state.step_count = number;
      state.dispersion0_ns = state.dispersion_rate_ppb = number;
      state.reference_id = static_cast<std::uint32_t>(number);
      state.tai_minus_utc_s = static_cast<std::int32_t>(number);
      std::memcpy(state.source_name + sizeof state.source_name - sizeof number, &number, sizeof number);
      page.publish(state);
    }
  });
  std::uint64_t seen = 0;
  for (int changes = 0; changes < 1000;) {
    noonmark_clock_read(&clock);
    if (clock.has_state == 0 || clock.state.step_count == seen) continue;
    ++changes;
    const noonmark_clock_state& state = clock.state;
    std::uint64_t last = 0;
    std::memcpy(&last, state.source_name + sizeof state.source_name - sizeof last, sizeof last);
    const std::uint64_t number = state.step_count;
    if (number < seen || state.ntp0 != number || state.mult != number || state.root_delay_ns != number ||
        state.dispersion_rate_ppb != number || state.reference_id != static_cast<std::uint32_t>(number) ||
        last != number) {
      ADD_FAILURE() << "torn at publication " << number << " (" << state.ntp0 << " .. " << last << ")";
      break;
    }
    seen = number;
  }
  stop = true;
  writer.join();
}

TEST_F(NoonmarkClock, FindsThePageOfARestartedServer) {
  page.publish(locked_now());
  ASSERT_EQ(ask(), NOONMARK_CLOCK_TRUE);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  let_a_second_pass();
  EXPECT_EQ(ask(), NOONMARK_CLOCK_TRUE) << "what it has goes on until its own end";
  page.make();
  hwclock::ClockState state = locked_now();
  state.step_count = 9;
  page.publish(state);
  let_a_second_pass();
  ASSERT_EQ(ask(), NOONMARK_CLOCK_TRUE);
  EXPECT_EQ(now.step_count, 9U);
}

TEST_F(NoonmarkClock, RefusesAPageThatIsNotOfThisLayout) {
  noonmark_clock other{};
  const auto is_refused = [&] { return noonmark_clock_open(&other, path.c_str()) == -1 && errno == EPROTO; };
  page.page().header.layout_version += 1;
  EXPECT_TRUE(is_refused());
  page.page().header.layout_version -= 1;
  page.page().header.kind = shm::PageKind::stats;
  EXPECT_TRUE(is_refused());
  page.page().header.kind = shm::PageKind::clock;
  page.page().header.magic ^= 1;
  EXPECT_TRUE(is_refused());
  page.page().header.magic ^= 1;
  page.page().header.bytes += 8;
  EXPECT_TRUE(is_refused());
  const std::string longer(300, 'x');
  EXPECT_EQ(noonmark_clock_open(&other, longer.c_str()), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  tests::write_file(scratch.path() / "short", std::string("noonmark"));
  EXPECT_EQ(noonmark_clock_open(&other, (scratch.path() / "short").c_str()), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(noonmark_clock_open(&other, (scratch.path() / "none").c_str()), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST(NoonmarkClockEra, I12_TimesBeyond2036AreReadInTheEraNearestToTheHosts) {
  const auto host_s = static_cast<std::uint64_t>(::time(nullptr));
  for (const std::int64_t away_s : {-3'000'000'000 / 2, 0L, 2'000'000'000L}) {
    const std::uint64_t unix_s = host_s + static_cast<std::uint64_t>(away_s);
    const std::uint64_t ntp = (unix_s + unix_to_ntp_s) << 32;  // the era falls off at the top
    EXPECT_EQ(noonmark_clock_unix_ns(ntp), static_cast<std::int64_t>(unix_s) * 1'000'000'000);
  }
}

}  // namespace
