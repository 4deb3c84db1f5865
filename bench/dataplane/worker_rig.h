// A worker between two rings, frame to frame: no kernel, no NIC.
//
// What is measured is one serve_once(): receive, unwrap, the packet core, wrap with software checksums,
// transmit, and the housekeeping when it falls due. Requests are laid out in 1024 buffers before the clock
// starts, as a NIC's ring would hold them: they are in the second-level cache, not in the first.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/nts/requests.h"
#include "dataplane/eal.h"
#include "dataplane/port/port.h"
#include "dataplane/worker.h"

namespace bench {

// EAL as the benchmarks start it: hugepages when this machine has some free, ordinary memory otherwise.
[[nodiscard]] dataplane::EalOptions eal_options();

class WorkerRig {
 public:
  // Throws where this machine cannot: EAL, buffers.
  explicit WorkerRig(const nts::siv::Kernels& tier);
  ~WorkerRig();
  WorkerRig(const WorkerRig&) = delete;
  WorkerRig& operator=(const WorkerRig&) = delete;

  // Serves all buffers once in bursts of `burst`, and appends the TSC cycles per request of each burst.
  // The cost of reading the TSC is taken off. Throws when a request was not treated as it must be.
  void serve(Load load, std::uint32_t burst, std::vector<double>& cycles_per_request);

 private:
  void lay_out(Load load);

  static constexpr std::uint32_t buffers_in_use = 1024;
  struct Rings;

  std::unique_ptr<shm::SettingsPage> settings_ = std::make_unique<shm::SettingsPage>();
  std::unique_ptr<shm::KeysPage> keys_ = std::make_unique<shm::KeysPage>();
  std::unique_ptr<shm::ClockPage> clock_ = std::make_unique<shm::ClockPage>();
  dataplane::PageSet pages_;
  dataplane::CurrentPages current_;
  std::unique_ptr<shm::CoreStats> line_ = std::make_unique<shm::CoreStats>();
  dataplane::BufferPool buffers_;
  std::unique_ptr<Rings> rings_;
  std::unique_ptr<dataplane::Worker> worker_;
  std::array<std::vector<std::vector<std::uint8_t>>, loads> requests_;  // frames by load
  std::vector<rte_mbuf*> mbufs_;
  Stopwatch watch_;
};

}  // namespace bench
