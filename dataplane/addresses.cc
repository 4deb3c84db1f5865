#include "dataplane/addresses.h"

#include "nts/check.h"

namespace dataplane {
namespace {

constexpr std::uint8_t ipv4_bits = 32;
constexpr std::uint8_t ipv6_bits = 128;
// Both addresses of a /31 are hosts (RFC 3021), and so is the one of a /32.
constexpr std::uint8_t subnet_prefix_bits_max = 30;

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
  *this = Addresses{};
  for (const shm::Address& address : served) {
    if (address.family == 6) {
      const Ipv6 ours = load_ipv6(address.octets);
      ipv6_[ipv6_count_++] = ours;
      ipv6_filter_ |= bit_of(mixed(ours));
      continue;
    }
    const std::uint32_t ours = load_ipv4(address.octets);
    ipv4_[ipv4_count_++] = ours;
    ipv4_filter_ |= bit_of(ours);
    unanswered_ipv4_filter_ |= bit_of(ours);
    if (address.prefix_bits == 0 || address.prefix_bits > subnet_prefix_bits_max) continue;
    const std::uint32_t host_bits = __builtin_bswap32(0xffffffff >> address.prefix_bits);
    for (const std::uint32_t end : {ours & ~host_bits, ours | host_bits}) {
      subnet_ends_[subnet_end_count_++] = end;
      unanswered_ipv4_filter_ |= bit_of(end);
    }
  }
}

bool Addresses::holds_ipv6(const Ipv6& wanted) const noexcept {
  for (std::uint32_t i = 0; i < ipv6_count_; ++i) {
    if (ipv6_[i].high == wanted.high && ipv6_[i].low == wanted.low) return true;
  }
  return false;
}

bool Addresses::may_answer_ipv6(const std::uint8_t* source, const std::uint8_t* destination) const noexcept {
  if (source[0] == 0xff) return false;
  if (load_ipv6(source).high == 0) {
    const std::uint32_t middle = load_ipv4(source + 8);
    const bool is_mapped = middle == __builtin_bswap32(0x0000ffff);
    if (middle == 0 || is_mapped) return false;
  }
  if (is_link_local(source) && !is_link_local(destination)) return false;
  return !serves_ipv6(source);
}

}  // namespace dataplane
