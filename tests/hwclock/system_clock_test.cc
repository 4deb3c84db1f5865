// The edge to the kernel, on the real kernel: read only.

#include "hwclock/system_clock.h"

#include <gtest/gtest.h>
#include <sys/timex.h>

#include "hwclock/tsc.h"

namespace hwclock {
namespace {

TEST(SystemClock, AReadingStandsBetweenTwoOfTheTsc) {
  const std::uint64_t before = read_tsc_in_order();
  const std::int64_t earlier = std::time(nullptr);
  const Reading reading = read_clock(CLOCK_REALTIME);
  const std::uint64_t after = read_tsc_in_order();
  EXPECT_GE(reading.tsc, before);
  EXPECT_LE(reading.tsc, after);
  EXPECT_GE(reading.half_width_ticks, 1U);
  EXPECT_LT(reading.half_width_ticks, after - before);
  EXPECT_GE(reading.ns, earlier * 1'000'000'000);
}

TEST(SystemClock, AClockThatIsNoneIsRefused) { EXPECT_THROW((void)read_clock(99), std::system_error); }

TEST(SystemClock, ItsTscTicksForward) {
  const std::uint64_t first = read_tsc_in_order();
  EXPECT_LT(first, read_tsc_in_order());
}

TEST(SystemClock, B10_UnsynchronisedIsWhatTheKernelSays) {
  timex values{};
  EXPECT_TRUE(report_of(TIME_OK, values).is_synchronised);
  EXPECT_FALSE(report_of(TIME_ERROR, values).is_synchronised);
  EXPECT_FALSE(report_of(-1, values).is_synchronised);
  values.status = STA_UNSYNC;
  EXPECT_FALSE(report_of(TIME_OK, values).is_synchronised);
}

TEST(SystemClock, LeapSecondsAreOnesTheKernelWillDo) {
  timex values{};
  values.status = STA_INS;
  EXPECT_EQ(report_of(TIME_INS, values).leap, KernelLeap::insert);
  EXPECT_EQ(report_of(TIME_DEL, values).leap, KernelLeap::remove);
  EXPECT_EQ(report_of(TIME_OOP, values).leap, KernelLeap::in_progress);
  EXPECT_EQ(report_of(TIME_WAIT, values).leap, KernelLeap::none) << "done, though nobody cleared STA_INS yet";
  EXPECT_EQ(report_of(TIME_OK, values).leap, KernelLeap::none);
}

TEST(SystemClock, ErrorsAreInMicrosecondsAndTheTaiOffsetInSeconds) {
  timex values{};
  values.maxerror = 12'345;
  values.tai = 37;
  EXPECT_EQ(report_of(TIME_OK, values).max_error_ns, 12'345'000U);
  EXPECT_EQ(report_of(TIME_OK, values).tai_minus_utc_s, 37);
  values.maxerror = -1;
  EXPECT_EQ(report_of(TIME_OK, values).max_error_ns, 0U);
}

TEST(SystemClock, TheKernelIsOnlyAsked) {
  timex before{};
  const int state = ::adjtimex(&before);
  EXPECT_EQ(read_kernel_report().is_synchronised, state != TIME_ERROR && (before.status & STA_UNSYNC) == 0);
  timex after{};
  ::adjtimex(&after);
  EXPECT_EQ(after.freq, before.freq);
  EXPECT_EQ(after.status, before.status);
  EXPECT_EQ(after.tick, before.tick);
}

}  // namespace
}  // namespace hwclock
