#include "control/ke_limits.h"

#include <gtest/gtest.h>

namespace {

using control::KeDeadline;
using control::KeLimits;
using control::KePhase;
using namespace std::chrono_literals;

const KeDeadline::Instant accepted{1h};

TEST(KeDeadline, E18_EachPhaseHasItsTimeFromWhenItBegan) {
  KeDeadline deadline(accepted, 2000ms, 60'000ms);
  EXPECT_EQ(deadline.at(), accepted + 2000ms);
  deadline.enter(KePhase::finished, accepted + 1500ms);
  EXPECT_EQ(deadline.at(), accepted + 3500ms);
  deadline.enter(KePhase::request, accepted + 1600ms);
  EXPECT_EQ(deadline.at(), accepted + 3600ms);
  deadline.enter(KePhase::farewell, accepted + 3599ms);
  EXPECT_EQ(deadline.at(), accepted + 5599ms);
}

TEST(KeDeadline, E18_WhatIsSaidWithinAPhaseBuysNoTime) {
  KeDeadline deadline(accepted, 2000ms, 60'000ms);
  deadline.enter(KePhase::hello, accepted + 1999ms);
  EXPECT_EQ(deadline.at(), accepted + 2000ms);
  deadline.enter(KePhase::request, accepted + 100ms);
  deadline.enter(KePhase::request, accepted + 1900ms);
  EXPECT_EQ(deadline.at(), accepted + 2100ms);
}

TEST(KeDeadline, E18_AllPhasesTogetherEndWithTheWhole) {
  KeDeadline deadline(accepted, 2000ms, 2500ms);
  deadline.enter(KePhase::finished, accepted + 499ms);
  EXPECT_EQ(deadline.at(), accepted + 2499ms);
  deadline.enter(KePhase::request, accepted + 501ms);
  EXPECT_EQ(deadline.at(), accepted + 2500ms);
  EXPECT_EQ(KeDeadline(accepted, 2000ms, 1500ms).at(), accepted + 1500ms) << "a whole shorter than a phase";
}

TEST(KeLimits, ASourceAndAllTogetherHaveAsManyPlacesAsToldAndGetThemBack) {
  KeLimits limits(3, 2);
  const KeLimits::Source one = KeLimits::source_of_ipv4({192, 0, 2, 1});
  const KeLimits::Source two = KeLimits::source_of_ipv4({192, 0, 2, 2});
  const KeLimits::Source three = KeLimits::source_of_ipv4({192, 0, 2, 3});
  EXPECT_TRUE(limits.enter(one));
  EXPECT_TRUE(limits.enter(one));
  EXPECT_FALSE(limits.enter(one)) << "the third of one source";
  EXPECT_TRUE(limits.enter(two));
  EXPECT_FALSE(limits.enter(three)) << "the fourth of all";
  EXPECT_EQ(limits.open(), 3U);
  limits.leave(three);
  EXPECT_EQ(limits.open(), 3U) << "who never entered leaves nothing";
  limits.leave(one);
  EXPECT_TRUE(limits.enter(three));
  EXPECT_FALSE(limits.enter(one)) << "a place of its own, but none of all";
  limits.leave(two);
  EXPECT_TRUE(limits.enter(one));
}

TEST(KeLimits, AnIpv6SubscriberIsOneSourceAndNoIpv4AddressIsTheSame) {
  std::array<std::uint8_t, 16> address{0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, 1};
  const KeLimits::Source source = KeLimits::source_of_ipv6(address);
  address[8] = 0xff;
  EXPECT_EQ(KeLimits::source_of_ipv6(address), source) << "another host of the /64";
  address[7] = 8;
  EXPECT_NE(KeLimits::source_of_ipv6(address), source) << "another /64";
  EXPECT_NE(KeLimits::source_of_ipv6({192, 0, 2, 1}), KeLimits::source_of_ipv4({192, 0, 2, 1}));
  EXPECT_NE(KeLimits::source_of_ipv4({192, 0, 2, 1}), KeLimits::source_of_ipv4({192, 0, 2, 2}));
}

}  // namespace
