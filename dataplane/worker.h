// One worker: one core, its own queues, its own everything. The packet path is serve_burst, whole.
//
// Nothing is allocated, locked or waited for after construction. What changes while it runs comes through
// the pages: between publications each refresh costs one load. Counters go out about once a millisecond, at
// work or idle, together with the acknowledged key ring and a sign of life.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/departure.h"
#include "dataplane/frame.h"
#include "dataplane/page_set.h"
#include "dataplane/port/port.h"
#include "dataplane/random_pool.h"
#include "dataplane/served_clock.h"
#include "dataplane/served_keys.h"
#include "dataplane/service.h"
#include "dataplane/stats.h"
#include "nts/batch.h"
#include "nts/server.h"

namespace dataplane {

struct WorkerSetup {
  const nts::siv::Kernels* tier = nullptr;  // self-tested
  const CurrentPages* pages = nullptr;      // never holds null
  shm::CoreStats* line = nullptr;           // this core's, in the stats page
  std::uint64_t instance_id = 0;
  std::uint32_t cpu = 0;
  std::uint64_t tsc_hz = 0;
  std::vector<Queue> queues;  // this core's, one for each port that has one for it
};

class alignas(64) Worker {
 public:
  // Reads the pages that are there: keys are acknowledged before the first packet.
  explicit Worker(const WorkerSetup& setup);

  // Polls until `stop`. Called on the worker's own core.
  void run(const std::atomic<bool>& stop) noexcept;

  // One look at each queue, and the housekeeping when it is due. Returns true when there was work.
  bool serve_once() noexcept;

  // Refreshes all pages, then publishes counters, acknowledgement and sign of life.
  void keep_house(std::uint64_t now_tsc) noexcept;

  // The pages this worker reads: older ones it will never touch again.
  [[nodiscard]] const PageSet* pages_in_use() const noexcept {
    return in_use_.load(std::memory_order_acquire);
  }
  // Between bursts only.
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  bool serve_burst(const Queue& queue) noexcept;
  void refresh() noexcept;
  void unwrap_all(const Queue& queue, nts::NtpTime received) noexcept;
  void wrap_all(const Queue& queue) noexcept;
  void transmit(const Queue& queue) noexcept;
  void refuse(rte_mbuf* mbuf) noexcept { refused_[refused_count_++] = mbuf; }

  // What a burst is worked on. Row i of the batch is request i; answer i of the burst came from row
  // answer_row_[i].
  nts::Batch batch_;
  Frames frames_;
  std::array<rte_mbuf*, nts::burst_max> request_mbuf_;
  std::array<Envelope, nts::burst_max> envelope_;
  std::array<rte_mbuf*, nts::burst_max> answer_mbuf_;
  std::array<std::uint8_t, nts::burst_max> answer_row_;
  std::array<rte_mbuf*, nts::burst_max> refused_;
  std::uint16_t answer_count_ = 0;
  std::uint16_t refused_count_ = 0;

  Counters counters_;
  ServedClock clock_;
  ServedKeys keys_;
  Service service_;
  Departure departure_;
  RandomPool random_;
  nts::Server server_;

  const CurrentPages& pages_;
  std::atomic<const PageSet*> in_use_{nullptr};
  shm::CoreStats& line_;
  std::uint64_t house_interval_tsc_;
  std::uint64_t house_kept_tsc_ = 0;
  std::vector<Queue> queues_;
};

}  // namespace dataplane
