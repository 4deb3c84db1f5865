// What a majority of servers announces of a leap second, until when they may take it back, and what of it an
// earlier run left on the page.

#include "hwclock/announced_leap.h"

#include <gtest/gtest.h>

#include "hwclock/calendar.h"
#include "hwclock/served_line.h"
#include "hwclock/tsc_fit.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

UpstreamPanel panel_of(std::initializer_list<std::uint32_t> leaps) {
  UpstreamPanel panel(leaps.size());
  std::size_t i = 0;
  for (const std::uint32_t leap : leaps) {
    UpstreamMember& member = panel.member(i++);
    member.has_news = true;
    member.reach = 1;
    member.leap = leap;
  }
  return panel;
}

std::int64_t utc_of(const CivilTime& time) { return *utc_seconds_of(time); }
const std::int64_t june_30 = utc_of({2028, 6, 30, 12, 0, 0});
const std::int64_t july_1 = utc_of({2028, 7, 1, 0, 0, 0});
const std::int64_t december_31 = utc_of({2028, 12, 31, 23, 59, 0});

std::optional<LeapPlan> heard(const UpstreamPanel& panel, std::int64_t utc_s) {
  return AnnouncedLeap().hear(panel, utc_s + 37, 37);
}

TEST(AnnouncedLeap, AMajorityOfThoseThatAnswerIsBelieved) {
  const auto plan = heard(panel_of({1, 1, 0}), june_30);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->tai_minus_utc_s, 37);
  EXPECT_EQ(plan->change_s, 1);
  EXPECT_EQ(plan->change_tai_s, july_1 + 38);
  const auto removed = heard(panel_of({2, 2, 2}), december_31);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->change_s, -1);
  EXPECT_EQ(removed->change_tai_s, utc_of({2029, 1, 1, 0, 0, 0}) + 36);
  EXPECT_FALSE(heard(panel_of({1, 0}), june_30)) << "half is none";
  EXPECT_FALSE(heard(panel_of({1, 0, 0}), june_30)) << "a minority";
  EXPECT_FALSE(heard(panel_of({1, 2}), june_30));
  EXPECT_FALSE(heard(panel_of({}), june_30));
  UpstreamPanel gone = panel_of({1, 0});
  gone.member(1).reach = 0;
  EXPECT_TRUE(heard(gone, june_30));
}

TEST(AnnouncedLeap, OfATimeThatIsNotTheirsAQuorumOfTheAuthenticatedOnesIsBelieved) {
  const auto heard_by = [](std::uint32_t quorum, std::initializer_list<std::uint32_t> sealed,
                           std::uint32_t plain) {
    UpstreamPanel panel = panel_of({plain, plain, plain, 0, 0, 0, 0});
    for (std::size_t i = 3; i < panel.size(); ++i) panel.member(i).reach = 0;
    std::size_t i = 3;
    for (const std::uint32_t leap : sealed) {
      UpstreamMember& member = panel.member(i++);
      member.reach = 1;
      member.authenticated = true;
      member.leap = leap;
    }
    return AnnouncedLeap(quorum).hear(panel, june_30 + 37, 37).has_value();
  };
  EXPECT_TRUE(heard_by(2, {1, 1, 0}, 0)) << "whatever the others say";
  EXPECT_TRUE(heard_by(2, {1, 1}, 2));
  EXPECT_FALSE(heard_by(3, {1, 1, 0}, 1)) << "no quorum";
  EXPECT_FALSE(heard_by(2, {1, 1, 0, 0}, 1)) << "no majority";
  EXPECT_FALSE(heard_by(1, {0}, 1));
  EXPECT_FALSE(heard_by(1, {}, 1)) << "nobody is authenticated";
  EXPECT_TRUE(heard_by(1, {2}, 1));
}

TEST(AnnouncedLeap, WhereAnybodyMaySpeakTheAuthenticatedOnesSpeakFirst) {
  UpstreamPanel panel = panel_of({1, 1, 1, 0});
  const auto is_heard = [&] { return AnnouncedLeap(1, true).hear(panel, june_30 + 37, 37).has_value(); };
  EXPECT_TRUE(is_heard()) << "nobody is authenticated";
  panel.member(3).authenticated = true;
  EXPECT_FALSE(is_heard()) << "one against three";
  panel.member(3).leap = 1;
  EXPECT_TRUE(is_heard());
  panel.member(3).leap = 0;
  panel.member(3).reach = 0;
  EXPECT_TRUE(is_heard()) << "it does not answer";
}

TEST(AnnouncedLeap, I09_OnlyTheLastDaysOfJuneAndDecemberMayEndWithOne) {
  for (const CivilTime& day : {CivilTime{2028, 6, 29, 12, 0, 0}, CivilTime{2028, 3, 31, 12, 0, 0},
                               CivilTime{2028, 7, 1, 0, 0, 0}, CivilTime{2028, 12, 30, 23, 59, 59}}) {
    EXPECT_FALSE(heard(panel_of({1, 1, 1}), utc_of(day))) << day.month << "/" << day.day;
  }
}

TEST(AnnouncedLeap, StandsWhileNobodyAnswersAndIsGoneWhenItIsTakenBack) {
  AnnouncedLeap announced;
  ASSERT_TRUE(announced.hear(panel_of({1, 1}), june_30 + 37, 37));
  UpstreamPanel silent = panel_of({1, 1});
  silent.member(0).reach = silent.member(1).reach = 0;
  EXPECT_TRUE(announced.hear(silent, july_1 + 30, 37));
  EXPECT_FALSE(announced.hear(panel_of({0, 0}), july_1 + 31, 37));
  EXPECT_FALSE(announced.hear(silent, july_1 + 32, 37)) << "what was taken back does not come again";
  ASSERT_TRUE(announced.hear(panel_of({1, 1}), july_1 + 33, 37));
  EXPECT_FALSE(announced.hear(silent, july_1 + 38 + 10, 37)) << "nor does what was for a day that is over";
}

TEST(AnnouncedLeap, I09_WhatIsDecidedStandsWhateverTheySayAndIsToldOfForAWhile) {
  AnnouncedLeap announced;
  ASSERT_TRUE(announced.hear(panel_of({1, 1}), july_1 + 34, 37));
  for (const std::int64_t tai_s : {july_1 + 35, july_1 + 37, july_1 + 38, july_1 + 47}) {
    const auto plan = announced.hear(panel_of({0, 0}), tai_s, 37);
    ASSERT_TRUE(plan) << tai_s - july_1;
    EXPECT_EQ(plan->change_tai_s, july_1 + 38);
  }
  EXPECT_FALSE(announced.hear(panel_of({0, 0}), july_1 + 48, 37));
}

TEST(AnnouncedLeap, IsDecidedASecondBeforeLeapIsThree) {
  const LeapPlan plan = *heard(panel_of({1}), june_30);
  EXPECT_FALSE(is_decided(plan, plan.change_tai_s - 4));
  EXPECT_TRUE(is_decided(plan, plan.change_tai_s - 3));
  EXPECT_NE(leap_indicator_at(plan, {(plan.change_tai_s - 3) * ns_per_s}), 3U);
  EXPECT_EQ(leap_indicator_at(plan, {(plan.change_tai_s - 2) * ns_per_s}), 3U);
  EXPECT_FALSE(is_decided(LeapPlan{37, 0, 0}, july_1));
}

// A state that names `utc_s` with so many leap seconds.
ClockState state_at(std::int64_t utc_s, std::int32_t tai_minus_utc_s) {
  ClockState state{};
  state.tsc0 = 5'000'000'000;
  state.mult = mult_of(1.0);
  state.tsc_hz = ns_per_s;
  state.ntp0 = ntp_of_utc(utc_s * ns_per_s);
  state.tai_minus_utc_s = tai_minus_utc_s;
  return state;
}

TEST(ChangeLeftBehind, IsWhatTheTableLacks) {
  const LeapTable table = LeapTable::compiled();
  const std::int64_t later = july_1 + 3 * 86'400;
  EXPECT_FALSE(change_left_behind(state_at(later, 37), table)) << "both agree";
  EXPECT_FALSE(change_left_behind(state_at(later, 0), table)) << "it was not known";
  EXPECT_FALSE(change_left_behind(state_at(later, 39), table)) << "no day ends with two";
  EXPECT_FALSE(change_left_behind(ClockState{}, table));
  const auto added = change_left_behind(state_at(later, 38), table);
  ASSERT_TRUE(added);
  EXPECT_EQ(added->tai_minus_utc_s, 37);
  EXPECT_EQ(added->change_s, 1);
  EXPECT_EQ(added->change_tai_s, july_1 + 38) << "the newest day that may have ended with it";
  const auto removed = change_left_behind(state_at(december_31 + 60, 36), table);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->change_tai_s, december_31 + 60 + 36) << "the very midnight";
}

TEST(ChangeLeftBehind, IsNothingThatATableWhichIsNewerCannotLack) {
  // As IERS's file, but for the history, which is compiled in.
  const auto table_until = [](std::int64_t expires_utc_s) {
    std::string text = "#@ " + std::to_string(expires_utc_s + 2'208'988'800) + "\n";
    const LeapTable known = LeapTable::compiled();
    std::int64_t tai_s = utc_of({1972, 1, 1, 0, 0, 0}) + 10;
    text += std::to_string(utc_of({1972, 1, 1, 0, 0, 0}) + 2'208'988'800) + " 10\n";
    for (LeapPlan plan = known.plan_at(tai_s - 10); plan.change_s != 0; plan = known.plan_at(tai_s)) {
      tai_s = plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s;
      text += std::to_string(tai_s + 2'208'988'800) + " " +
              std::to_string(plan.tai_minus_utc_s + plan.change_s) + "\n";
    }
    std::string fault;
    const auto table = LeapTable::parse(text, fault);
    EXPECT_TRUE(table) << fault;
    return *table;
  };
  const ClockState before = state_at(july_1 + 3 * 86'400, 38);
  EXPECT_TRUE(change_left_behind(before, table_until(july_1 - 86'400)));
  EXPECT_FALSE(change_left_behind(before, table_until(july_1 + 180 * 86'400)));
}

TEST(ChangeLeftBehind, IsOfTheDayThatIsSmearedStill) {
  ClockState state = state_at(july_1 + 40'000, 38);
  const std::int64_t newer_s = july_1 + 38;
  state.smear.change_tai_s = newer_s;
  state.smear.change_s = 1;
  state.smear.tai_minus_utc_s = 37;
  const auto known = change_left_behind(state, LeapTable::compiled());
  ASSERT_TRUE(known);
  EXPECT_EQ(known->change_tai_s, newer_s);
  state.smear.change_tai_s = utc_of({2029, 1, 1, 0, 0, 0}) + 38;
  EXPECT_EQ(change_left_behind(state, LeapTable::compiled())->change_tai_s, july_1 + 38)
      << "what is still to come cannot be what was";
}

TEST(LearnedLeap, IsServedAndFollowedAsIfTheTableHadKnown) {
  LeapTable table = LeapTable::compiled();
  const LeapPlan plan{37, 1, july_1 + 38};
  EXPECT_FALSE(table.learn({36, 1, july_1 + 37})) << "it does not follow what is known";
  EXPECT_FALSE(table.learn({37, 1, july_1 + 37})) << "it ends no day";
  EXPECT_FALSE(table.learn({37, 1, utc_of({2016, 7, 1, 0, 0, 0}) + 38})) << "it is before the last one";
  ASSERT_TRUE(table.learn(plan));
  EXPECT_FALSE(table.learn(plan)) << "it is there already";
  EXPECT_EQ(table.plan_around(july_1 + 37).change_tai_s, plan.change_tai_s);
  EXPECT_EQ(table.plan_around(july_1 + 86'400).tai_minus_utc_s, 38);
  EXPECT_EQ(table.plan_at(july_1 - 1).tai_minus_utc_s, 37);
  EXPECT_EQ(table.plan_at(july_1).tai_minus_utc_s, 38);
  EXPECT_EQ(table.last_change(july_1 + 86'400).change_tai_s, plan.change_tai_s);
}

}  // namespace
}  // namespace hwclock
