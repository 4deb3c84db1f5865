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
  EXPECT_FALSE(utc_seconds_of({2000, 2, 280, 12, 0, 0})) << "280 modulo 256 is a day; found by fuzz-nmea";
  EXPECT_FALSE(utc_seconds_of({2000, 258, 1, 12, 0, 0})) << "and 258 a month";
  EXPECT_FALSE(utc_seconds_of({2023, 1, 1, 0, 0, -1}));
}

TEST(Calendar, I03_WhatWasBeforeIsNoDateAndNeitherIsWhatLiesTenYearsAhead) {
  constexpr std::int64_t day_s = 86'400;
  EXPECT_TRUE(is_possible_date(written_utc_s, written_utc_s));
  EXPECT_TRUE(is_possible_date(written_utc_s - day_s, written_utc_s)) << "a clock may have been off";
  EXPECT_FALSE(is_possible_date(written_utc_s - day_s - 1, written_utc_s));
  EXPECT_TRUE(is_possible_date(written_utc_s + 9 * 365 * day_s, written_utc_s));
  EXPECT_FALSE(is_possible_date(written_utc_s + 10 * 365 * day_s, written_utc_s));
  EXPECT_FALSE(is_possible_date(0, written_utc_s));
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
