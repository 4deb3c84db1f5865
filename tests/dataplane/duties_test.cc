// Workers that hand their queues to each other: on rings, by themselves and under load.
#include "dataplane/duties.h"

#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <rte_cycles.h>
#include <rte_mempool.h>
#include <thread>

#include "dataplane/port/port.h"
#include "dataplane/worker.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_device.h"
#include "tests/support/ring_port.h"
#include "tests/support/served_worker.h"

namespace {

using dataplane::Duties;
using dataplane::Share;
using dataplane::Worker;

constexpr std::uint64_t instance_id = 0x1234;
constexpr auto patience = std::chrono::seconds(60);

// --- who is to hold what, without any worker

std::vector<std::uint32_t> holders(const Duties& duties) {
  std::vector<std::uint32_t> all;
  for (std::size_t owner = 0; owner < duties.shares().size(); ++owner) {
    for (std::uint32_t number = 0; number < duties.shares().size(); ++number) {
      if (duties.holds(number, owner)) all.push_back(number);
    }
  }
  return all;
}

TEST(DrainedWorkers, CountForTheirOwnDataplaneOnlyAndNeverAll) {
  shm::Settings settings{};
  settings.drained_instance = 5;
  settings.drained_workers = 0b101;
  EXPECT_EQ(dataplane::drained_workers(settings, 5, 4), 0b101U);
  EXPECT_EQ(dataplane::drained_workers(settings, 6, 4), 0U) << "asked of another dataplane";
  EXPECT_EQ(dataplane::drained_workers(settings, 5, 2), 0b01U) << "there is no third";
  EXPECT_EQ(dataplane::drained_workers(settings, 5, 1), 0U) << "the only one serves";
  settings.drained_workers = ~std::uint64_t{0};
  EXPECT_EQ(dataplane::drained_workers(settings, 5, 64), 0U);
}

TEST(Duties, AShareGoesToTheNextInServiceAndBack) {
  Duties duties(std::vector<Share>(4));
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 1, 2, 3}));
  duties.follow(0b0110);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 1, 2, 3})) << "the holder hands on, nobody else";
  duties.hand_on(1);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 3, 2, 3}));
  duties.hand_on(2);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 3, 3, 3}));
  duties.follow(0b1110);
  duties.hand_on(3);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 0, 0, 0}));
  duties.follow(0);
  duties.hand_on(0);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 1, 2, 3}));
}

TEST(Duties, NobodyRestsWhileItHoldsSomethingOrSomethingIsOnItsWay) {
  Duties duties(std::vector<Share>(3));
  duties.follow(0b010);
  EXPECT_FALSE(duties.begin_rest(1)) << "its own is not handed on yet";
  duties.hand_on(1);
  EXPECT_FALSE(duties.begin_rest(1)) << "until main has seen that";
  duties.follow(0b010);
  EXPECT_TRUE(duties.begin_rest(1));

  duties.follow(0b110);  // 2 hands both to 0, as 1 rests
  duties.follow(0b100);  // and 1 is wanted again meanwhile
  EXPECT_FALSE(duties.may_rest(1));
  duties.hand_on(2);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 0, 0})) << "1 has not said that it is awake";
  duties.follow(0b100);
  duties.hand_on(0);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 0, 0}));
  duties.end_rest(1);
  duties.follow(0b100);
  duties.hand_on(0);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 1, 0}));
}

// Main changes its mind while the share is on its way: it arrives first.
TEST(Duties, AShareOnItsWayArrivesBeforeItGoesElsewhere) {
  Duties duties(std::vector<Share>(3));
  duties.follow(0b001);  // 0's share to 1
  duties.follow(0b011);  // and 1 is drained before 0 has looked
  duties.hand_on(1);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{0, 2, 2}));
  duties.follow(0b011);
  EXPECT_FALSE(duties.may_rest(1)) << "0's share is on its way to it";
  duties.hand_on(0);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{1, 2, 2}));
  duties.follow(0b011);
  duties.hand_on(1);
  EXPECT_EQ(holders(duties), (std::vector<std::uint32_t>{2, 2, 2}));
  duties.follow(0b011);
  EXPECT_TRUE(duties.may_rest(0) && duties.may_rest(1));
}

// Whatever the operator wants in whatever order things happen: it comes true, and nobody who rests holds
// anything.
TEST(Duties, EveryWishComesTrueFromEveryState) {
  constexpr std::uint32_t workers = 4;
  std::mt19937 random(7);
  Duties duties{std::vector<Share>(workers)};
  std::array<bool, workers> rests{};
  const auto step = [&](std::uint32_t number) {
    if (rests[number]) {
      if (duties.may_rest(number)) return;
      rests[number] = false;
      duties.end_rest(number);
    }
    duties.hand_on(number);
    bool holds = false;
    for (std::size_t owner = 0; owner < workers; ++owner) holds |= duties.holds(number, owner);
    if (!holds) rests[number] = duties.begin_rest(number);
  };
  for (int wish = 0; wish < 20'000; ++wish) {
    const std::uint64_t drained = random() % 15;
    for (auto i = random() % 6; i > 0; --i) {
      if (random() % 2 == 0) duties.follow(drained);
      step(static_cast<std::uint32_t>(random() % workers));
      for (const std::uint32_t holder : holders(duties)) ASSERT_FALSE(rests[holder]);
    }
    if (random() % 4 != 0) continue;
    for (int round = 0; round < 8; ++round) {
      duties.follow(drained);
      for (std::uint32_t number = 0; number < workers; ++number) step(number);
    }
    for (std::uint32_t number = 0; number < workers; ++number) {
      ASSERT_EQ(rests[number], (drained >> number & 1) != 0) << drained;
    }
    for (std::uint32_t owner = 0; owner < workers; ++owner) {
      const bool is_drained = (drained >> owner & 1) != 0;
      ASSERT_NE(duties.holds(owner, owner), is_drained);
    }
  }
}

// --- two workers on the two queues of one port

class TwoWorkers : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::eal_trouble.empty()) GTEST_SKIP() << tests::eal_trouble;
    free_buffers_ = rte_mempool_avail_count(tests::shared_buffers().get());
    shm::Settings settings{};
    settings.revision = 1;
    settings.device_count = 1;
    settings.core_count = 2;
    settings.ntp_port = 123;
    settings.answer_plain = settings.answer_nts = 1;
    settings.addresses[settings.address_count++] = tests::address_of(tests::server_ipv4);
    settings_page_->settings.publish(settings);
    publish_keys(1);
    clock_page_->clock.publish(tests::good_clock());

    device_ = std::make_unique<tests::RingDevice>(2);
    port_ = std::make_unique<dataplane::Port>(device_->port_id(), "two-workers", 2, tests::shared_buffers());
    std::vector<Share> shares(2);
    for (std::uint16_t i = 0; i < 2; ++i) {
      shares[i].queues.push_back(port_->queue(i));
      shares[i].devices.push_back(0);
    }
    duties_ = std::make_unique<Duties>(std::move(shares));
    for (std::uint32_t i = 0; i < 2; ++i) {
      dataplane::WorkerSetup setup;
      setup.tier = &tests::nettle_kernels();
      setup.pages = &current_;
      setup.line = &lines_[i];
      setup.instance_id = instance_id;
      setup.tsc_hz = rte_get_tsc_hz();
      setup.duties = duties_.get();
      setup.number = i;
      workers_.push_back(std::make_unique<Worker>(setup));
    }
  }

  void TearDown() override {
    workers_.clear();
    port_.reset();
    device_.reset();
    if (tests::eal_trouble.empty()) {
      EXPECT_EQ(rte_mempool_avail_count(tests::shared_buffers().get()), free_buffers_)
          << "I4: a buffer leaked";
    }
  }

  void publish_keys(std::uint64_t generation) {
    keys_page_->ring.publish(tests::make_ring({{tests::usual_key_id, nts::KeyState::current}}, generation));
  }

  void arrive(std::uint16_t queue, tests::Octets payload = tests::plain_request()) {
    tests::FrameSpec spec;
    spec.payload = std::move(payload);
    tests::Octets frame = spec.build();
    port_->mac().store(frame.data());
    device_->arrive(queue, frame);
  }

  std::uint64_t answered(std::uint16_t queue) {
    std::uint64_t frames = 0;
    for (const tests::Octets& frame : device_->take(queue)) {
      EXPECT_TRUE(tests::is_sound(frame));
      ++frames;
    }
    return frames;
  }

  // Every packet that came in anywhere has one verdict on the line of whoever served it.
  void expect_reconciled(std::uint64_t arrived) {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      workers_[i]->keep_house(rte_rdtsc());
      EXPECT_EQ(workers_[i]->counters().verdicts(), lines_[i].received_packets.load()) << "J15";
      received += lines_[i].received_packets.load();
      sent += lines_[i].sent_packets.load();
    }
    EXPECT_EQ(received, arrived);
    EXPECT_EQ(sent, arrived);
  }

  std::unique_ptr<shm::SettingsPage> settings_page_ = std::make_unique<shm::SettingsPage>();
  std::unique_ptr<shm::KeysPage> keys_page_ = std::make_unique<shm::KeysPage>();
  std::unique_ptr<shm::ClockPage> clock_page_ = std::make_unique<shm::ClockPage>();
  dataplane::PageSet pages_{settings_page_.get(), keys_page_.get(), clock_page_.get()};
  dataplane::CurrentPages current_{&pages_};
  std::array<shm::CoreStats, 2> lines_{};
  std::unique_ptr<tests::RingDevice> device_;
  std::unique_ptr<dataplane::Port> port_;
  std::unique_ptr<Duties> duties_;
  std::vector<std::unique_ptr<Worker>> workers_;
  unsigned free_buffers_ = 0;
};

TEST_F(TwoWorkers, TheOtherOneServesWhatADrainedOneBroughtAndItsCountersStay) {
  arrive(1);
  EXPECT_FALSE(workers_[0]->serve_once()) << "not its queue";
  EXPECT_TRUE(workers_[1]->serve_once());
  EXPECT_EQ(answered(1), 1U);
  EXPECT_EQ(lines_[1].queues.load(), 1U);

  duties_->follow(0b10);
  arrive(1);
  workers_[1]->serve_once();
  EXPECT_EQ(device_->waiting(1), 1U) << "handed on before the next look";
  EXPECT_TRUE(workers_[0]->serve_once());
  EXPECT_EQ(answered(1), 1U);
  EXPECT_EQ(lines_[0].queues.load(), 2U);
  EXPECT_EQ(lines_[1].is_drained.load(), 0U) << "not before main has seen it";
  duties_->follow(0b10);
  workers_[1]->serve_once();
  EXPECT_TRUE(workers_[1]->is_resting());
  EXPECT_EQ(lines_[1].is_drained.load(), 1U);
  EXPECT_EQ(lines_[1].queues.load(), 0U);

  arrive(0);
  arrive(1);
  EXPECT_FALSE(workers_[1]->serve_once());
  EXPECT_TRUE(workers_[0]->serve_once());
  EXPECT_EQ(answered(0) + answered(1), 2U);
  expect_reconciled(4);
  EXPECT_EQ(lines_[1].received_packets.load(), 1U);
  EXPECT_EQ(lines_[0].received_packets.load(), 3U);
}

// The keeper did not wait for it: so it has the ring before it says that it can be given a queue.
TEST_F(TwoWorkers, ADrainedOneHasTheCurrentKeysBeforeItServesAgain) {
  for (int look = 0; look < 3; ++look) {
    duties_->follow(0b10);
    for (auto& worker : workers_) worker->serve_once();
  }
  ASSERT_TRUE(workers_[1]->is_resting());
  EXPECT_EQ(lines_[1].acknowledged_keys.load(), 1U);
  publish_keys(2);  // and it sleeps on
  duties_->follow(0);
  workers_[0]->serve_once();
  EXPECT_FALSE(duties_->holds(1, 1)) << "it has not woken yet";
  workers_[1]->serve_once();
  EXPECT_FALSE(duties_->holds(1, 1));
  EXPECT_EQ(lines_[1].is_drained.load(), 0U);
  EXPECT_EQ(lines_[1].acknowledged_keys.load(), 2U);
  duties_->follow(0);
  workers_[0]->serve_once();
  EXPECT_TRUE(duties_->holds(1, 1));
  arrive(1, tests::nts_request());
  EXPECT_FALSE(workers_[0]->serve_once());
  EXPECT_TRUE(workers_[1]->serve_once());
  EXPECT_EQ(lines_[1].queues.load(), 1U);
  EXPECT_EQ(answered(1), 1U);
  EXPECT_EQ(workers_[1]->counters().verdict[static_cast<std::size_t>(nts::Verdict::answer_nts)], 1U);
}

// A write in progress says nothing, and the one before it may be the one that the keeper did not wait for.
TEST_F(TwoWorkers, ADrainedOneSleepsOnWhileItCannotReadTheKeysPage) {
  for (int look = 0; look < 3; ++look) {
    duties_->follow(0b10);
    for (auto& worker : workers_) worker->serve_once();
  }
  ASSERT_TRUE(workers_[1]->is_resting());
  publish_keys(2);  // and it sleeps on
  auto& torn = reinterpret_cast<std::atomic<std::uint64_t>&>(keys_page_->ring);
  torn.fetch_add(1);
  for (int look = 0; look < 3; ++look) {
    duties_->follow(0);
    for (auto& worker : workers_) worker->serve_once();
    ASSERT_TRUE(workers_[1]->is_resting());
    ASSERT_EQ(lines_[1].is_drained.load(), 1U) << "the keeper need not wait for it";
    ASSERT_TRUE(duties_->holds(0, 1)) << "and the other one serves on";
  }
  publish_keys(3);
  for (int look = 0; look < 3; ++look) {
    duties_->follow(0);
    for (auto& worker : workers_) worker->serve_once();
  }
  EXPECT_EQ(lines_[1].is_drained.load(), 0U);
  EXPECT_EQ(lines_[1].acknowledged_keys.load(), 3U);
  EXPECT_TRUE(duties_->holds(1, 1));
}

TEST_F(TwoWorkers, NothingIsLostWhileCoresAreDrainedAndPutBackUnderLoad) {
  constexpr std::uint64_t wanted = 40'000;
  constexpr std::uint64_t under_way_max = 400;  // of each queue: the rings never fill, so nothing may be lost
  std::atomic<bool> stop{false};
  std::vector<std::thread> cores;
  for (auto& worker : workers_) cores.emplace_back([&] { worker->run(stop); });
  std::array<std::uint64_t, 2> arrived{};
  std::array<std::uint64_t, 2> left{};
  std::array<int, 2> times_drained{};
  std::uint64_t drained = 0;
  const auto until = std::chrono::steady_clock::now() + patience;
  // However long the frames take, both have to have been drained meanwhile.
  const auto is_enough = [&] {
    return arrived[0] + arrived[1] >= wanted && times_drained[0] != 0 && times_drained[1] != 0;
  };
  while (!(is_enough() && arrived == left) && std::chrono::steady_clock::now() < until) {
    for (std::uint16_t queue = 0; queue < 2; ++queue) {
      left[queue] += answered(queue);
      for (int i = 0; i < 20 && arrived[queue] - left[queue] < under_way_max; ++i) {
        if (is_enough()) break;
        arrive(queue, i % 5 == 0 ? tests::nts_request() : tests::plain_request());
        ++arrived[queue];
      }
    }
    duties_->follow(drained);
    // Once it is as the operator wants it, he wants something else: 0, 1 or neither drained.
    const bool is_so = (drained != 1 || lines_[0].is_drained.load() == 1) &&
                       (drained != 2 || lines_[1].is_drained.load() == 1) &&
                       (drained != 0 || (duties_->holds(0, 0) && duties_->holds(1, 1)));
    if (!is_so) continue;
    if (drained != 0) ++times_drained[drained - 1];
    drained = (drained + 1) % 3;
  }
  stop = true;
  for (std::thread& core : cores) core.join();
  EXPECT_EQ(arrived, left);
  EXPECT_GE(arrived[0] + arrived[1], wanted);
  EXPECT_GT(times_drained[0], 0);
  EXPECT_GT(times_drained[1], 0);
  expect_reconciled(arrived[0] + arrived[1]);
}

}  // namespace
