// Which frames an af_packet port is shown: classic BPF (socket filters, packet(7)) for the kernel to run
// before it copies a frame into the driver's ring.
//
// The same question as the XDP program's (xdp/ntp_redirect.bpf.c): UDP to a served (address, port) pair in
// NTP mode 3, IPv4 without options or fragments, IPv6 with UDP straight behind it. What is wrong inside such
// a request frame.cc sees and counts; all else of the host's traffic never costs a place in the ring, and
// never enters our counters. Two things differ, for the driver's sake: the host's own outgoing frames, which
// packet sockets are shown too, are left out, and of tags only a single 802.1Q one is let through: the kernel
// takes an outer tag off, and DPDK's driver puts it back as 802.1Q whatever it was.
#pragma once

#include <cstdint>
#include <linux/filter.h>
#include <span>
#include <vector>

#include "dataplane/shm/pages.h"

namespace dataplane {

// `addresses`: at most shm::addresses_max, each valid by is_valid; `port` in host order. Without addresses it
// lets nothing through.
[[nodiscard]] std::vector<sock_filter> packet_filter(std::span<const shm::Address> addresses,
                                                     std::uint16_t port);

}  // namespace dataplane
