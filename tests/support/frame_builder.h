// Frames as octets, right or wrong on purpose. Checksums are added up 16 bits at a time as RFC 1071 writes
// it, so that they do not depend on the code under test.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/shm/pages.h"

namespace tests {

using Octets = std::vector<std::uint8_t>;
using Mac = std::array<std::uint8_t, 6>;
using Ipv4 = std::array<std::uint8_t, 4>;
using Ipv6 = std::array<std::uint8_t, 16>;

inline constexpr Mac server_mac = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
inline constexpr Mac client_mac = {0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};
inline constexpr Ipv4 server_ipv4 = {192, 0, 2, 1};  // RFC 5737, in 192.0.2.0/24
inline constexpr Ipv4 client_ipv4 = {192, 0, 2, 77};
inline constexpr Ipv6 server_ipv6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};  // RFC 3849
inline constexpr Ipv6 client_ipv6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77};
inline constexpr std::uint16_t client_port = 40123;

[[nodiscard]] shm::Address address_of(const Ipv4& octets, std::uint8_t prefix_bits = 24);
[[nodiscard]] shm::Address address_of(const Ipv6& octets, std::uint8_t prefix_bits = 64);

// One's complement sum of 16-bit words in network order, not complemented.
[[nodiscard]] std::uint16_t rfc1071_sum(std::span<const std::uint8_t> octets, std::uint32_t start = 0);

// A frame from client to server; each member is one thing a test may spoil. Lengths and checksums are right
// unless they are given.
struct FrameSpec {
  bool is_ipv6 = false;
  Mac to = server_mac;
  Mac from = client_mac;
  std::vector<std::uint16_t> tags;       // the tag control information of each, outermost first
  std::vector<std::uint16_t> tag_types;  // 0x8100 (802.1Q) for those that are not named here
  Ipv4 source = client_ipv4;
  Ipv4 destination = server_ipv4;
  Ipv6 source6 = client_ipv6;
  Ipv6 destination6 = server_ipv6;
  std::uint8_t hops = 61;
  std::uint8_t protocol = 17;
  std::uint16_t fragment = 0x4000;  // IPv4 flags and offset: DF
  std::uint16_t source_port = client_port;
  std::uint16_t destination_port = 123;
  Octets payload = Octets(48, 0x5a);
  Octets trailer;
  // -1: the right one. Otherwise what stands there.
  int udp_length = -1;
  int udp_checksum = -1;
  int ip_length = -1;
  int ipv4_checksum = -1;

  [[nodiscard]] Octets build() const;
  [[nodiscard]] std::size_t ip_offset() const { return 14 + 4 * tags.size(); }
  [[nodiscard]] std::size_t udp_offset() const { return ip_offset() + (is_ipv6 ? 40U : 20U); }
};

// True when every length and checksum of an IPv4 or IPv6 UDP frame at `ip_offset` is right and the frame ends
// where the lengths say.
[[nodiscard]] bool is_sound(std::span<const std::uint8_t> frame, std::size_t ip_offset = 14);

}  // namespace tests
