// A port made of two rings in this process: what goes into one is received, what is transmitted comes out of
// the other. The real driver, the real mbufs, no kernel.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/port/port.h"
#include "tests/support/frame_builder.h"

namespace tests {

// Empty when EAL runs in this process, else why it does not: tests that need it are skipped with this reason.
extern std::string eal_trouble;

// One pool for all tests of the process.
[[nodiscard]] const dataplane::BufferPool& shared_buffers();

class RingPort {
 public:
  // `transmit_frames`: a power of two; the ring holds one frame less.
  explicit RingPort(unsigned transmit_frames = 1024);
  ~RingPort();
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  [[nodiscard]] const dataplane::Port& port() const { return *port_; }
  [[nodiscard]] std::vector<dataplane::Queue> queues() const { return {port_->queue(0)}; }

  // Addresses a frame to this port and lets it arrive.
  void arrive(Octets frame);
  void arrive(FrameSpec spec);
  void arrive(rte_mbuf* mbuf);
  [[nodiscard]] rte_mbuf* make_mbuf(const Octets& frame) const;

  // How many frames still wait to be received, and whether one more has room.
  [[nodiscard]] unsigned waiting() const;
  [[nodiscard]] bool has_room() const;

  // Everything transmitted since the last call.
  [[nodiscard]] std::vector<Octets> take_transmitted();

 private:
  rte_ring* receive_;
  rte_ring* transmit_;
  std::unique_ptr<dataplane::Port> port_;
};

}  // namespace tests
