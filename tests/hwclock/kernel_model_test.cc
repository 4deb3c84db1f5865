// What is said of the clock, for everything that kernel and operator may say.

#include "hwclock/kernel_model.h"

#include <gtest/gtest.h>
#include <string>

namespace hwclock {
namespace {

constexpr std::uint64_t hz = 2'600'000'000;
constexpr std::uint64_t ms = 1'000'000;

ClockPolicy policy(Source source) {
  ClockPolicy policy;
  policy.source = source;
  policy.stratum = 10;
  policy.reference_id = 0x4c4f434c;  // LOCL
  policy.error_max_ns = 20 * ms;
  policy.drift_ppb = 15'000;
  return policy;
}

Fitted fitted_at(std::uint64_t tsc) {
  Fitted fitted;
  fitted.line = {tsc, 0xe000000000000000 + tsc, static_cast<std::uint64_t>(0x1p92L / hz)};
  fitted.read_tsc = tsc;
  fitted.error_ns = 40;
  fitted.rate_error_ppb = 100;
  fitted.step_count = 3;
  return fitted;
}

KernelReport synchronised(std::uint64_t max_error_ns) {
  KernelReport report;
  report.is_synchronised = true;
  report.max_error_ns = max_error_ns;
  report.tai_minus_utc_s = 37;
  return report;
}

Judgement judged(Source source, const KernelReport& report) {
  KernelModel model(policy(source), -25);
  return model.judge(fitted_at(1'000'000), hz, report);
}

TEST(KernelModel, ASynchronisedKernelIsAsGoodAsItSays) {
  const Judgement judgement = judged(Source::system, synchronised(12 * ms));
  const ClockState& state = judgement.state;
  EXPECT_TRUE(is_valid(state));
  EXPECT_EQ(judgement.verdict, Verdict::synchronised);
  EXPECT_EQ(state.state, State::locked);
  EXPECT_EQ(state.leap, 0U);
  EXPECT_EQ(state.stratum, 10U);
  EXPECT_EQ(state.dispersion0_ns, 12 * ms + 40);
  EXPECT_EQ(state.root_delay_ns, 0U);
  EXPECT_EQ(state.step_count, 3U);
  EXPECT_EQ(state.tai_minus_utc_s, 37);
  EXPECT_EQ(state.precision, -25);
  EXPECT_EQ(std::string(state.source_name), "system (the kernel's clock)");
}

TEST(KernelModel, B10_AnUnsynchronisedKernelIsNeverCalledSynchronised) {
  KernelReport report = synchronised(1 * ms);
  report.is_synchronised = false;
  const Judgement judgement = judged(Source::system, report);
  EXPECT_TRUE(is_valid(judgement.state));
  EXPECT_EQ(judgement.verdict, Verdict::kernel_unsynchronised);
  EXPECT_EQ(judgement.state.leap, 3U);
  EXPECT_EQ(judgement.state.stratum, 0U);
  EXPECT_EQ(judgement.state.state, State::unsync);
}

TEST(KernelModel, AKernelClockWorseThanAllowedIsUnsynchronisedAndSaysHowBad) {
  EXPECT_EQ(judged(Source::system, synchronised(20 * ms - 41)).verdict, Verdict::synchronised);
  const Judgement judgement = judged(Source::system, synchronised(20 * ms - 40));
  EXPECT_EQ(judgement.verdict, Verdict::error_too_large);
  EXPECT_EQ(judgement.error_ns, 20 * ms);
  EXPECT_EQ(judgement.state.leap, 3U);
  EXPECT_EQ(judgement.state.stratum, 0U);
}

TEST(KernelModel, LocalIsDeclaredWhateverTheKernelSays) {
  const Judgement judgement = judged(Source::local, KernelReport{});
  const ClockState& state = judgement.state;
  EXPECT_TRUE(is_valid(state));
  EXPECT_EQ(judgement.verdict, Verdict::declared);
  EXPECT_EQ(state.state, State::local);
  EXPECT_EQ(state.source, Source::local);
  EXPECT_EQ(state.leap, 0U);
  EXPECT_EQ(state.stratum, 10U);
  EXPECT_EQ(state.reference_id, 0x4c4f434cU);
  EXPECT_EQ(state.dispersion0_ns, 40U);
  EXPECT_EQ(std::string(state.source_name), "local (declared, not synced)");
}

TEST(KernelModel, TheReferenceIdOfASecondaryServerIsAnAddress) {
  ClockPolicy declared = policy(Source::system);
  declared.stratum = 1;
  EXPECT_EQ(KernelModel(declared, -25).judge(fitted_at(1), hz, synchronised(0)).state.reference_id,
            0x4c4f434cU);
  declared.stratum = 2;
  EXPECT_EQ(KernelModel(declared, -25).judge(fitted_at(1), hz, synchronised(0)).state.reference_id,
            0x7f000001U);
}

TEST(KernelModel, LeapSecondsAreAnnouncedAsTheKernelMeansThem) {
  KernelReport report = synchronised(0);
  report.leap = KernelLeap::insert;
  EXPECT_EQ(judged(Source::system, report).state.leap, 1U);
  EXPECT_EQ(judged(Source::local, report).state.leap, 0U);
  report.leap = KernelLeap::remove;
  EXPECT_EQ(judged(Source::system, report).state.leap, 2U);
  report.leap = KernelLeap::in_progress;
  EXPECT_EQ(judged(Source::system, report).state.leap, 3U);
  EXPECT_EQ(judged(Source::system, report).verdict, Verdict::leap_in_progress);
}

TEST(KernelModel, B12_TheDispersionGrowsAtLeastAsFastAsConfigured) {
  const ClockState state = judged(Source::system, synchronised(1 * ms)).state;
  EXPECT_EQ(state.dispersion_rate_ppb, 15'100U) << "and by what our own rate is off";
  EXPECT_EQ(dispersion_ns_at(state, state.tsc0 + 10 * hz) - state.dispersion0_ns, 151'000U);
}

TEST(KernelModel, G15_TheStateIsVoidJustWhereItsErrorPassesTheLimit) {
  for (const std::uint64_t max_error_ns : {0 * ms, 19 * ms, 20 * ms - 41}) {
    SCOPED_TRACE(max_error_ns);
    const ClockState state = judged(Source::system, synchronised(max_error_ns)).state;
    EXPECT_LE(dispersion_ns_at(state, state.valid_until), 20 * ms);
    EXPECT_GE(dispersion_ns_at(state, state.valid_until + 1), 20 * ms);
    EXPECT_FALSE(is_believable(state, state.valid_until + 1));
  }
}

TEST(KernelModel, P41_TheReferenceTimeIsTheLastNewsAndNeverAfterTheReading) {
  KernelModel model(policy(Source::system), -25);
  const auto reference = [&](std::uint64_t tsc, const KernelReport& report) {
    Fitted fitted = fitted_at(tsc);
    fitted.line.tsc0 += hz / 1000;  // the line may turn a little after the reading
    const ClockState state = model.judge(fitted, hz, report).state;
    EXPECT_LE(state.reference_ntp, ntp_at(state, tsc));
    return std::pair(state.reference_ntp, ntp_at(state, tsc));
  };
  const auto [first, first_now] = reference(1 * hz, synchronised(1000));
  EXPECT_EQ(first, first_now);
  EXPECT_EQ(reference(2 * hz, synchronised(1500)).first, first) << "the error grows: no news";
  const auto [second, second_now] = reference(3 * hz, synchronised(1200));
  EXPECT_EQ(second, second_now);
  EXPECT_EQ(reference(4 * hz, KernelReport{}).first, second) << "nobody is believed: it stands still";
  const auto [third, third_now] = reference(5 * hz, synchronised(9000));
  EXPECT_EQ(third, third_now) << "synchronised again";
}

TEST(KernelModel, PrecisionIsRoundedUp) {
  EXPECT_EQ(precision_of(1e9), 0);
  EXPECT_EQ(precision_of(0.5e9), -1);
  EXPECT_EQ(precision_of(29.8), -25);  // 2^-25 s are 29.8023 ns
  EXPECT_EQ(precision_of(29.9), -24);
  EXPECT_EQ(precision_of(0), -31) << "the wire's own unit";
  EXPECT_EQ(precision_of(1e12), 0);
}

}  // namespace
}  // namespace hwclock
