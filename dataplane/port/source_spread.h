// Which queue of an af_packet port a frame goes to: classic BPF for the kernel's fanout (packet(7),
// PACKET_FANOUT_CBPF), by the source's address alone, as RSS on a card is asked to do.
//
// One client always meets the same core, whatever its port (RFC 9109), so that it has one allowance
// (source_limit.h) and not one for each core. Of IPv6 the /56 counts, one customer's. The kernel's own hash
// reads ports and destination as well.
#pragma once

#include <array>
#include <cstdint>
#include <linux/filter.h>

namespace dataplane {

using SourceSpread = std::array<sock_filter, 19>;

// `factor`: odd and not known to strangers, so that nobody can choose sources that all meet one core.
[[nodiscard]] SourceSpread source_spread(std::uint32_t factor) noexcept;

}  // namespace dataplane
