// When a receiver that stands still is held to have jumped, and when not.

#include "hwclock/position_watch.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace hwclock {
namespace {

constexpr Place greenwich{51.4779, -0.0015, 5.0};
constexpr double metres_a_degree = 111'194.9;

Place north_of(const Place& place, double metres) {
  return {place.latitude_deg + metres / metres_a_degree, place.longitude_deg, place.accuracy_m};
}

PositionWatch surveyed(double bound_m = 100.0) {
  PositionWatch watch(bound_m);
  for (std::uint32_t i = 0; i < PositionWatch::survey_fixes; ++i) watch.take(greenwich);
  return watch;
}

TEST(PositionWatch, DistancesAreThoseOfTheEarth) {
  EXPECT_NEAR(distance_m(greenwich, north_of(greenwich, 100.0)), 100.0, 0.1);
  EXPECT_NEAR(distance_m({0.0, 179.9999, 0.0}, {0.0, -179.9999, 0.0}), 22.24, 0.1) << "across the date line";
  EXPECT_NEAR(distance_m({90.0, 0.0, 0.0}, {-90.0, 0.0, 0.0}), 20'015'087.0, 10.0);
}

TEST(PositionWatch, I12_AJumpBeyondTheBoundIsSeenAtTheThirdFixAndNotBefore) {
  PositionWatch watch = surveyed();
  const Place away = north_of(greenwich, 101.0);
  watch.take(away);
  watch.take(away);
  EXPECT_FALSE(watch.has_jumped()) << "two may be a glitch";
  watch.take(away);
  EXPECT_TRUE(watch.has_jumped());
  EXPECT_NEAR(watch.distance_m(), 101.0, 0.5);
}

TEST(PositionWatch, WithinTheBoundNothingHappensForEver) {
  PositionWatch watch = surveyed();
  for (int i = 0; i < 1000; ++i) watch.take(north_of(greenwich, 99.0));
  EXPECT_FALSE(watch.has_jumped());
}

TEST(PositionWatch, ASingleGlitchAndATimeAtHomeAreForgotten) {
  PositionWatch watch = surveyed();
  for (int i = 0; i < 100; ++i) {
    watch.take(north_of(greenwich, 5000.0));
    watch.take(north_of(greenwich, 5000.0));
    watch.take(greenwich);
  }
  EXPECT_FALSE(watch.has_jumped());
  for (int i = 0; i < 3; ++i) watch.take(north_of(greenwich, 5000.0));
  EXPECT_TRUE(watch.has_jumped());
  for (std::uint32_t i = 1; i < PositionWatch::calm_fixes; ++i) watch.take(greenwich);
  EXPECT_TRUE(watch.has_jumped());
  watch.take(greenwich);
  EXPECT_FALSE(watch.has_jumped());
}

TEST(PositionWatch, ASlowDragDoesNotTakeThePlaceAlong) {
  PositionWatch watch = surveyed();
  for (int i = 0; i < 110; ++i) watch.take(north_of(greenwich, i));
  EXPECT_TRUE(watch.has_jumped());
}

TEST(PositionWatch, APositionCountsOnlyAsFarAsTheReceiverIsSureOfIt) {
  PositionWatch watch = surveyed();
  Place vague = north_of(greenwich, 150.0);
  vague.accuracy_m = 60.0;  // 150 m are 2.5 of its sigmas
  for (int i = 0; i < 100; ++i) watch.take(vague);
  EXPECT_FALSE(watch.has_jumped());
  vague = north_of(greenwich, 10'000.0);
  vague.accuracy_m = 101.0;
  for (int i = 0; i < 100; ++i) watch.take(vague);
  EXPECT_FALSE(watch.has_jumped()) << "it does not know where it is";
  vague.accuracy_m = 100.0;
  for (int i = 0; i < 3; ++i) watch.take(vague);
  EXPECT_TRUE(watch.has_jumped());
}

TEST(PositionWatch, AJumpDuringTheSurveyIsNotSurveyed) {
  PositionWatch watch(100.0);
  for (int i = 0; i < 10; ++i) watch.take(greenwich);
  for (int i = 0; i < 500; ++i) watch.take(north_of(greenwich, 1000.0));
  EXPECT_TRUE(watch.has_jumped());
  EXPECT_NEAR(watch.distance_m(), 1000.0, 1.0);
}

TEST(PositionWatch, OneOrTwoBadFixesAtTheVeryBeginningAreNotThePlace) {
  for (int bad = 0; bad <= 3; ++bad) {
    SCOPED_TRACE(bad);
    PositionWatch watch(100.0);
    for (int i = 0; i < bad; ++i) watch.take(north_of(greenwich, 700.0));
    for (int i = 0; i < 60; ++i) watch.take(greenwich);
    EXPECT_EQ(watch.has_jumped(), bad == 3) << "three are as many as a jump takes";
    for (int i = 0; i < 3; ++i) watch.take(north_of(greenwich, 700.0));
    EXPECT_EQ(watch.has_jumped(), true);
  }
}

TEST(PositionWatch, FixesThatScatterAsTheyDoNeverAlarm) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> metres(0.0, 20.0);
  PositionWatch watch(100.0);
  for (int i = 0; i < 86'400; ++i) {
    Place place = north_of(greenwich, metres(random));
    place.accuracy_m = 20.0;
    watch.take(place);
    ASSERT_FALSE(watch.has_jumped()) << i;
  }
}

TEST(PositionWatch, WhatTravelsIsNotWatchedAndWhatIsNoPlaceIsNotTaken) {
  PositionWatch free(0.0);
  for (int i = 0; i < 100; ++i) free.take(north_of(greenwich, 1000.0 * i));
  EXPECT_FALSE(free.has_jumped());
  PositionWatch watch = surveyed();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (int i = 0; i < 10; ++i) {
    watch.take({nan, 0.0, 1.0});
    watch.take({0.0, nan, 1.0});
    watch.take({0.0, 0.0, nan});
    watch.take({91.0, 0.0, 1.0});
    watch.take({0.0, 181.0, 1.0});
  }
  EXPECT_FALSE(watch.has_jumped());
}

TEST(PositionWatch, ThePlaceMayLieOnTheDateLine) {
  PositionWatch watch(100.0);
  for (int i = 0; i < 200; ++i) watch.take({0.0, i % 2 == 0 ? 179.9999 : -179.9999, 5.0});
  EXPECT_FALSE(watch.has_jumped());
  EXPECT_LT(watch.distance_m(), 30.0);
}

}  // namespace
}  // namespace hwclock
