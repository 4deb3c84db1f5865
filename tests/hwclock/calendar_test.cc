// Dates, and week numbers that rolled over.

#include "hwclock/calendar.h"

#include <gtest/gtest.h>

namespace hwclock {
namespace {

TEST(Calendar, KnowsSecondsSince1970AndWhatIsNoDate) {
  EXPECT_EQ(utc_seconds_of({2017, 1, 1, 0, 0, 0}), 1'483'228'800);
  EXPECT_EQ(utc_seconds_of({2024, 2, 29, 12, 0, 0}), 1'709'208'000);
  EXPECT_EQ(utc_seconds_of({2038, 1, 19, 3, 14, 8}), std::int64_t{1} << 31);
  EXPECT_FALSE(utc_seconds_of({2023, 2, 29, 0, 0, 0}));
  EXPECT_FALSE(utc_seconds_of({2023, 0, 1, 0, 0, 0}));
  EXPECT_FALSE(utc_seconds_of({2023, 13, 1, 0, 0, 0}));
  EXPECT_FALSE(utc_seconds_of({1969, 12, 31, 0, 0, 0}));
  EXPECT_FALSE(utc_seconds_of({2023, 1, 1, 0, 0, -1}));
}

TEST(Calendar, I03_ARolledOverWeekIsMendedByWhatIsKnown) {
  constexpr std::int64_t now = 1'792'000'000;
  EXPECT_EQ(without_rollover(now, now - 86'400), now);
  EXPECT_EQ(without_rollover(now - rollover_s, now - 86'400), now);
  EXPECT_EQ(without_rollover(now - 2 * rollover_s, now), now);
  EXPECT_EQ(without_rollover(now + rollover_s, now), now);
  EXPECT_EQ(without_rollover(now, now - rollover_s / 2 + 1), now) << "nine years after the build";
  EXPECT_EQ(without_rollover(now, now - rollover_s / 2 - 1), now - rollover_s) << "and not longer";
  EXPECT_EQ(without_rollover(0, 619'315'200), 619'315'200) << "gpsd's figure";
}

}  // namespace
}  // namespace hwclock
