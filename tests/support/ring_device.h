// A DPDK device of plain rings with as many queues as a test wants, not yet started: for whom a RingPort is
// too little. What goes in at a queue is received there, what is transmitted at a queue comes out there.
#pragma once

#include <cstdint>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <vector>

#include "tests/support/frame_builder.h"

namespace tests {

class RingDevice {
 public:
  // `transmit_frames`: a power of two; each transmit ring holds one frame less.
  explicit RingDevice(std::uint16_t queues = 1, unsigned transmit_frames = 1024);
  ~RingDevice();  // after whatever started it is gone
  RingDevice(const RingDevice&) = delete;
  RingDevice& operator=(const RingDevice&) = delete;

  [[nodiscard]] std::uint16_t port_id() const noexcept { return port_id_; }

  void arrive(std::uint16_t queue, rte_mbuf* mbuf);
  void arrive(std::uint16_t queue, const Octets& frame);
  // Everything transmitted at `queue` since the last call, all segments of each put together.
  [[nodiscard]] std::vector<Octets> take(std::uint16_t queue);
  // The next one as it is; the caller's. Null when there is none.
  [[nodiscard]] rte_mbuf* take_mbuf(std::uint16_t queue);
  // How many frames still wait to be received.
  [[nodiscard]] unsigned waiting(std::uint16_t queue) const { return rte_ring_count(receive_[queue]); }

 private:
  std::vector<rte_ring*> receive_;
  std::vector<rte_ring*> transmit_;
  std::uint16_t port_id_ = 0;
};

// A buffer of the shared pool that holds these octets.
[[nodiscard]] rte_mbuf* make_mbuf(const Octets& octets);

}  // namespace tests
