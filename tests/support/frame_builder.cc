#include "tests/support/frame_builder.h"

#include <algorithm>

namespace tests {
namespace {

void append(Octets& octets, std::span<const std::uint8_t> more) {
  octets.insert(octets.end(), more.begin(), more.end());
}

void append16(Octets& octets, int value) {
  octets.push_back(static_cast<std::uint8_t>(value >> 8));
  octets.push_back(static_cast<std::uint8_t>(value));
}

int read16(std::span<const std::uint8_t> octets, std::size_t at) { return octets[at] << 8 | octets[at + 1]; }

// Sum of what a UDP checksum covers: pseudo-header and datagram.
std::uint16_t udp_sum(std::span<const std::uint8_t> addresses, std::span<const std::uint8_t> datagram) {
  const std::uint32_t start = rfc1071_sum(addresses, 17U + static_cast<std::uint32_t>(datagram.size()));
  return rfc1071_sum(datagram, start);
}

}  // namespace

shm::Address address_of(const Ipv4& octets, std::uint8_t prefix_bits) {
  shm::Address address{};
  address.family = 4;
  address.prefix_bits = prefix_bits;
  std::copy(octets.begin(), octets.end(), address.octets);
  return address;
}

shm::Address address_of(const Ipv6& octets, std::uint8_t prefix_bits) {
  shm::Address address{};
  address.family = 6;
  address.prefix_bits = prefix_bits;
  std::copy(octets.begin(), octets.end(), address.octets);
  return address;
}

std::uint16_t rfc1071_sum(std::span<const std::uint8_t> octets, std::uint32_t start) {
  std::uint32_t sum = start;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(octets[i]) << 8 : octets[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}

Octets FrameSpec::build() const {
  const auto datagram_bytes = static_cast<int>(8 + payload.size());
  Octets frame;
  append(frame, to);
  append(frame, from);
  for (std::size_t i = 0; i < tags.size(); ++i) {
    append16(frame, i < tag_types.size() ? tag_types[i] : 0x8100);
    append16(frame, tags[i]);
  }
  append16(frame, is_ipv6 ? 0x86dd : 0x0800);
  Octets addresses;
  if (is_ipv6) {
    append(frame, std::array<std::uint8_t, 4>{0x6a, 0xbc, 0xde, 0xf0});  // any traffic class and flow label
    append16(frame, ip_length >= 0 ? ip_length : datagram_bytes);
    frame.push_back(protocol);
    frame.push_back(hops);
    append(addresses, source6);
    append(addresses, destination6);
    append(frame, addresses);
  } else {
    append(addresses, source);
    append(addresses, destination);
    Octets header = {0x45, 0xb8};
    append16(header, ip_length >= 0 ? ip_length : 20 + datagram_bytes);
    append16(header, 0x1234);
    append16(header, fragment);
    header.push_back(hops);
    header.push_back(protocol);
    Octets whole = header;
    append16(whole, 0);
    append(whole, addresses);
    append16(header, ipv4_checksum >= 0 ? ipv4_checksum : 0xffff ^ rfc1071_sum(whole));
    append(header, addresses);
    append(frame, header);
  }
  Octets datagram;
  append16(datagram, source_port);
  append16(datagram, destination_port);
  append16(datagram, udp_length >= 0 ? udp_length : datagram_bytes);
  append16(datagram, 0);
  append(datagram, payload);
  int checksum = 0xffff ^ udp_sum(addresses, datagram);
  if (checksum == 0) checksum = 0xffff;
  if (udp_checksum >= 0) checksum = udp_checksum;
  datagram[6] = static_cast<std::uint8_t>(checksum >> 8);
  datagram[7] = static_cast<std::uint8_t>(checksum);
  append(frame, datagram);
  append(frame, trailer);
  return frame;
}

bool is_sound(std::span<const std::uint8_t> frame, std::size_t ip_offset) {
  const bool is_ipv6 = frame[ip_offset] >> 4 == 6;
  const std::span<const std::uint8_t> ip = frame.subspan(ip_offset);
  const std::size_t header_bytes = is_ipv6 ? 40 : 20;
  const std::size_t ip_bytes =
      is_ipv6 ? 40 + static_cast<std::size_t>(read16(ip, 4)) : static_cast<std::size_t>(read16(ip, 2));
  if (ip_bytes != ip.size()) return false;
  if (!is_ipv6 && (ip[0] != 0x45 || rfc1071_sum(ip.first(20)) != 0xffff)) return false;
  const std::span<const std::uint8_t> datagram = ip.subspan(header_bytes);
  if (static_cast<std::size_t>(read16(datagram, 4)) != datagram.size()) return false;
  if (read16(datagram, 6) == 0) return false;
  const auto addresses = is_ipv6 ? ip.subspan(8, 32) : ip.subspan(12, 8);
  return udp_sum(addresses, datagram) == 0xffff;
}

}  // namespace tests
