// The packet sockets that DPDK's af_packet driver has opened in this process: what we do to them behind its
// back, because version 22.11 has no option for it.
//
// A filter (packet_filter.h) keeps the host's other traffic out of the driver's ring of 512 frames, where at
// 50 000 foreign frames a second and more it pushes requests out. It fails safe: without a filter the port
// goes on as the driver made it, frame.cc refuses what is not ours, and the operator is told.
//
// Fragments: the driver puts each socket, even a single one, into a fanout group that asks the kernel to put
// IPv4 datagrams together first (PACKET_FANOUT_FLAG_DEFRAG). The kernel does that before the socket's filter
// runs, with state of its own for strangers to fill, and a group is never left again. So packet_sockets.cc
// stands in front of setsockopt(2) in this program and takes that flag out of the driver's call; each
// fragment then comes as it is, and the filter refuses it (TESTS.md A13).
//
// Queues: the driver also asks that frames for a ring that is full go to the group's next one
// (PACKET_FANOUT_FLAG_ROLLOVER). One flow's flood would then fill every core's ring, and its source meet
// every core's limit anew. That flag is taken out as well: a full ring drops (TESTS.md A38). And which ring a
// frame goes to is decided by its source alone (source_spread.h), where the driver asks for the kernel's
// hash.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/shm/pages.h"

namespace dataplane {

class PacketSockets {
 public:
  // Of the port that was just opened on `interface`. Returns one sentence for each thing that is not as it
  // should be; the port works nevertheless.
  std::vector<std::string> adopt(const std::string& interface);

  // Shows the ports requests to exactly `addresses` at `port`. Returns one sentence for each interface where
  // that failed: it keeps the filter it had, or none.
  std::vector<std::string> follow(std::span<const shm::Address> addresses, std::uint16_t port);

 private:
  struct Socket {
    int number;  // the driver's, not ours to close
    std::string interface;
  };
  std::vector<Socket> sockets_;
};

}  // namespace dataplane
