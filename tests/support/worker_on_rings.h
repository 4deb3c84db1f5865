// A Worker on a ring port whose pages the test fills: until it publishes keys and a clock there are none
// (served_worker.h has them all), and what is counted is read back from the stats page's line, as the control
// roles do. After every test the counters reconcile and every buffer is back in its pool.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <rte_cycles.h>
#include <rte_mempool.h>

#include "dataplane/worker.h"
#include "nts/wire.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"
#include "tests/support/ring_port.h"

namespace tests {

inline constexpr std::uint64_t instance_id = 0x1234;
inline constexpr std::size_t payload_offset = 14 + 20 + 8;

inline std::span<const std::uint8_t> payload_of(const Octets& frame) {
  return std::span(frame).subspan(payload_offset);
}
inline int leap_of(const Octets& frame) { return frame[payload_offset] >> 6; }
inline int stratum_of(const Octets& frame) { return frame[payload_offset + 1]; }
inline std::uint32_t refid_of(const Octets& frame) { return nts::load_u32(payload_of(frame).data() + 12); }
inline std::uint64_t receive_of(const Octets& frame) { return nts::load_u64(payload_of(frame).data() + 32); }
inline std::uint64_t transmit_of(const Octets& frame) { return nts::load_u64(payload_of(frame).data() + 40); }

inline FrameSpec with_payload(Octets payload) {
  FrameSpec spec;
  spec.payload = std::move(payload);
  return spec;
}

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

class WorkerOnRings : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!eal_trouble.empty()) GTEST_SKIP() << eal_trouble;
    free_buffers_ = rte_mempool_avail_count(shared_buffers().get());
    settings_.revision = 1;
    settings_.device_count = settings_.core_count = 1;
    settings_.ntp_port = 123;
    settings_.answer_plain = settings_.answer_nts = 1;
    settings_.address_count = 1;
    settings_.addresses[0] = address_of(server_ipv4);
    publish_settings();
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
    worker_ = std::make_unique<dataplane::Worker>(dataplane::WorkerSetup{
        &nettle_kernels(), &current_, &line_, instance_id, 0, rte_get_tsc_hz(), queues});
  }

  void publish_settings() {
    ++settings_.revision;
    settings_page_->settings.publish(settings_);
  }

  void publish_keys(std::uint64_t generation = 1) {
    const std::vector<RingEntry> entries = {{usual_key_id, nts::KeyState::current}};
    keys_page_->ring.publish(make_ring(entries, generation));
  }

  // Serves until the receive ring is empty, then commits.
  std::vector<Octets> serve() {
    while (worker_->serve_once()) {
    }
    expect_conservation();
    return rings_->take_transmitted();
  }

  // J15 and I1, on every burst of every test: each packet that came in has one verdict, those with an
  // answering one left again, and nothing more.
  void expect_conservation() {
    worker_->keep_house(rte_rdtsc());
    EXPECT_EQ(all_verdicts(), line_.received_packets.load()) << "J15";
    std::uint64_t answered = 0;
    for (std::size_t i = 0; i < nts::verdict_count; ++i) {
      if (nts::is_answered(static_cast<nts::Verdict>(i))) answered += line_.verdict[i].load();
    }
    EXPECT_EQ(answered, line_.sent_packets.load()) << "J15";
    EXPECT_LE(line_.sent_packets.load(), line_.received_packets.load()) << "I1";
    EXPECT_LE(line_.sent_octets.load(), line_.received_octets.load()) << "I1, J01";
  }

  Octets ask(const Octets& payload) {
    rings_->arrive(with_payload(payload));
    std::vector<Octets> answers = serve();
    return answers.size() == 1 ? answers.front() : Octets(payload_offset + 48, 0xff);
  }

  // Publishes what has been counted since the last housekeeping first.
  std::uint64_t counted(nts::Verdict verdict) {
    worker_->keep_house(rte_rdtsc());
    return line_.verdict[static_cast<std::size_t>(verdict)].load();
  }
  std::uint64_t counted(shm::FrameVerdict verdict) {
    worker_->keep_house(rte_rdtsc());
    return line_.frame[static_cast<std::size_t>(verdict)].load();
  }
  std::uint64_t all_verdicts() const {
    std::uint64_t sum = 0;
    for (const auto& counter : line_.frame) sum += counter.load();
    for (const auto& counter : line_.verdict) sum += counter.load();
    return sum;
  }

  shm::Settings settings_{};
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
