// Leap seconds from a list, from a receiver, and as compiled in.

#include "hwclock/leap_table.h"

#include <gtest/gtest.h>
#include <string>

namespace hwclock {
namespace {

constexpr std::int64_t utc_2017 = 1'483'228'800;
constexpr std::int64_t posix_minus_ntp_s = 2'208'988'800;
constexpr std::int64_t utc_2029_07 = 1'877'558'400;  // 2029-07-01

// The compiled table as a list, with more behind it.
std::string list(const std::string& more = "", std::int64_t expires_utc_s = 1'900'000'000) {
  const LeapTable table = LeapTable::compiled();
  std::string text = "#\tmade up for a test\n#$\t3960835200\n#@\t" +
                     std::to_string(expires_utc_s + posix_minus_ntp_s) + "\n";
  std::int64_t at_utc_s = 63'072'000;  // 1972-01-01
  while (true) {
    const LeapPlan plan = table.plan_at(at_utc_s);
    text += std::to_string(at_utc_s + posix_minus_ntp_s) + "\t" + std::to_string(plan.tai_minus_utc_s) +
            "\t# a day\n";
    if (plan.change_s == 0) break;
    at_utc_s = plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s;
  }
  return text + more;
}

TEST(LeapTable, AListGivesWhatIsCompiledInAndItsExpiry) {
  std::string fault;
  const auto table = LeapTable::parse(list(), fault);
  ASSERT_TRUE(table) << fault;
  EXPECT_EQ(table->size(), 28U);
  EXPECT_EQ(table->expires_utc_s(), 1'900'000'000);
  EXPECT_EQ(table->plan_at(utc_2017).tai_minus_utc_s, 37);
}

TEST(LeapTable, AListMayKnowMoreInsertionsAndDeletions) {
  std::string fault;
  const std::string ntp_s = std::to_string(utc_2029_07 + posix_minus_ntp_s);
  const auto inserted = LeapTable::parse(list(ntp_s + " 38\n"), fault);
  ASSERT_TRUE(inserted) << fault;
  EXPECT_EQ(inserted->plan_at(utc_2029_07 - 1).change_s, 1);
  EXPECT_EQ(inserted->plan_at(utc_2029_07 - 1).change_tai_s, utc_2029_07 + 38);
  const auto deleted = LeapTable::parse(list(ntp_s + " 36 # a first\n"), fault);
  ASSERT_TRUE(deleted) << fault;
  EXPECT_EQ(deleted->plan_at(utc_2029_07 - 1).change_s, -1);
  EXPECT_EQ(deleted->plan_at(utc_2029_07 - 1).change_tai_s, utc_2029_07 + 36);
  EXPECT_EQ(deleted->plan_at(utc_2029_07).tai_minus_utc_s, 36);
}

TEST(LeapTable, I09_AListThatIsWrongIsRefusedWithItsLine) {
  const std::string ntp_s = std::to_string(utc_2029_07 + posix_minus_ntp_s);
  for (const std::string& more :
       {ntp_s + " 39\n", ntp_s + "\n", ntp_s + " x\n", ntp_s + " 38 38\n", std::string("38\n"),
        ntp_s + " 38\n" + ntp_s + " 39\n", std::to_string(utc_2029_07 + posix_minus_ntp_s + 1) + " 38\n",
        ntp_s + " -38\n", std::string("99999999999999999999 38\n"), std::string("#@ soon\n")}) {
    std::string fault;
    EXPECT_FALSE(LeapTable::parse(list(more), fault)) << more;
    EXPECT_NE(fault.find("line 3"), std::string::npos) << more << fault;
  }
}

TEST(LeapTable, AListWithAnotherPastIsRefused) {
  std::string fault;
  EXPECT_FALSE(LeapTable::parse("", fault));
  EXPECT_FALSE(LeapTable::parse("# nothing\n", fault));
  std::string other = list();
  const std::size_t place = other.find("\t20\t");
  ASSERT_NE(place, std::string::npos);
  other.erase(other.rfind('\n', place) + 1, other.find('\n', place) - other.rfind('\n', place));
  EXPECT_FALSE(LeapTable::parse(other, fault)) << "one is missing";
  EXPECT_FALSE(fault.empty());
}

TEST(LeapTable, TheListOfThisMachineIsRead) {
  std::string text;
  if (FILE* file = std::fopen("/usr/share/zoneinfo/leap-seconds.list", "r")) {
    char room[65536];
    text.assign(room, std::fread(room, 1, sizeof room, file));
    std::fclose(file);
  }
  if (text.empty()) GTEST_SKIP() << "no /usr/share/zoneinfo/leap-seconds.list here; install tzdata";
  std::string fault;
  const auto table = LeapTable::parse(text, fault);
  ASSERT_TRUE(table) << fault;
  EXPECT_GE(table->size(), 28U);
  EXPECT_NE(table->expires_utc_s(), 0);
}

TEST(LeapTable, I09_AroundAChangeThePlanStandsUntilItIsOver) {
  const LeapTable table = LeapTable::compiled();
  const std::int64_t change_tai_s = utc_2017 + 37;
  for (std::int64_t tai_s = change_tai_s - 100; tai_s < change_tai_s + 10; ++tai_s) {
    const LeapPlan plan = table.plan_around(tai_s);
    ASSERT_EQ(plan.tai_minus_utc_s, 36) << tai_s - change_tai_s;
    ASSERT_EQ(plan.change_tai_s, change_tai_s);
  }
  EXPECT_EQ(table.plan_around(change_tai_s + 10).tai_minus_utc_s, 37);
  EXPECT_EQ(table.plan_around(change_tai_s + 10).change_s, 0);
}

// A table that is three years old goes on telling what it knows; that it is old is the caller's to say.
TEST(LeapTable, S10_AnExpiredListStillNamesEverySecond) {
  std::string fault;
  const auto expired = LeapTable::parse(list("", utc_2029_07 - 3 * 365 * 86'400), fault);
  ASSERT_TRUE(expired) << fault;
  EXPECT_LT(expired->expires_utc_s(), utc_2029_07);
  EXPECT_EQ(expired->plan_around(utc_2029_07 + 37).tai_minus_utc_s, 37);
  EXPECT_EQ(expired->plan_around(utc_2029_07 + 37).change_s, 0);
}

TEST(LeapTable, S10_AReceiverThatDisagreesWithTheTableIsBelieved) {
  const LeapPlan table{37, 0, 0};
  EXPECT_EQ(better_plan(table, std::nullopt).tai_minus_utc_s, 37);
  // It announces what the table does not know.
  const LeapPlan announced{37, 1, utc_2029_07 + 38};
  EXPECT_EQ(better_plan(table, announced).change_s, 1);
  EXPECT_EQ(better_plan({37, 0, 0}, LeapPlan{38, 0, 0}).tai_minus_utc_s, 38) << "the table is too old";
  EXPECT_EQ(better_plan(announced, LeapPlan{37, -1, utc_2029_07 + 36}).change_s, -1) << "it takes one away";
  // The table's change has come, and the receiver says the new offset: the plan that steps stands.
  EXPECT_EQ(better_plan(announced, LeapPlan{38, 0, 0}).change_s, 1);
  EXPECT_EQ(better_plan(announced, LeapPlan{38, 0, 0}).tai_minus_utc_s, 37);
}

TEST(LeapTable, I09_WhatAReceiverAnnouncesIsAPlanAtTheEndOfJuneOrDecember) {
  const std::int64_t before_s = 3 * 86'400 + 5;
  const UbxLeap leap{true, 18, true, 1, static_cast<std::int32_t>(before_s)};
  const auto plan = leap_plan_of(leap, utc_2029_07 - before_s);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->tai_minus_utc_s, 37);
  EXPECT_EQ(plan->change_s, 1);
  EXPECT_EQ(plan->change_tai_s, utc_2029_07 + 38);
  const std::int64_t march_s = utc_2029_07 - 91 * 86'400;  // 2029-04-01
  const auto bogus = leap_plan_of(leap, march_s - before_s);
  ASSERT_TRUE(bogus);
  EXPECT_EQ(bogus->change_s, 0) << "no leap second ever ended March";
  EXPECT_FALSE(leap_plan_of({false, 18, true, 1, 100}, utc_2029_07)) << "the receiver does not know it";
  EXPECT_EQ(leap_plan_of({true, 18, true, 1, -3}, utc_2029_07)->change_s, 0) << "it is over";
}

}  // namespace
}  // namespace hwclock
