// Which cores may be taken out of service, judged from a stats page that nobody vouches for.

#include "control/drain.h"

#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <sys/wait.h>
#include <unistd.h>

namespace control {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t instance = 77;

std::unique_ptr<shm::StatsPage> page_with(const std::vector<std::uint32_t>& cpus) {
  auto page = std::make_unique<shm::StatsPage>();
  page->instance_id = instance;
  page->pid = static_cast<std::uint64_t>(::getpid());
  page->serving = 1;
  page->core_count = cpus.size();
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    page->cores[i].cpu = cpus[i];
    page->cores[i].queues = 1;
  }
  page->ports[0].report.queues = static_cast<std::uint16_t>(cpus.size());
  return page;
}

DrainPlan plan(const shm::StatsPage& page, const shm::Settings& published, std::uint32_t cpu,
               bool is_drained) {
  return plan_drain(&page, ::geteuid(), published, cpu, is_drained);
}

TEST(PlanDrain, SpeaksOfTheWorkerByItsNumber) {
  const auto page = page_with({2, 9, 4});
  shm::Settings published{};
  const DrainPlan first = plan(*page, published, 9, true);
  EXPECT_EQ(first.fault, "");
  EXPECT_EQ(first.core, 1U);
  EXPECT_EQ(first.drained_instance, instance);
  EXPECT_EQ(first.drained_workers, 2U);

  published.drained_instance = instance;
  published.drained_workers = first.drained_workers;
  EXPECT_EQ(plan(*page, published, 4, true).drained_workers, 6U);
  EXPECT_EQ(plan(*page, published, 9, true).drained_workers, 2U) << "as it is";
  EXPECT_EQ(plan(*page, published, 9, false).drained_workers, 0U);
  EXPECT_EQ(plan(*page, published, 2, false).drained_workers, 2U) << "as it is";
}

TEST(PlanDrain, TheLastOneInServiceStays) {
  const auto page = page_with({2, 9});
  shm::Settings published{};
  published.drained_instance = instance;
  published.drained_workers = 2;
  EXPECT_THAT(plan(*page, published, 2, true).fault, HasSubstr("CPU 2 is the last core in service"));
  EXPECT_THAT(plan(*page_with({2}), {}, 2, true).fault, HasSubstr("last core"));
  EXPECT_EQ(plan(*page, published, 9, false).fault, "");
}

TEST(PlanDrain, WhatWasAskedOfAnotherDataplaneIsForgotten) {
  const auto page = page_with({2, 9});
  shm::Settings published{};
  published.drained_instance = instance + 1;
  published.drained_workers = 2;
  const DrainPlan fresh = plan(*page, published, 2, true);
  EXPECT_EQ(fresh.fault, "");
  EXPECT_EQ(fresh.drained_workers, 1U);
}

TEST(PlanDrain, AnUnknownCoreIsAnsweredWithTheKnownOnes) {
  EXPECT_EQ(plan(*page_with({2, 9}), {}, 3, true).fault, "CPU 3 is no core of the dataplane; it has 2, 9");
}

TEST(PlanDrain, WithoutADataplaneThereIsNothingToDrain) {
  EXPECT_THAT(plan_drain(nullptr, ::geteuid(), {}, 2, true).fault, HasSubstr("no dataplane serves"));
  const auto page = page_with({2, 9});
  page->serving = 0;
  EXPECT_THAT(plan(*page, {}, 2, true).fault, HasSubstr("no dataplane serves"));
}

TEST(PlanDrain, G14_ACountBeyondAllCoresIsBounded) {
  const auto page = page_with({2, 9});
  page->core_count = ~std::uint64_t{0};
  EXPECT_EQ(plan(*page, {}, 9, true).drained_workers, 2U);
  shm::Settings published{};
  published.drained_instance = instance;
  published.drained_workers = ~std::uint64_t{0};
  EXPECT_THAT(plan(*page, published, 9, true).fault, HasSubstr("last core"));
}

TEST(DrainIsDone, NeverByADataplaneThatHasEndedAndThatIsSaid) {
  const auto page = page_with({2, 9});
  const DrainPlan wanted = plan(*page, {}, 9, true);
  EXPECT_EQ(why_never(*page, ::geteuid(), wanted), "") << "it only takes its time";
  page->instance_id = instance + 1;
  EXPECT_THAT(why_never(*page, ::geteuid(), wanted), HasSubstr("another one serves"));
  page->instance_id = instance;
  const pid_t gone = ::fork();
  if (gone == 0) ::pause();
  page->pid = static_cast<std::uint64_t>(gone);
  EXPECT_EQ(why_never(*page, ::geteuid(), wanted), "");
  ASSERT_EQ(::kill(gone, SIGKILL), 0);
  siginfo_t ended;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(gone), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(why_never(*page, ::geteuid(), wanted), HasSubstr("nobody serves"))
      << "nobody has collected it yet";
  ASSERT_EQ(::waitpid(gone, nullptr, 0), gone);
  EXPECT_THAT(why_never(*page, ::geteuid(), wanted), HasSubstr("nobody serves"));
}

TEST(DrainIsDone, WhenTheDataplaneSaysSo) {
  const auto page = page_with({2, 9});
  const DrainPlan wanted = plan(*page, {}, 9, true);
  EXPECT_FALSE(is_done(*page, wanted, true));
  page->cores[1].is_drained = 1;
  page->cores[1].queues = 0;
  EXPECT_FALSE(is_done(*page, wanted, true)) << "its queue is on its way to the other one";
  page->cores[0].queues = 2;
  EXPECT_TRUE(is_done(*page, wanted, true));
  EXPECT_FALSE(is_done(*page, wanted, false));
  page->cores[1].is_drained = 0;
  EXPECT_FALSE(is_done(*page, wanted, false)) << "awake, and without a queue yet";
  page->cores[1].queues = 1;
  EXPECT_FALSE(is_done(*page, wanted, false)) << "the other one still says that it polls it";
  page->cores[0].queues = 1;
  EXPECT_TRUE(is_done(*page, wanted, false));
  page->ports[0].report.queues = 4;
  EXPECT_TRUE(is_done(*page, wanted, false)) << "nobody polls queues beyond the cores";
  page->instance_id = instance + 1;
  EXPECT_FALSE(is_done(*page, wanted, false)) << "another dataplane";
}

}  // namespace
}  // namespace control
