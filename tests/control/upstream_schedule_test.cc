// When an upstream is asked next: intervals, bursts, reach, kisses, and staying away.

#include "control/upstream_schedule.h"

#include <cstring>
#include <gtest/gtest.h>

namespace control {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

// Gives the same number for ever.
class Fixed final : public nts::RandomSource {
 public:
  explicit Fixed(std::uint64_t value = 0) : value_(value) {}
  void fill(std::span<std::uint8_t> bytes) noexcept override {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(value_ >> (8 * (i % 8)));
  }

 private:
  std::uint64_t value_;
};

Fixed least;

void poll(UpstreamSchedule& schedule, bool is_answered, bool is_steady = true) {
  schedule.sent();
  if (is_answered) schedule.answered(is_steady);
}

TEST(UpstreamSchedule, NeverAsksEarlierThanItsPollAndSpreadsAboveIt) {
  UpstreamSchedule schedule(6, 10, false);
  EXPECT_EQ(schedule.interval(least), 64s);
  for (const std::uint64_t value : {1ULL, 4'711ULL, 0xffffffffffffffffULL, 0x8000000000000000ULL}) {
    Fixed random(value);
    const milliseconds interval = schedule.interval(random);
    EXPECT_GE(interval, 64s);
    EXPECT_LT(interval, 68s);
  }
}

TEST(UpstreamSchedule, ABurstFollowsTheFirstAnswerAndOnlyThat) {
  UpstreamSchedule schedule(6, 10, true);
  poll(schedule, false);
  EXPECT_EQ(schedule.interval(least), 64s) << "who is silent gets no burst";
  poll(schedule, true);
  for (int left = 7; left > 0; --left) {
    EXPECT_EQ(schedule.interval(least), 2s) << left;
    poll(schedule, true);
  }
  EXPECT_EQ(schedule.reach(), 0xff);
  EXPECT_EQ(schedule.interval(least), 64s);
  for (int i = 0; i < 9; ++i) poll(schedule, false);
  EXPECT_EQ(schedule.reach(), 0);
  poll(schedule, true);
  EXPECT_EQ(schedule.interval(least), 2s) << "out of reach, and back";
}

TEST(UpstreamSchedule, ABurstIsNeverSlowerThanThePoll) {
  UpstreamSchedule schedule(0, 3, true);
  poll(schedule, true);
  EXPECT_EQ(schedule.interval(least), 1s);
}

TEST(UpstreamSchedule, AsksSteadyServersMoreRarelyAndOthersMoreOften) {
  UpstreamSchedule schedule(4, 6, false);
  for (int i = 0; i < 100; ++i) poll(schedule, true);
  EXPECT_EQ(schedule.poll(), 6U);
  for (int i = 0; i < 100; ++i) poll(schedule, true, false);
  EXPECT_EQ(schedule.poll(), 4U);
}

TEST(UpstreamSchedule, AsksTheSilentEverMoreRarely) {
  UpstreamSchedule schedule(4, 6, true);
  for (int i = 0; i < 100; ++i) poll(schedule, false);
  EXPECT_EQ(schedule.poll(), 6U);
  poll(schedule, true);
  EXPECT_EQ(schedule.poll(), 4U) << "and as before when it is back";
}

TEST(UpstreamSchedule, RateDoublesTheIntervalForGood) {
  UpstreamSchedule schedule(6, 7, true);
  poll(schedule, true);
  ASSERT_EQ(schedule.interval(least), 2s);
  schedule.slow_down();
  EXPECT_EQ(schedule.interval(least), 128s) << "and ends a burst";
  schedule.slow_down();
  EXPECT_EQ(schedule.interval(least), 256s) << "beyond maxpoll too";
  for (int i = 0; i < 100; ++i) poll(schedule, true, false);
  EXPECT_EQ(schedule.poll(), 8U);
  for (int i = 0; i < 100; ++i) poll(schedule, i % 20 == 0);
  EXPECT_EQ(schedule.poll(), 8U) << "neither silence nor its end makes it shorter";
  for (int i = 0; i < 30; ++i) schedule.slow_down();
  EXPECT_EQ(schedule.poll(), 17U);
}

TEST(UpstreamSchedule, DenyIsForEver) {
  UpstreamSchedule schedule(6, 10, true);
  EXPECT_FALSE(schedule.is_stopped());
  schedule.stop();
  poll(schedule, true);
  EXPECT_TRUE(schedule.is_stopped());
}

TEST(UpstreamBackoff, WaitsLongerEachTimeUpToFiveDaysAndAnewAfterSuccess) {
  UpstreamBackoff backoff = UpstreamBackoff::of_key_establishment();
  milliseconds before = backoff.next(least);
  EXPECT_EQ(before, 10s);
  EXPECT_EQ(backoff.next(least), 15s);
  for (int i = 0; i < 100; ++i) {
    const milliseconds wait = backoff.next(least);
    EXPECT_GE(wait, before);
    before = wait;
  }
  EXPECT_EQ(before, 120h);
  backoff.reset();
  EXPECT_EQ(backoff.next(least), 10s);
}

TEST(UpstreamBackoff, OfWhatIsNoKeyEstablishmentIsNoLongerThanAPoll) {
  UpstreamBackoff backoff = UpstreamBackoff::of_all_else(6);
  for (const milliseconds wait : {10'000ms, 15'000ms, 22'500ms, 33'750ms, 50'625ms, 64'000ms, 64'000ms})
    EXPECT_EQ(backoff.next(least), wait);
  UpstreamBackoff often = UpstreamBackoff::of_all_else(0);
  EXPECT_EQ(often.next(least), 10s);
  EXPECT_EQ(often.next(least), 10s) << "and never shorter than the first";
}

}  // namespace
}  // namespace control
