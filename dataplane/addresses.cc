#include "dataplane/addresses.h"

#include "nts/check.h"

namespace dataplane {
namespace {

constexpr std::uint8_t ipv4_bits = 32;
constexpr std::uint8_t ipv6_bits = 128;
// A /31 has no broadcast address (RFC 3021), and neither has a single host.
constexpr std::uint8_t broadcast_prefix_bits_max = 30;

std::uint32_t load_network_order(const std::uint8_t* address) noexcept {
  std::uint32_t value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

bool is_link_local(const std::uint8_t* address) noexcept {
  return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;  // fe80::/10
}

}  // namespace

bool is_valid(const shm::Address& address) noexcept {
  if (address.family == 4) return address.prefix_bits <= ipv4_bits;
  if (address.family == 6) return address.prefix_bits <= ipv6_bits;
  return false;
}

void Addresses::assign(std::span<const shm::Address> served) noexcept {
  nts::check(served.size() <= shm::addresses_max);
  ipv4_count_ = ipv6_count_ = broadcast_count_ = 0;
  for (const shm::Address& address : served) {
    if (address.family == 6) {
      ipv6_[ipv6_count_++] = load(address.octets);
      continue;
    }
    const std::uint32_t ours = load_network_order(address.octets);
    ipv4_[ipv4_count_++] = ours;
    if (address.prefix_bits == 0 || address.prefix_bits > broadcast_prefix_bits_max) continue;
    const std::uint32_t host_bits = 0xffffffff >> address.prefix_bits;
    broadcast_[broadcast_count_++] = ours | __builtin_bswap32(host_bits);
  }
}

bool Addresses::may_answer_ipv4(const std::uint8_t* source) const noexcept {
  const std::uint8_t first = source[0];
  // 224/4 is multicast, 240/4 reserved and 255.255.255.255 among it (RFC 6890).
  if (first == 0 || first == 127 || first >= 224) return false;
  const std::uint32_t wanted = load_network_order(source);
  bool is_broadcast = false;
  for (std::uint32_t i = 0; i < broadcast_count_; ++i) is_broadcast |= broadcast_[i] == wanted;
  return !is_broadcast && !serves_ipv4(source);
}

bool Addresses::may_answer_ipv6(const std::uint8_t* source, const std::uint8_t* destination) const noexcept {
  if (source[0] == 0xff) return false;
  const Ipv6 wanted = load(source);
  if (wanted.high == 0) {
    const std::uint32_t middle = load_network_order(source + 8);
    const bool is_mapped = middle == __builtin_bswap32(0x0000ffff);
    if (middle == 0 || is_mapped) return false;
  }
  if (is_link_local(source) && !is_link_local(destination)) return false;
  return !serves_ipv6(source);
}

}  // namespace dataplane
