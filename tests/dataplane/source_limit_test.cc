// Sources and their allowances, with a clock that the test turns.
#include "dataplane/source_limit.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

namespace dataplane {
namespace {

constexpr std::uint64_t hz = 2'600'000'000;
constexpr std::uint64_t begin = 1'000 * hz;
constexpr std::uint64_t at_ms(int ms) { return begin + hz / 1000 * static_cast<std::uint64_t>(ms); }
constexpr SourceLimit::Seed seed{0x0123456789abcdef, 0xfedcba9876543210};
constexpr SourcePolicy ten_a_second{.requests_per_s = 10, .burst = 4, .network_factor = 2};

struct Ipv4 {
  explicit Ipv4(std::uint32_t number) { std::memcpy(octets, &number, sizeof octets); }
  std::uint8_t octets[4];
};

struct Ipv6 {
  // 2001:db8:AAAA:AANN::HOST: /56 `customer`, /64 `network` in it.
  Ipv6(std::uint32_t customer, std::uint8_t network, std::uint8_t host = 1)
      : octets{0x20,
               0x01,
               0x0d,
               0xb8,
               static_cast<std::uint8_t>(customer >> 16),
               static_cast<std::uint8_t>(customer >> 8),
               static_cast<std::uint8_t>(customer),
               network,
               0,
               0,
               0,
               0,
               0,
               0,
               0,
               host} {}
  std::uint8_t octets[16];
};

class SourceLimitTest : public testing::Test {
 protected:
  SourceLimitTest() { limit.set_policy(ten_a_second, hz); }
  int served(const Ipv4& source, int requests, std::uint64_t now, bool is_nts = false) {
    int count = 0;
    for (int i = 0; i < requests; ++i) count += limit.take_ipv4(source.octets, is_nts, now) ? 1 : 0;
    return count;
  }
  SourceLimit limit{1024, seed};
};

TEST_F(SourceLimitTest, B15_ASourceHasItsBurstAndThenItsRateWhateverItSends) {
  const Ipv4 source(1);
  EXPECT_EQ(served(source, 100, begin), 4);
  EXPECT_EQ(served(source, 100, begin + hz / 10 + 8), 1);
  int over_ten_seconds = 0;
  for (int ms = 1000; ms < 11'000; ++ms) over_ten_seconds += served(source, 1, at_ms(ms));
  EXPECT_NEAR(over_ten_seconds, 100 + 4, 2);
  EXPECT_EQ(served(source, 100, begin + 60 * hz), 4) << "rest fills the burst, and no more than it";
}

TEST_F(SourceLimitTest, B15_NtsAndPlainHaveAllowancesOfTheirOwn) {
  const Ipv4 forged(7);
  EXPECT_EQ(served(forged, 100, begin), 4);
  EXPECT_EQ(served(forged, 100, begin, true), 4);
}

TEST_F(SourceLimitTest, B15_ManyAddressesOfOneNetworkAreOneSource) {
  int count = 0;
  for (int host = 0; host < 200; ++host)
    count += limit.take_ipv6(Ipv6(1, 0, static_cast<std::uint8_t>(host)).octets, false, begin) ? 1 : 0;
  EXPECT_EQ(count, 4);
  EXPECT_TRUE(limit.take_ipv6(Ipv6(2, 0).octets, false, begin)) << "the neighbour";
}

TEST_F(SourceLimitTest, B15_ManyNetworksOfOneCustomerShareItsAllowance) {
  int in_a_second = 0;
  for (int ms = 0; ms < 10'000; ++ms) {
    const Ipv6 source(3, static_cast<std::uint8_t>(ms % 256));
    in_a_second += limit.take_ipv6(source.octets, false, at_ms(ms)) ? 1 : 0;
  }
  EXPECT_NEAR(in_a_second, 10 * 10 * 2, 12) << "twice a network's rate, over ten seconds";
  limit.set_policy({.requests_per_s = 10, .burst = 4, .network_factor = 0}, hz);
  int without = 0;
  for (int network = 0; network < 256; ++network)
    without +=
        limit.take_ipv6(Ipv6(4, static_cast<std::uint8_t>(network)).octets, false, begin + 60 * hz) ? 1 : 0;
  EXPECT_EQ(without, 256);
}

TEST_F(SourceLimitTest, B15_SourcesThatCollideOnPurposeNeverCostAnInnocentItsAnswer) {
  const Ipv4 innocent(0xc0ffee);
  const std::size_t set = limit.set_of_ipv4(innocent.octets, false);
  std::vector<Ipv4> crafted;  // as if the seed had leaked
  for (std::uint32_t number = 1; crafted.size() < 64; ++number) {
    if (limit.set_of_ipv4(Ipv4(number).octets, false) == set) crafted.emplace_back(number);
  }
  for (int ms = 0; ms < 5'000; ++ms) {
    const std::uint64_t now = at_ms(ms);
    for (const Ipv4& source : crafted) static_cast<void>(limit.take_ipv4(source.octets, false, now));
    if (ms % 125 != 0) continue;
    EXPECT_TRUE(limit.take_ipv4(innocent.octets, false, now)) << ms;
  }
}

TEST_F(SourceLimitTest, B15_AFullTableServesWhoeverComesNew) {
  for (std::uint32_t number = 0; number < 100'000; ++number)
    ASSERT_TRUE(limit.take_ipv4(Ipv4(number).octets, false, begin)) << number;
}

TEST_F(SourceLimitTest, B15_AnotherSeedIsAnotherTable) {
  const SourceLimit other(1024, {seed[0] + 1, seed[1]});
  int same = 0;
  for (std::uint32_t number = 0; number < 1000; ++number)
    same += limit.set_of_ipv4(Ipv4(number).octets, false) == other.set_of_ipv4(Ipv4(number).octets, false)
                ? 1
                : 0;
  EXPECT_LT(same, 30) << "256 sets: four in a thousand by chance";
}

// All of a link have the /64 fe80:: in common: there the address itself is the source.
TEST_F(SourceLimitTest, B15_NeighboursOnALinkDoNotShareAnAllowance) {
  Ipv6 flooder(0, 0, 1);
  Ipv6 neighbour(0, 0, 2);
  for (Ipv6* one : {&flooder, &neighbour}) {
    std::fill(one->octets, one->octets + 8, std::uint8_t{0});
    one->octets[0] = 0xfe;
    one->octets[1] = 0x80;
  }
  int flooded = 0;
  for (int i = 0; i < 1000; ++i) flooded += limit.take_ipv6(flooder.octets, false, begin) ? 1 : 0;
  EXPECT_EQ(flooded, 4);
  EXPECT_TRUE(limit.take_ipv6(neighbour.octets, false, begin));
  EXPECT_TRUE(limit.take_ipv6(neighbour.octets, true, begin));
  // A neighbour that gives itself a customer's /64 as the lower half of its address is not that customer.
  const Ipv6 customer(5, 6);
  std::copy_n(customer.octets, 8, flooder.octets + 8);
  for (int i = 0; i < 1000; ++i) static_cast<void>(limit.take_ipv6(flooder.octets, false, begin));
  EXPECT_TRUE(limit.take_ipv6(customer.octets, false, begin));
}

TEST_F(SourceLimitTest, B15_TheTableHasRoomForWhatItWasToldAndNoMore) {
  EXPECT_EQ(limit.sources(), 1024U);
  EXPECT_EQ(SourceLimit(1025, seed).sources(), 2048U) << "a power of two";
  EXPECT_EQ(SourceLimit(0, seed).sources(), 4U);
}

// Entries of another policy or another time lie further ahead than any new one: they are the first to go.
TEST_F(SourceLimitTest, B15_H09_WhatWasRememberedFarAheadDoesNotKeepItsPlace) {
  limit.set_policy({.requests_per_s = 1, .burst = 1'000'000, .network_factor = 0}, hz);
  const Ipv4 first(1);
  const std::size_t set = limit.set_of_ipv4(first.octets, false);
  std::vector<Ipv4> in_set;
  for (std::uint32_t number = 1; in_set.size() < 8; ++number) {
    if (limit.set_of_ipv4(Ipv4(number).octets, false) == set) in_set.emplace_back(number);
  }
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(served(in_set[i], 5000, begin), 5000);
  limit.set_policy(ten_a_second, hz);
  // Four others take turns; each must be remembered for the time of a round.
  for (int round = 0; round < 8; ++round) {
    for (std::size_t i = 4; i < 8; ++i) static_cast<void>(served(in_set[i], 1, begin));
  }
  for (std::size_t i = 4; i < 8; ++i) EXPECT_EQ(served(in_set[i], 100, begin), 0) << i;
}

TEST_F(SourceLimitTest, H09_ACounterThatWasSetBackKeepsNobodyOut) {
  const Ipv4 source(5);
  EXPECT_EQ(served(source, 100, begin), 4);
  EXPECT_EQ(served(source, 100, begin / 2), 4);
}

TEST(Budget, B16_HoldsASecondsWorthAndIsUnboundedAtZero) {
  Budget budget;
  budget.set(100, hz);
  int taken = 0;
  for (int i = 0; i < 1000; ++i) taken += budget.take(begin) ? 1 : 0;
  EXPECT_EQ(taken, 100);
  EXPECT_TRUE(budget.take(begin + hz / 100));
  EXPECT_FALSE(budget.take(begin + hz / 100));
  budget.set(0, hz);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(budget.take(begin));
}

}  // namespace
}  // namespace dataplane
