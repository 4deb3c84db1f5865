// A Worker on a ring port with everything it needs: settings, one key, a good clock. For tests whose question
// is about frames and buffers, not about pages.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <rte_cycles.h>
#include <rte_mempool.h>

#include "dataplane/worker.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_port.h"

namespace tests {

// Locked just now to a pulse, at stratum 1, corrected five seconds ago.
[[nodiscard]] inline hwclock::ClockState good_clock() {
  hwclock::ClockState state{};
  state.tsc0 = rte_rdtsc();
  state.ntp0 = 0xee000000'00000000;
  state.tsc_hz = rte_get_tsc_hz();
  state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) /
                                          static_cast<hwclock::Int128>(state.tsc_hz));
  state.valid_until = state.tsc0 + 1000 * state.tsc_hz;
  state.reference_ntp = state.ntp0 - (std::uint64_t{5} << 32);
  state.root_delay_ns = 1000;
  state.dispersion0_ns = 2000;
  state.dispersion_rate_ppb = 15000;
  state.state = hwclock::State::locked;
  state.source = hwclock::Source::pps;
  state.stratum = 1;
  state.reference_id = 0x50505300;  // "PPS"
  state.precision = -25;
  return state;
}

class ServedWorker : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!eal_trouble.empty()) GTEST_SKIP() << eal_trouble;
    free_buffers_ = rte_mempool_avail_count(shared_buffers().get());
    shm::Settings settings{};
    settings.revision = 1;
    settings.device_count = settings.core_count = 1;
    settings.ntp_port = 123;
    settings.answer_plain = settings.answer_nts = 1;
    settings.addresses[settings.address_count++] = address_of(server_ipv4);
    settings.addresses[settings.address_count++] = address_of(server_ipv6);
    settings_page_->settings.publish(settings);
    keys_page_->ring.publish(make_ring({{usual_key_id, nts::KeyState::current}}));
    clock_page_->clock.publish(good_clock());
    use_port();
  }

  void TearDown() override {
    if (worker_ != nullptr) expect_conservation();
    worker_.reset();
    rings_.reset();
    if (eal_trouble.empty()) {
      EXPECT_EQ(rte_mempool_avail_count(shared_buffers().get()), free_buffers_) << "I4: a buffer leaked";
    }
  }

  void use_port(unsigned transmit_frames = 1024) {
    worker_.reset();
    rings_ = std::make_unique<RingPort>(transmit_frames);
    make_worker(rings_->queues());
  }

  void make_worker(const std::vector<dataplane::Queue>& queues) {
    dataplane::WorkerSetup setup;
    setup.tier = &nettle_kernels();
    setup.pages = &current_;
    setup.line = &line_;
    setup.instance_id = 1;
    setup.tsc_hz = rte_get_tsc_hz();
    setup.queues = queues;
    worker_ = std::make_unique<dataplane::Worker>(setup);
  }

  // Serves until nothing comes any more, and returns what left.
  std::vector<Octets> serve() {
    while (worker_->serve_once()) {
    }
    expect_conservation();
    return rings_->take_transmitted();
  }

  // I6: whatever came before, the next good request is answered.
  void expect_serves() {
    rings_->arrive(request());
    const std::vector<Octets> answers = serve();
    ASSERT_EQ(answers.size(), 1U) << "I6";
    EXPECT_TRUE(is_sound(answers[0]));
  }

  // J15 and I1 between bursts.
  void expect_conservation() {
    const dataplane::Counters& counted = worker_->counters();
    EXPECT_EQ(counted.verdicts(), counted.received_packets) << "J15";
    std::uint64_t answered = 0;
    for (std::size_t i = 0; i < nts::verdict_count; ++i) {
      if (nts::is_answered(static_cast<nts::Verdict>(i))) answered += counted.verdict[i];
    }
    EXPECT_EQ(answered, counted.sent_packets) << "J15";
    EXPECT_LE(counted.sent_octets, counted.received_octets) << "I1, J01";
  }

  [[nodiscard]] std::uint64_t counted(nts::Verdict verdict) const {
    return worker_->counters().verdict[static_cast<std::size_t>(verdict)];
  }
  [[nodiscard]] std::uint64_t counted(shm::FrameVerdict verdict) const {
    return worker_->counters().frame[static_cast<std::size_t>(verdict)];
  }

  // A frame from the usual client, addressed to this port.
  [[nodiscard]] FrameSpec request(Octets payload = plain_request()) const {
    FrameSpec spec;
    spec.payload = std::move(payload);
    Octets eight(8);
    rings_->port().mac().store(eight.data());
    std::copy(eight.begin(), eight.begin() + 6, spec.to.begin());
    return spec;
  }

  std::unique_ptr<shm::SettingsPage> settings_page_ = std::make_unique<shm::SettingsPage>();
  std::unique_ptr<shm::KeysPage> keys_page_ = std::make_unique<shm::KeysPage>();
  std::unique_ptr<shm::ClockPage> clock_page_ = std::make_unique<shm::ClockPage>();
  dataplane::PageSet pages_{settings_page_.get(), keys_page_.get(), clock_page_.get()};
  dataplane::CurrentPages current_{&pages_};
  shm::CoreStats line_{};
  std::unique_ptr<RingPort> rings_;
  std::unique_ptr<dataplane::Worker> worker_;
  unsigned free_buffers_ = 0;
};

}  // namespace tests
