// What became of a frame that never got as far as the NTP core. Together with nts::Verdict this is every way
// a packet can go: received == sum(frame verdicts) + sum(nts verdicts), exactly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shm {

enum class FrameVerdict : std::uint8_t {
  pass_other,           // not NTP to one of our addresses: the kernel's business, not answered
  pass_kernel,          // the same, and handed to the kernel over the port's twin (shm/host_twin.h)
  drop_truncated,       // a header says more than the frame has
  drop_vlan,            // more tags than served, a tag cut short, or a VLAN that is not served
  drop_mac,             // source MAC is multicast, zero or our own; or destination is not ours
  drop_ipv4_header,     // wrong version, header length, total length, or IPv4 options (never served)
  drop_ipv4_checksum,   // wrong header checksum
  drop_fragment,        // a fragment, IPv4 or IPv6: no reassembly, ever
  drop_ttl,             // TTL or hop limit 0
  drop_source_address,  // a source nobody may answer: loopback, multicast, broadcast, our own, unspecified
                        // ...
  drop_ipv6_header,     // wrong version or payload length
  drop_ipv6_extension,  // an extension header before UDP (documented: not served)
  drop_udp_length,      // UDP length below 8 or beyond the IP payload
  drop_udp_checksum,    // wrong, or 0 over IPv6
  drop_source_port,     // source port 0
  drop_too_long,        // longer than any request we answer
  drop_denied,          // from a source that the access rules refuse
  drop_rate_limited,    // from a source that asks for more than its share
  drop_segmented,       // spread over several buffers
  drop_transmit_full,   // answered, but the transmit queue had no room
  drop_kernel_full,     // for the kernel, but beyond its share, or its twin took it not
  count
};

inline constexpr std::size_t frame_verdict_count = static_cast<std::size_t>(FrameVerdict::count);

inline constexpr std::array<std::string_view, frame_verdict_count> frame_verdict_names = {
    "pass_other",      "pass_kernel",         "drop_truncated",     "drop_vlan",
    "drop_mac",        "drop_ipv4_header",    "drop_ipv4_checksum", "drop_fragment",
    "drop_ttl",        "drop_source_address", "drop_ipv6_header",   "drop_ipv6_extension",
    "drop_udp_length", "drop_udp_checksum",   "drop_source_port",   "drop_too_long",
    "drop_denied",     "drop_rate_limited",   "drop_segmented",     "drop_transmit_full",
    "drop_kernel_full"};

// Of the refusals, those of frames that may be somebody else's on this machine: what the kernel gets where a
// port hands it its share. The others are requests to our very port, or nothing that can be read at all.
constexpr bool is_kernels(FrameVerdict verdict) noexcept {
  switch (verdict) {
    case FrameVerdict::pass_other:
    case FrameVerdict::drop_vlan:
    case FrameVerdict::drop_ipv4_header:
    case FrameVerdict::drop_fragment:
    case FrameVerdict::drop_ipv6_header:
    case FrameVerdict::drop_ipv6_extension:
    case FrameVerdict::drop_segmented:
      return true;
    default:
      return false;
  }
}

}  // namespace shm
