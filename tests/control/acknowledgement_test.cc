// Who has loaded the ring, read from a stats page that nobody vouches for.

#include "control/acknowledgement.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "tests/control/played_dataplane.h"

namespace control {
namespace {

using tests::PlayedDataplane;

class AcknowledgementTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(scratch_.path() / "dataplane"); }
  AcknowledgementReport look(std::uint64_t generation) { return watch_.look(generation); }

  tests::Scratch scratch_;
  AcknowledgementWatch watch_{scratch_.path(), ::geteuid()};
};

TEST_F(AcknowledgementTest, WithoutAPageNobodyIsMissing) {
  EXPECT_EQ(look(1).acknowledged, Acknowledged::not_running);
}

TEST_F(AcknowledgementTest, EveryCoreCountsAndTheFirstSilentOneIsNamed) {
  PlayedDataplane dataplane(scratch_.path(), 3);
  dataplane.acknowledge(5);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::by_all);
  for (const std::uint32_t core : {0U, 1U, 2U}) {
    dataplane.acknowledge(5);
    dataplane->cores[core].acknowledged_keys = 4;
    const AcknowledgementReport report = look(5);
    EXPECT_EQ(report.acknowledged, Acknowledged::missing);
    EXPECT_EQ(report.core, core);
  }
}

TEST_F(AcknowledgementTest, ADrainedCoreIsNotWaitedForAndCountsAgainOnceItServes) {
  PlayedDataplane dataplane(scratch_.path(), 3);
  dataplane.acknowledge(5);
  dataplane->cores[1].is_drained = 1;
  dataplane->cores[1].acknowledged_keys = 4;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::by_all);
  dataplane->cores[2].acknowledged_keys = 4;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
  EXPECT_EQ(look(5).core, 2U) << "it serves";
  dataplane->cores[2].acknowledged_keys = 5;
  dataplane->cores[1].is_drained = 0;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
  EXPECT_EQ(look(5).core, 1U);
}

TEST_F(AcknowledgementTest, ADrainedCoreOfAnotherInstanceIsMissing) {
  PlayedDataplane dataplane(scratch_.path(), 2);
  dataplane.acknowledge(5);
  dataplane->cores[1].is_drained = 1;
  dataplane->cores[1].instance_id = dataplane->instance_id + 1;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
}

TEST_F(AcknowledgementTest, G14_AnythingButOneIsNotDrained) {
  PlayedDataplane dataplane(scratch_.path(), 1);
  dataplane->cores[0].is_drained = 2;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
}

TEST_F(AcknowledgementTest, OnlyTheGenerationThatIsPublishedCounts) {
  PlayedDataplane dataplane(scratch_.path(), 1);
  dataplane.acknowledge(5);
  EXPECT_EQ(look(6).acknowledged, Acknowledged::missing);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::by_all);
  EXPECT_EQ(look(4).acknowledged, Acknowledged::missing) << "5 was of a page that is gone";
}

TEST_F(AcknowledgementTest, ALineOfAnotherInstanceInheritsNothing) {
  PlayedDataplane dataplane(scratch_.path(), 2);
  dataplane.acknowledge(5);
  dataplane->cores[1].instance_id = dataplane->instance_id + 1;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
  EXPECT_EQ(look(5).core, 1U);
}

TEST_F(AcknowledgementTest, AStoppedDataplaneIsNotWaitedFor) {
  PlayedDataplane dataplane(scratch_.path(), 1);
  ASSERT_EQ(look(5).acknowledged, Acknowledged::missing);
  dataplane->serving = 0;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::not_running) << "stopped cleanly";
  dataplane->serving = 1;
  dataplane->instance_id = 0;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::not_running) << "never ran";
}

TEST_F(AcknowledgementTest, AKilledDataplaneIsNotWaitedForEvenUncollected) {
  PlayedDataplane dataplane(scratch_.path(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  dataplane->pid = static_cast<std::uint64_t>(child);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
  ::kill(child, SIGKILL);
  siginfo_t died{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &died, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::not_running) << "a zombie serves nobody";
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::not_running);
}

TEST_F(AcknowledgementTest, AProcessIdThatSomebodyElseHasNowIsADeadDataplanes) {
  if (::geteuid() != 0) GTEST_SKIP() << "another uid needs root";
  PlayedDataplane dataplane(scratch_.path(), 1);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(62105, 62105, 62105) == 0) ::kill(::getpid(), SIGSTOP);
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, WUNTRACED), child);
  dataplane->pid = static_cast<std::uint64_t>(child);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::not_running);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(AcknowledgementTest, G14_NonsenseInThePageIsNotBelieved) {
  PlayedDataplane dataplane(scratch_.path(), 1);
  dataplane->core_count = ~0ULL;
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing) << "64 lines at most are read, and most are empty";
  for (const std::uint64_t pid : {0ULL, 0x80000000ULL, ~0ULL, ~0ULL - 1}) {
    dataplane->pid = pid;
    EXPECT_EQ(look(5).acknowledged, Acknowledged::not_running) << pid;
  }
}

TEST_F(AcknowledgementTest, APageThatIsReplacedIsFollowed) {
  {
    PlayedDataplane dataplane(scratch_.path(), 1);
    dataplane.acknowledge(5);
    EXPECT_EQ(look(5).acknowledged, Acknowledged::by_all);
  }
  std::filesystem::remove(shm::page_path(scratch_.path(), shm::PageKind::stats));
  PlayedDataplane next(scratch_.path(), 1);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::missing);
  next.acknowledge(5);
  EXPECT_EQ(look(5).acknowledged, Acknowledged::by_all);
}

TEST_F(AcknowledgementTest, APageOfAnotherUidIsNoDataplanes) {
  PlayedDataplane dataplane(scratch_.path(), 1);
  AcknowledgementWatch other(scratch_.path(), ::geteuid() + 1);
  EXPECT_EQ(other.look(5).acknowledged, Acknowledged::not_running);
}

}  // namespace
}  // namespace control
