// A leap second that nobody sees: smeared time against its formulas, and published through the whole window.

#include "hwclock/smear.h"

#include <cmath>
#include <gtest/gtest.h>
#include <optional>

#include "hwclock/leap_table.h"
#include "hwclock/served_line.h"
#include "hwclock/tsc_fit.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t hz = 2'000'000'000;
constexpr std::int64_t midnight_utc_s = 1'798'761'600;  // 2027-01-01 00:00:00

LeapPlan plan_of(std::int32_t change_s) { return {37, change_s, midnight_utc_s + 37 + change_s}; }

TaiTime before_change(const LeapPlan& plan, double seconds) {
  return {plan.change_tai_s * ns_per_s - std::llround(seconds * 1e9)};
}

// UTC as Discipline serves it: by the second that UTC has, with a step at the change.
ClockState state_at(const LeapPlan& plan, TaiTime time, std::uint64_t tick) {
  ClockState state{};
  state.tai_minus_utc_s = tai_minus_utc_at(plan, time);
  state.tsc0 = tick;
  state.ntp0 = ntp_of_utc(time.ns - state.tai_minus_utc_s * ns_per_s);
  state.tsc_hz = hz;
  state.mult = mult_of(1e9 / hz);
  state.valid_until = tick + 1000 * hz;
  state.leap = leap_indicator_at(plan, time);
  state.stratum = 1;
  return state;
}

double ns_between(std::uint64_t later, std::uint64_t earlier) {
  return static_cast<double>(static_cast<std::int64_t>(later - earlier)) * 1e9 / 0x1p32;
}

TEST(Smear, B14_ALinearOneGoesFromNoonToNoon) {
  for (const std::int32_t change_s : {1, -1}) {
    const LeapPlan plan = plan_of(change_s);
    const auto offset_ns = [&](double before_s, bool has_changed) {
      return smear_offset_ns(SmearKind::linear, plan, before_change(plan, before_s), has_changed);
    };
    const double noon_s = 43'200.0 + change_s;  // the day of a change is a second longer or shorter
    EXPECT_EQ(offset_ns(noon_s + 5, false), 0.0);
    EXPECT_EQ(offset_ns(noon_s, false), 0.0);
    EXPECT_NEAR(offset_ns(0, false), -0.5e9 * change_s, 1e4);
    EXPECT_NEAR(offset_ns(0, true), 0.5e9 * change_s, 1e4) << "ahead of a UTC that has stepped back";
    EXPECT_EQ(offset_ns(-43'200.0, true), 0.0);
    EXPECT_NEAR((offset_ns(1000, false) - offset_ns(2000, false)) / 1000.0, -11'574.0 * change_s, 1.0)
        << "11.6 ppm";
  }
}

TEST(Smear, B14_AQuadraticOneIsChronys) {
  const LeapPlan plan = plan_of(1);
  const auto offset_ns = [&](double after_s) {
    return smear_offset_ns(SmearKind::quadratic, plan, before_change(plan, -after_s), true);
  };
  EXPECT_EQ(offset_ns(0), 1e9);
  // smoothtime 400 0.001024: the rate grows by 0.001024 ppm a second, to 32 ppm, and falls again.
  EXPECT_NEAR(1e9 - offset_ns(100), 0.001024e3 * 100 * 100 / 2, 1.0);
  EXPECT_NEAR(offset_ns(31'250), 0.5e9, 1.0);
  EXPECT_NEAR(offset_ns(31'249.5) - offset_ns(31'250.5), 32'000.0, 1.0);
  EXPECT_EQ(offset_ns(62'500), 0.0);
  EXPECT_EQ(smear_offset_ns(SmearKind::quadratic, plan, before_change(plan, 1), false), 0.0);
}

TEST(Smear, B14_ThereIsNoneWithoutAChangeThatEndsADay) {
  LeapPlan plan = plan_of(1);
  plan.change_tai_s += 7;
  EXPECT_EQ(smear_offset_ns(SmearKind::linear, plan, before_change(plan, 0), false), 0.0);
  EXPECT_EQ(smear_offset_ns(SmearKind::linear, {37, 0, 0}, TaiTime{0}, false), 0.0);
  EXPECT_EQ(smear_offset_ns(SmearKind::none, plan_of(1), before_change(plan_of(1), 0), false), 0.0);
}

struct Whole {
  double jump_ns_max = 0.0;   // where one line ends and the next begins
  double rate_ppm_max = 0.0;  // off UTC's, before and after the step
  double first_off_ns = 0.0, last_off_ns = 0.0;
  std::uint64_t smeared_count = 0;
};

// Publishes eight times a second from three hours before the window to three hours behind it.
Whole published_through(SmearKind kind, const LeapPlan& plan) {
  Smear smear(kind);
  Whole whole;
  constexpr std::int64_t step_ns = ns_per_s / 8;
  constexpr std::uint64_t step_ticks = hz / 8;
  std::uint64_t tick = 77 * hz;
  std::optional<ClockState> last;
  const std::int64_t end_ns = before_change(plan, -62'500 - 10'800).ns;
  for (TaiTime now = before_change(plan, 54'000); now.ns < end_ns; now.ns += step_ns, tick += step_ticks) {
    smear.take(now.ns < plan.change_tai_s * ns_per_s ? plan : LeapPlan{38, 0, 0}, now);
    ClockState state = state_at(plan, now, tick);
    smear.publish(tick, state);
    const auto smeared = [&](const ClockState& from) {
      return from.smear.valid_until != 0 ? ntp_at(from.smear.line, tick) : ntp_at(from, tick);
    };
    if (last && (last->smear.valid_until != 0 || state.smear.valid_until != 0)) {
      const double jump_ns = ns_between(smeared(state), smeared(*last));
      whole.jump_ns_max = std::max(whole.jump_ns_max, std::fabs(jump_ns));
    }
    if (state.smear.valid_until != 0) {
      const double off_ns = ns_between(smeared(state), ntp_at(state, tick));
      EXPECT_LE(std::fabs(off_ns), static_cast<double>(state.smear.off_ns));
      EXPECT_EQ(state.smear.valid_until, tick + 10 * hz) << "a dead clock role is no smear";
      if (whole.smeared_count++ == 0) whole.first_off_ns = off_ns;
      whole.last_off_ns = off_ns;
      const double rate = static_cast<double>(state.smear.line.mult) / static_cast<double>(state.mult);
      whole.rate_ppm_max = std::max(whole.rate_ppm_max, std::fabs(rate - 1.0) * 1e6);
    }
    last = state;
    if (testing::Test::HasFailure()) break;
  }
  return whole;
}

TEST(Smear, B14_I09_PublishedTimeHasNoStepAnywhereInTheWindow) {
  for (const std::int32_t change_s : {1, -1}) {
    const Whole linear = published_through(SmearKind::linear, plan_of(change_s));
    EXPECT_LT(linear.jump_ns_max, 2.0) << "a few units of the wire and of the multiplier";
    EXPECT_NEAR(linear.rate_ppm_max, 11.574, 0.01);
    EXPECT_EQ(linear.smeared_count, 8U * static_cast<std::uint64_t>(86'400 + change_s));
    EXPECT_LT(std::fabs(linear.first_off_ns) + std::fabs(linear.last_off_ns), 3'000.0);

    const Whole quadratic = published_through(SmearKind::quadratic, plan_of(change_s));
    EXPECT_LT(quadratic.jump_ns_max, 2.0);
    EXPECT_NEAR(quadratic.rate_ppm_max, 32.0, 0.01);
    EXPECT_EQ(quadratic.smeared_count, 8U * 62'503U);
  }
}

TEST(Smear, B14_AChangeThatIsTakenBackHalfWayLeavesNoTimeAndNoStep) {
  const LeapPlan plan = plan_of(1);
  Smear smear(SmearKind::linear);
  const TaiTime evening = before_change(plan, 3600);
  smear.take(plan, evening);
  ClockState state = state_at(plan, evening, hz);
  smear.publish(hz, state);
  EXPECT_GT(state.smear.valid_until, hz);

  const LeapPlan nothing{37, 0, 0};
  smear.take(nothing, evening);
  state = state_at(nothing, evening, hz);
  smear.publish(hz, state);
  EXPECT_EQ(state.smear.valid_until, hz) << "void as soon as it is published: smeared time is not known";

  smear.take(plan, evening);
  smear.publish(hz, state);
  EXPECT_GT(state.smear.valid_until, hz) << "said again, it goes on";

  smear.take(nothing, evening);
  const TaiTime next_day = before_change(plan, -5);
  smear.take(nothing, next_day);
  state = state_at(nothing, next_day, hz);
  smear.publish(hz, state);
  EXPECT_EQ(state.smear.valid_until, 0U) << "it did not come: smeared time is UTC";
}

TEST(Smear, B14_ANewRoleGoesOnWithWhatWasSmeared) {
  const LeapPlan plan = plan_of(1);
  Smear first(SmearKind::linear);
  first.take(plan, before_change(plan, 3600));
  ClockState state = state_at(plan, before_change(plan, 3600), hz);
  first.publish(hz, state);

  Smear second(SmearKind::linear);
  second.resume(state.smear);
  const TaiTime morning = before_change(plan, -3600);
  second.take(LeapPlan{38, 0, 0}, morning);  // nobody announces a change that was
  state = state_at(plan, morning, 2 * hz);
  second.publish(2 * hz, state);
  EXPECT_GT(state.smear.valid_until, 2 * hz);
  EXPECT_NEAR(ns_between(ntp_at(state.smear.line, 2 * hz), state.ntp0),
              smear_offset_ns(SmearKind::linear, plan, morning, true), 1.0);

  Smear third(SmearKind::linear);
  third.take(plan, morning);  // after a reboot: the table's last change
  state.smear = {};
  third.publish(2 * hz, state);
  EXPECT_GT(state.smear.valid_until, 2 * hz);
  third.resume({});  // nothing was left behind
  state.smear = {};
  third.publish(2 * hz, state);
  EXPECT_EQ(state.smear.change_s, 1);
}

TEST(Smear, B14_TheReferenceIdIsItsOwn) {
  const LeapPlan plan = plan_of(1);
  Smear smear(SmearKind::linear);
  smear.take(plan, before_change(plan, 0));
  ClockState state = state_at(plan, before_change(plan, 0), hz);
  smear.publish(hz, state);
  EXPECT_EQ(state.smear.reference_id, 0x534d4552U) << "SMER";
  state.stratum = 2;
  smear.publish(hz, state);
  EXPECT_EQ(state.smear.reference_id, 0x7f7f01ffU) << "127.127.1.255";
}

TEST(Smear, I10_TaiComesFromTheLineInTheRightEra) {
  for (const std::int64_t utc_s : {midnight_utc_s, std::int64_t{2'085'978'495}, std::int64_t{2'085'978'496},
                                   std::int64_t{4'000'000'000}}) {
    ClockState state = state_at({37, 0, 0}, TaiTime{(utc_s + 37) * ns_per_s}, hz);
    EXPECT_EQ(tai_at(state, hz).ns, (utc_s + 37) * ns_per_s) << utc_s;
  }
}

TEST(LeapTable, I09_TheLastChangeIsTheOneThatWas) {
  const LeapPlan plan = LeapTable::compiled().last_change(1'483'228'800 + 37);
  EXPECT_EQ(plan.tai_minus_utc_s, 36);
  EXPECT_EQ(plan.change_s, 1);
  EXPECT_EQ(plan.change_tai_s, 1'483'228'800 + 37);
  EXPECT_EQ(LeapTable::compiled().last_change(1'483'228'800 + 36).change_tai_s, 1'435'708'800 + 36);
}

}  // namespace
}  // namespace hwclock
