// One worker: one core, its own queues, its own everything. The packet path is serve_burst, whole.
//
// Nothing is allocated, locked or waited for after construction. What changes while it runs comes through
// the pages: between publications each refresh costs one load. Counters go out about once a millisecond, at
// work or idle, together with the acknowledged key ring and a sign of life.
//
// Where a port has a twin (port/twin.h), what is the kernel's is handed over after the burst's answers have
// left, and what the kernel sends goes out between bursts. Each frame of the kernel's costs a system call, so
// it has a share, kernel_frames_per_house_max each way between two housekeepings: beyond it frames to the
// kernel are dropped and counted, and frames from it wait in its own queue.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/admission.h"
#include "dataplane/departure.h"
#include "dataplane/duties.h"
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

// A thousand housekeepings a second: 128 000 frames a second and core each way, 1.5 Gbit/s of full ones. To
// write one into a tap took 0.4 us (60 and 1514 octets alike), 5 % of the core; what the kernel does with it
// there and then comes on top.
inline constexpr std::uint16_t kernel_frames_per_house_max = 128;

struct WorkerSetup {
  const nts::siv::Kernels* tier = nullptr;  // self-tested
  const CurrentPages* pages = nullptr;      // never holds null
  shm::CoreStats* line = nullptr;           // this core's, in the stats page
  std::uint64_t instance_id = 0;
  std::uint32_t cpu = 0;
  std::uint64_t tsc_hz = 0;
  std::vector<Queue> queues;                // this core's, where there are no `duties`
  std::vector<std::uint32_t> devices = {};  // of each queue: its device's number in the settings; none: all 0
  const nts::gcm_siv::Kernels* gcm_siv_tier = nullptr;  // self-tested; none: AEAD 30 is not served
  const nts::siv::Kernels* siv_384_tier = nullptr;      // the same for AEAD 16 ...
  const nts::siv::Kernels* siv_512_tier = nullptr;      // ... and 17
  std::uint32_t limited_sources = 0;                    // that the rate limit remembers
  SourceLimit::Seed limit_seed{};                       // random, new with each start
  Duties* duties = nullptr;                             // whose queues are whose, with other workers
  std::uint32_t number = 0;                             // of this worker among them
};

class alignas(64) Worker {
 public:
  // Reads the pages that are there: keys are acknowledged before the first packet.
  explicit Worker(const WorkerSetup& setup);

  // Polls until `stop`. Called on the worker's own core.
  void run(const std::atomic<bool>& stop) noexcept;

  // One look at each queue, and the housekeeping when it is due. Returns true when there was work. What other
  // workers are to poll is handed to them first.
  bool serve_once() noexcept;

  // Refreshes all pages, then publishes counters, acknowledgement and sign of life.
  void keep_house(std::uint64_t now_tsc) noexcept;

  // The pages this worker reads: older ones it will never touch again.
  [[nodiscard]] const PageSet* pages_in_use() const noexcept {
    return in_use_.load(std::memory_order_acquire);
  }
  // Between bursts only.
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  // Drained: it polls nothing and keeps house between naps.
  [[nodiscard]] bool is_resting() const noexcept { return is_resting_; }

 private:
  // What one worker's queues may still hand to the kernel, and take from it, until the next housekeeping: it
  // goes with them to whoever polls them.
  struct KernelShare {
    std::uint16_t to_left = kernel_frames_per_house_max;
    std::uint16_t from_left = kernel_frames_per_house_max;
  };

  bool serve_burst(const Queue& queue, std::uint32_t device, KernelShare& share) noexcept;
  void attend_duties() noexcept;
  [[nodiscard]] bool wake_up() noexcept;
  void refresh() noexcept;
  void unwrap_all(const Queue& queue, nts::NtpTime received, std::uint64_t received_tsc) noexcept;
  void limit_kisses(std::uint64_t now_tsc) noexcept;
  void wrap_all(const Queue& queue, MacAddress gateway) noexcept;
  void set_aside(const Queue& queue, rte_mbuf* mbuf, shm::FrameVerdict why) noexcept;
  void transmit(const Queue& queue) noexcept;
  void give_to_kernel(const Queue& queue, KernelShare& share) noexcept;
  bool send_for_kernel(const Queue& queue, KernelShare& share) noexcept;
  void refuse(rte_mbuf* mbuf) noexcept { refused_[refused_count_++] = mbuf; }
  void keep_for_kernel(rte_mbuf* mbuf) noexcept { for_kernel_[for_kernel_count_++] = mbuf; }

  // What a burst is worked on. Row i of the batch is request i; answer i of the burst came from row
  // answer_row_[i].
  nts::Batch batch_;
  Frames frames_;
  std::array<rte_mbuf*, nts::burst_max> request_mbuf_;
  std::array<Envelope, nts::burst_max> envelope_;
  std::array<rte_mbuf*, nts::burst_max> answer_mbuf_;
  std::array<std::uint8_t, nts::burst_max> answer_row_;
  std::array<rte_mbuf*, nts::burst_max> refused_;
  std::array<rte_mbuf*, nts::burst_max> for_kernel_;
  std::uint16_t answer_count_ = 0;
  std::uint64_t answer_octets_ = 0;  // of their frames
  std::uint16_t refused_count_ = 0;
  std::uint16_t for_kernel_count_ = 0;

  Counters counters_;
  ServedClock clock_;
  ServedKeys keys_;
  Service service_;
  Departure departure_;
  Departure smeared_departure_;  // two clocks, and each of them never runs backwards
  RandomPool random_;
  nts::Server server_;
  Admission admission_;

  const CurrentPages& pages_;
  std::atomic<const PageSet*> in_use_{nullptr};
  shm::CoreStats& line_;
  std::uint64_t house_interval_tsc_;
  std::uint64_t house_kept_tsc_ = 0;
  std::vector<Queue> queues_;
  std::vector<std::uint32_t> devices_;  // as many
  std::vector<std::uint32_t> owners_;   // as many: which worker brought it, so whose share it is
  std::array<KernelShare, shm::cores_max> kernel_shares_;
  Duties* duties_;
  std::uint32_t number_;
  std::uint64_t duties_seen_ = 0;
  bool is_resting_ = false;
};

}  // namespace dataplane
