// Stamps of another clock at ticks: on the line between two readings, and nowhere when there is none.

#include "hwclock/stamps.h"

#include <gtest/gtest.h>

namespace hwclock {
namespace {

constexpr std::uint64_t tick_hz = 2'000'000'000;
constexpr std::int64_t start_ns = 1'700'000'000'000'000'000;
constexpr std::int64_t eighth_ns = 125'000'000;

// A clock that runs `ppm` fast against the ticks, read eight times a second with a bracket of 40 ticks.
Reading reading_at(int eighth, double ppm = 0.0, std::int64_t off_ns = 0) {
  const std::int64_t ns = start_ns + eighth * eighth_ns + off_ns;
  const double ticks = static_cast<double>(eighth * eighth_ns) * 2.0 / (1.0 + ppm * 1e-6);
  return {1000 + static_cast<std::uint64_t>(ticks), 20, ns};
}

TEST(Stamps, AStampLiesOnTheLineBetweenTwoReadings) {
  Stamps stamps(tick_hz);
  for (int i = 0; i < 10; ++i) stamps.take(reading_at(i, 50.0));
  const auto stamp = stamps.tick_of(start_ns + 5 * eighth_ns + eighth_ns / 5);
  ASSERT_TRUE(stamp);
  const double expected = 1000.0 + 5.2 * 0.125 * 2e9 / (1.0 + 50e-6);
  EXPECT_NEAR(static_cast<double>(stamp->tick), expected, 2.0);
  EXPECT_NEAR(stamp->sigma_ns, 5.8, 0.1) << "20 ticks of 0.5 ns either way, evenly";
}

TEST(Stamps, AStampBehindTheLastReadingIsPlacedForAQuarterOfASecond) {
  Stamps stamps(tick_hz);
  for (int i = 0; i < 10; ++i) stamps.take(reading_at(i));
  const std::int64_t last_ns = start_ns + 9 * eighth_ns;
  ASSERT_TRUE(stamps.tick_of(last_ns + 250'000'000));
  EXPECT_NEAR(static_cast<double>(stamps.tick_of(last_ns + 250'000'000)->tick), 1000.0 + 1.375 * 2e9, 2.0);
  EXPECT_FALSE(stamps.tick_of(last_ns + 250'000'001));
}

TEST(Stamps, NothingIsPlacedWithoutTwoReadingsOrBeforeTheFirst) {
  Stamps stamps(tick_hz);
  EXPECT_FALSE(stamps.tick_of(start_ns));
  stamps.take(reading_at(0));
  EXPECT_FALSE(stamps.tick_of(start_ns));
  stamps.take(reading_at(1));
  EXPECT_TRUE(stamps.tick_of(start_ns));
  EXPECT_FALSE(stamps.tick_of(start_ns - 1));
}

TEST(Stamps, OnlyTheLastFourSecondsAreKept) {
  Stamps stamps(tick_hz);
  for (int i = 0; i < 100; ++i) stamps.take(reading_at(i));
  const int oldest = 100 - static_cast<int>(Stamps::readings_max);
  EXPECT_TRUE(stamps.tick_of(start_ns + oldest * eighth_ns));
  EXPECT_FALSE(stamps.tick_of(start_ns + oldest * eighth_ns - 1));
}

TEST(Stamps, I08_AClockThatWasSetIsReadAnewAndOldStampsAreRefused) {
  for (const std::int64_t step_ns :
       {-1'000'000'000LL, -50'000'000LL, 50'000'000LL, 1'000'000'000LL, 3600'000'000'000LL}) {
    Stamps stamps(tick_hz);
    for (int i = 0; i < 10; ++i) stamps.take(reading_at(i));
    stamps.take(reading_at(10, 0.0, step_ns));
    EXPECT_EQ(stamps.step_count(), 1U) << step_ns;
    EXPECT_FALSE(stamps.tick_of(start_ns + 9 * eighth_ns)) << step_ns;
    stamps.take(reading_at(11, 0.0, step_ns));
    EXPECT_EQ(stamps.step_count(), 1U) << step_ns;
    EXPECT_TRUE(stamps.tick_of(start_ns + 10 * eighth_ns + step_ns)) << step_ns;
  }
}

TEST(Stamps, ASlewOf500PpmIsNoStep) {
  Stamps stamps(tick_hz);
  for (int i = 0; i < 10; ++i) stamps.take(reading_at(i, i < 5 ? 0.0 : 500.0));
  EXPECT_EQ(stamps.step_count(), 0U);
}

TEST(Stamps, I11_TicksThatWentBackBeginAnew) {
  Stamps stamps(tick_hz);
  for (int i = 0; i < 10; ++i) stamps.take(reading_at(i));
  Reading back = reading_at(10);
  back.tsc = 5;
  stamps.take(back);
  EXPECT_FALSE(stamps.tick_of(start_ns + 9 * eighth_ns));
  EXPECT_EQ(stamps.step_count(), 1U);
}

}  // namespace
}  // namespace hwclock
