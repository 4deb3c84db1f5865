// The promise of departure: how far ahead of the clock, and never backwards but for a step.
#include "dataplane/departure.h"

#include <gtest/gtest.h>

namespace {

using dataplane::Departure;
using nts::NtpTime;

constexpr std::uint64_t second = std::uint64_t{1} << 32;
constexpr NtpTime start{0xe000'0000'0000'0000};

TEST(Departure, LiesTheConfiguredDelayAfterTheReadingRoundedDown) {
  Departure departure;
  EXPECT_EQ(departure.predict(start), start) << "no delay until one is set";
  departure.set_delay_ns(1'000'000'000);
  EXPECT_EQ(departure.predict(start).units, start.units + second);
  departure.set_delay_ns(500'000'000);
  EXPECT_EQ(departure.predict({start.units + 2 * second}).units, start.units + 2 * second + second / 2);
  departure.set_delay_ns(1);  // 4.29 units: T3 is never late, so 4
  EXPECT_EQ(departure.predict({start.units + 3 * second}).units, start.units + 3 * second + 4);
  departure.set_delay_ns(0);
  EXPECT_EQ(departure.predict({start.units + 4 * second}).units, start.units + 4 * second);
}

TEST(Departure, B11_RisesByOneUnitWhereTheClockStandsOrGoesBackALittleAndFollowsAStep) {
  constexpr std::uint64_t slew_max = std::uint64_t{1} << 22;
  for (const auto& [back, expected] : {std::pair<std::uint64_t, std::uint64_t>{0, start.units + 1},
                                       {1, start.units + 1},
                                       {slew_max - 1, start.units + 1},
                                       {slew_max, start.units - slew_max},
                                       {second, start.units - second}}) {
    Departure departure;
    EXPECT_EQ(departure.predict(start), start);
    EXPECT_EQ(departure.predict({start.units - back}).units, expected) << back;
  }
  Departure forward;
  EXPECT_EQ(forward.predict(start), start);
  EXPECT_EQ(forward.predict({start.units + 1}).units, start.units + 1) << "no more than was read";
}

TEST(Departure, B07_RisesAcrossTheEraBoundary) {
  Departure departure;
  const NtpTime last = departure.predict({~std::uint64_t{0}});
  EXPECT_EQ(departure.predict({~std::uint64_t{0}}).units, 0U);
  EXPECT_EQ(departure.predict({second}).units, second);
  EXPECT_EQ(last.units, ~std::uint64_t{0});
}

}  // namespace
