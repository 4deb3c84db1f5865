#include "bench/dataplane/worker_rig.h"

#include <cstring>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <stdexcept>

#include "tests/support/frame_builder.h"

namespace bench {
namespace {

using tests::Octets;

Octets frame_of(Octets payload, dataplane::MacAddress server) {
  tests::FrameSpec spec;
  spec.payload = std::move(payload);
  Octets frame = spec.build();
  server.store(frame.data());
  return frame;
}

}  // namespace

dataplane::EalOptions eal_options() {
  dataplane::EalOptions options;
  options.hugepages = dataplane::free_hugepage_bytes() >= std::uint64_t{64} << 20;
  return options;
}

struct WorkerRig::Rings {
  rte_ring* receive = rte_ring_create("bench_receive", 2048, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  rte_ring* transmit = rte_ring_create("bench_transmit", 2048, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  std::unique_ptr<dataplane::Port> port;
};

WorkerRig::WorkerRig(const nts::siv::Kernels& tier)
    : pages_{settings_.get(), keys_.get(), clock_.get()},
      current_(&pages_),
      buffers_("bench", 1),
      rings_(std::make_unique<Rings>()) {
  const int id = rte_eth_from_rings("bench", &rings_->receive, 1, &rings_->transmit, 1, 0);
  if (id < 0) throw std::runtime_error("DPDK gives no ring port; see that librte-net-ring is installed");
  rings_->port =
      std::make_unique<dataplane::Port>(static_cast<std::uint16_t>(id), "bench", std::uint16_t{1}, buffers_);

  shm::Settings settings{};
  settings.revision = settings.device_count = settings.core_count = settings.address_count = 1;
  settings.answer_plain = settings.answer_nts = 1;
  settings.ntp_port = 123;
  settings.addresses[0] = tests::address_of(tests::server_ipv4);
  settings_->settings.publish(settings);
  keys_->ring.publish(tests::make_ring({{tests::usual_key_id, nts::KeyState::current}}, 1));
  hwclock::ClockState state{};
  state.tsc0 = rte_rdtsc();
  state.ntp0 = 0xee000000'00000000;
  state.tsc_hz = rte_get_tsc_hz();
  state.mult = static_cast<std::uint64_t>((static_cast<hwclock::Int128>(1) << 92) /
                                          static_cast<hwclock::Int128>(state.tsc_hz));
  state.valid_until = state.tsc0 + 3600 * state.tsc_hz;
  state.reference_ntp = state.ntp0;
  state.dispersion_rate_ppb = 15000;
  state.state = hwclock::State::locked;
  state.source = hwclock::Source::pps;
  state.stratum = 1;
  state.precision = -25;
  clock_->clock.publish(state);

  for (std::size_t client = 0; client < clients; ++client) {
    for (std::size_t load = 0; load < loads; ++load) {
      requests_[load].push_back(frame_of(request_of(static_cast<Load>(load), client), rings_->port->mac()));
    }
  }
  mbufs_.resize(buffers_in_use);
  if (rte_pktmbuf_alloc_bulk(buffers_.get(), mbufs_.data(), buffers_in_use) != 0) {
    throw std::runtime_error("no buffers for the benchmark");
  }
  worker_ = std::make_unique<dataplane::Worker>(dataplane::WorkerSetup{&tier,
                                                                       &current_,
                                                                       line_.get(),
                                                                       1,
                                                                       0,
                                                                       rte_get_tsc_hz(),
                                                                       {rings_->port->queue(0)},
                                                                       {},
                                                                       nts::gcm_siv::choose_tier()});
}

WorkerRig::~WorkerRig() {
  rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size()));
  worker_.reset();
  rings_->port.reset();
  rte_ring_free(rings_->receive);
  rte_ring_free(rings_->transmit);
}

void WorkerRig::lay_out(Load load) {
  const auto& frames = requests_[static_cast<std::size_t>(load)];
  for (std::size_t i = 0; i < mbufs_.size(); ++i) {
    const Octets& frame = frames[i % frames.size()];
    std::memcpy(rte_pktmbuf_mtod(mbufs_[i], void*), frame.data(), frame.size());
    mbufs_[i]->data_len = static_cast<std::uint16_t>(frame.size());
    mbufs_[i]->pkt_len = mbufs_[i]->data_len;
    mbufs_[i]->ol_flags = 0;
  }
}

void WorkerRig::serve(Load load, std::uint32_t burst, std::vector<double>& cycles_per_request) {
  std::array<std::uint64_t, nts::verdict_count> expected{};
  unsigned answers = 0;
  for (std::size_t i = 0; i < buffers_in_use; ++i) {
    const nts::Verdict verdict = verdict_of(load_of(load, i % clients));
    ++expected[static_cast<std::size_t>(verdict)];
    answers += nts::is_answered(verdict);
  }
  const auto before = worker_->counters().verdict;
  lay_out(load);
  for (std::uint32_t done = 0; done < buffers_in_use; done += burst) {
    rte_ring_enqueue_bulk(rings_->receive, reinterpret_cast<void**>(mbufs_.data() + done), burst, nullptr);
    watch_.start();
    worker_->serve_once();
    cycles_per_request.push_back(watch_.stop() / burst);
  }
  bool is_right = rte_ring_count(rings_->transmit) == answers;
  for (std::size_t v = 0; v < expected.size(); ++v) {
    is_right = is_right && worker_->counters().verdict[v] - before[v] == expected[v];
  }
  if (!is_right)
    throw std::runtime_error("the worker did not treat every request of the benchmark as it must");
  rte_ring_dequeue_bulk(rings_->transmit, reinterpret_cast<void**>(mbufs_.data()), answers, nullptr);
  // What was dropped went back to the pool: as many others for the next turn.
  if (answers != buffers_in_use &&
      rte_pktmbuf_alloc_bulk(buffers_.get(), mbufs_.data() + answers, buffers_in_use - answers) != 0) {
    throw std::runtime_error("no buffers for the benchmark");
  }
}

}  // namespace bench
