// The packet core without frames, network card or DPDK: nts::Server on requests in memory.
//
// What is measured is open_requests, prepare_answers and seal_answers on one burst. Requests are laid out in
// 1024 buffers before the clock starts, at the distance that the worker's buffers have.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "bench/nts/requests.h"
#include "dataplane/random_pool.h"
#include "nts/server.h"

namespace bench {

class ServerRig {
 public:
  // `tier` outlives this.
  explicit ServerRig(const nts::siv::Kernels& tier);

  // Serves all buffers once in bursts of `burst` (a power of two up to nts::burst_max), and appends the TSC
  // cycles per request of each burst. Throws when a request was not answered as it must be.
  void serve(Load load, std::uint32_t burst, std::vector<double>& cycles_per_request);

 private:
  void lay_out(Load load);

  static constexpr std::size_t buffers = 1024;
  static constexpr std::size_t stride_bytes = 37 * 64;  // dataplane/port/port.cc says why

  std::array<std::vector<tests::Octets>, loads> requests_;  // by load
  std::vector<std::uint8_t> octets_ = std::vector<std::uint8_t>(buffers * stride_bytes);
  nts::ExpandedKeyRing keys_;
  dataplane::RandomPool random_;
  nts::Server server_;
  nts::ClockReading clock_;
  std::unique_ptr<nts::Batch> batch_ = std::make_unique<nts::Batch>();
  Stopwatch watch_;
};

}  // namespace bench
