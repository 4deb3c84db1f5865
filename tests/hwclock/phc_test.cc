// The edge to a NIC's clock, against a scripted device in the place of the kernel's
// (tests/support/device_shim.h).

#include "hwclock/phc.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <gtest/gtest.h>
#include <system_error>
#include <thread>

#include "hwclock/edge_filter.h"
#include "hwclock/kernel_pps.h"
#include "tests/support/device_shim.h"

namespace hwclock {
namespace {

using device_shim::script;

constexpr const char* device = "/dev/ptp0";
constexpr std::int64_t offset_ns = 37'000'000'000;

class PhcTest : public testing::Test {
 protected:
  void SetUp() override {
    device_shim::Script& all = script();
    for (auto* field : {&all.phc_frozen_at_ns, &all.both_edges, &all.pins_busy, &all.phc_rate_ppb,
                        &all.methods_missing, &all.busy, &all.error, &all.short_reads, &all.duplicates,
                        &all.no_strict_flags, &all.no_pulses, &all.pulse_offset_ns})
      *field = 0;
    all.phc_offset_ns = offset_ns;
  }
};

// At least so many edges, however long they take.
std::vector<std::int64_t> wait_for_edges(Phc& phc, std::size_t count) {
  std::vector<std::int64_t> all;
  while (all.size() < count) {
    int error = 0;
    for (const std::int64_t edge : phc.edges(0, error)) all.push_back(edge);
    EXPECT_EQ(error, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return all;
}

TEST(Narrowest, TheReadingWithTheNarrowestBracketIsTakenAndItsHalfIsTheError) {
  const std::array<PhcReading, 3> readings{{{1000, 5, 3000}, {4000, 7, 4101}, {5000, 9, 6000}}};
  const auto stamp = narrowest(readings);
  ASSERT_TRUE(stamp);
  EXPECT_EQ(stamp->phc_ns, 7);
  EXPECT_EQ(stamp->clock_ns, 4050);
  EXPECT_EQ(stamp->half_width_ns, 51);
}

TEST(Narrowest, I08_AClockThatWasSetBackInsideABracketIsNoReading) {
  const std::array<PhcReading, 3> readings{{{1000, 5, 900}, {-1, 7, 4101}, {5000, -1, 6000}}};
  EXPECT_FALSE(narrowest(readings));
  EXPECT_FALSE(narrowest({}));
}

TEST_F(PhcTest, EveryMethodGivesTheOffsetInsideItsBracketAndTheBestIsUsed) {
  for (int missing = 0; missing <= 3; ++missing) {
    script().methods_missing = missing;
    Phc phc(device);
    int error = -1;
    const auto stamp = phc.cross_stamp(error);
    ASSERT_TRUE(stamp) << missing;
    EXPECT_EQ(error, 0);
    EXPECT_EQ(script().answered_by, missing);
    EXPECT_LE(std::abs(stamp->phc_ns - stamp->clock_ns - offset_ns), stamp->half_width_ns) << missing;
  }
}

TEST_F(PhcTest, I08_AClockBeyondWhatNanosecondsHoldIsNoReadingByAnyMethod) {
  script().phc_frozen_at_ns = 9'100'000'000'000'000'000;  // of the year 2258; a little more would wrap
  for (int missing = 0; missing <= 3; ++missing) {
    script().methods_missing = missing;
    Phc phc(device);
    int error = -1;
    EXPECT_FALSE(phc.cross_stamp(error)) << missing;
    EXPECT_EQ(error, 0);
  }
}

TEST_F(PhcTest, I07_ABusyDeviceIsAskedAgainAndLosesNoMethod) {
  Phc phc(device);
  int error = -1;
  script().busy = 2;
  EXPECT_TRUE(phc.cross_stamp(error)) << "the third try";
  script().busy = 3;
  EXPECT_FALSE(phc.cross_stamp(error));
  EXPECT_EQ(error, 0) << "busy is no fault";
  EXPECT_TRUE(phc.cross_stamp(error));
  EXPECT_EQ(static_cast<PhcMethod>(script().answered_by.load()), PhcMethod::precise);
}

TEST_F(PhcTest, I07_ADeviceThatFailsSaysSoInEveryMethod) {
  for (int missing = 0; missing <= 3; ++missing) {
    script().methods_missing = missing;
    script().error = EIO;
    Phc phc(device);
    int error = 0;
    EXPECT_FALSE(phc.cross_stamp(error)) << missing;
    EXPECT_EQ(error, EIO) << missing;
    script().error = ETIMEDOUT;
    EXPECT_FALSE(phc.cross_stamp(error));
    EXPECT_EQ(error, 0) << "a later try may do";
    script().error = 0;
  }
}

TEST_F(PhcTest, EdgesOnAPinComeOnceEachAtWholeSeconds) {
  script().duplicates = 2;
  Phc phc(device);
  phc.watch_pin(1, 0, PhcEdge::rising);
  const auto edges = wait_for_edges(phc, 2);
  ASSERT_EQ(edges.size(), 2U);
  EXPECT_EQ(edges[0] % 1'000'000'000, 0);
  EXPECT_EQ(edges[1] - edges[0], 1'000'000'000);
  EXPECT_GE(phc.dropped_edges(), 2U) << "those that were told before";
}

TEST_F(PhcTest, I07_AReadThatEndsInsideAnEventGivesNone) {
  script().no_strict_flags = 1;
  Phc phc(device);
  phc.watch_pin(0, 0, PhcEdge::rising);
  script().short_reads = 1;
  static_cast<void>(wait_for_edges(phc, 1));
  EXPECT_EQ(script().short_reads, 0);
  EXPECT_EQ(phc.dropped_edges(), 1U);
  script().error = ENODEV;
  int error = 0;
  while (error == 0) static_cast<void>(phc.edges(0, error));
  EXPECT_EQ(error, ENODEV);
}

TEST_F(PhcTest, I05_OfADriverThatStampsBothEdgesThoseThatEndAPauseAreTaken) {
  script().both_edges = 1;
  Phc phc(device);
  phc.watch_pin(0, 0, PhcEdge::rising);
  EdgeFilter filter;
  std::vector<std::int64_t> taken;
  while (taken.size() < 3) {
    for (const std::int64_t edge : wait_for_edges(phc, 1)) {
      if (filter.take(edge)) taken.push_back(edge);
    }
  }
  EXPECT_GE(filter.dropped(), 1U);
  EXPECT_EQ(taken[2] - taken[1], 1'000'000'000) << "the first may be either";
  EXPECT_EQ(taken[2] % 1'000'000'000, 0);
}

TEST_F(PhcTest, I07_APinThatAnotherProgramUsesIsSaidToBeThat) {
  script().pins_busy = 1;
  Phc phc(device);
  try {
    phc.watch_pin(0, 0, PhcEdge::rising);
    FAIL() << "it was given to us";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("another program uses"), std::string::npos) << error.what();
    EXPECT_EQ(error.code().value(), EBUSY);
  }
}

TEST_F(PhcTest, WhatIsNoPhcOrHasNoSuchPinIsRefusedWithASentence) {
  EXPECT_THROW(Phc("/dev/ptp-noonmark"), std::system_error);
  EXPECT_THROW(Phc("/dev/null"), std::system_error);
  Phc phc(device);
  EXPECT_THROW(phc.watch_pin(0, 2, PhcEdge::rising), std::system_error);
  EXPECT_THROW(phc.watch_pin(2, 0, PhcEdge::falling), std::system_error);
  EXPECT_FALSE(phc.error_bound_ns()) << "no driver that says it";
}

TEST_F(PhcTest, I05_TheKernelsPulseIsReadAndACutLineIsNoFault) {
  const int fd = open_kernel_pps("/dev/pps0", PpsEdge::assert);
  int error = -1;
  const auto event = last_pps_event(fd, PpsEdge::assert, error);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->clock_ns % 1'000'000'000, 0);
  script().no_pulses = 1;
  EXPECT_FALSE(last_pps_event(fd, PpsEdge::assert, error));
  EXPECT_EQ(error, 0);
  script().error = EIO;
  EXPECT_FALSE(last_pps_event(fd, PpsEdge::assert, error));
  EXPECT_EQ(error, EIO);
  EXPECT_THROW(static_cast<void>(open_kernel_pps("/dev/pps0", PpsEdge::clear)), std::system_error);
}

}  // namespace
}  // namespace hwclock
