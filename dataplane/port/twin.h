// The kernel's share of a port that takes every frame: a net_tap interface with the card's MAC address.
//
// What is not ours goes to the kernel through it, whole and as it came; what the kernel sends through it goes
// out on the card. ARP, neighbour discovery, ICMP, TCP/4460, SSH, routing and the host's own NTP client work
// on it as on any interface: addresses stand there. Queue n of the twin belongs to the worker of queue n of
// the port, so nothing is shared. How much of a core the kernel may have: worker.h.
//
// Checksums: the kernel finishes them and cuts its segments before the driver reads (the driver offers it
// neither offload), and frames to the kernel keep theirs, which it verifies.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/frame.h"

struct rte_mempool;

namespace dataplane {

// The driver's own bound (RTE_PMD_TAP_MAX_QUEUES).
inline constexpr std::uint16_t twin_queues_max = 16;

struct TwinPlan {
  std::string interface;        // its name in the kernel
  MacAddress mac;               // of the port
  std::uint16_t mtu_bytes = 0;  // of the port
  std::uint16_t queues = 1;     // of the port
};

class Twin {
 public:
  // Makes the interface and sets it up. A tap of that name which is there already is used as it is, with its
  // addresses; anything else of that name is refused. Frames from the kernel live in `buffers`. Throws
  // PortError.
  Twin(const TwinPlan& plan, rte_mempool* buffers);
  // Plays one with a port that DPDK has already, for tests with rings.
  Twin(std::uint16_t port_id, const TwinPlan& plan, rte_mempool* buffers);
  ~Twin();
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  [[nodiscard]] std::uint16_t port_id() const noexcept { return port_id_; }
  [[nodiscard]] const std::string& interface() const noexcept { return interface_; }

 private:
  void start(const TwinPlan& plan, rte_mempool* buffers);

  std::string interface_;
  std::uint16_t port_id_ = 0;
};

}  // namespace dataplane
