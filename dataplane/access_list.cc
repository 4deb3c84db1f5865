#include "dataplane/access_list.h"

#include <limits>

namespace dataplane {
namespace {

constexpr unsigned bits_of(std::uint8_t family) noexcept { return family == 4 ? 32 : 128; }

template <class Address>
Address load(const std::uint8_t* octets) noexcept {
  Address address = 0;
  for (std::size_t i = 0; i < sizeof(Address); ++i) address = static_cast<Address>(address << 8 | octets[i]);
  return address;
}

// The addresses of a prefix, ends included.
template <class Address>
struct Prefix {
  explicit Prefix(const shm::AccessRule& rule) noexcept : first(load<Address>(rule.octets)) {
    constexpr unsigned bits = sizeof(Address) * 8;
    const Address hosts = rule.prefix_bits == 0
                              ? static_cast<Address>(~Address{0})
                              : static_cast<Address>((Address{1} << (bits - rule.prefix_bits)) - 1);
    last = static_cast<Address>(first | hosts);
  }
  Address first;
  Address last;
};

// By the longest prefix; of equal ones the first in the list.
template <class Address>
Access decide(std::span<const shm::AccessRule> rules, std::uint8_t family, Address address) noexcept {
  Access access = Access::allow;
  int longest = -1;
  for (const shm::AccessRule& rule : rules) {
    if (rule.family != family || rule.prefix_bits <= longest) continue;
    const Prefix<Address> prefix(rule);
    if (address < prefix.first || address > prefix.last) continue;
    longest = rule.prefix_bits;
    access = rule.access;
  }
  return access;
}

}  // namespace

bool is_valid(const shm::AccessRule& rule) noexcept {
  if (rule.family != 4 && rule.family != 6) return false;
  if (rule.prefix_bits > bits_of(rule.family) || rule.access > Access::require_nts) return false;
  for (unsigned bit = rule.prefix_bits; bit < bits_of(rule.family); ++bit) {
    if ((rule.octets[bit / 8] >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

template <class Address>
void AccessList::Ranges<Address>::assign(std::span<const shm::AccessRule> rules,
                                         std::uint8_t family) noexcept {
  count = 0;
  for (const shm::AccessRule& rule : rules) {
    if (rule.family != family) continue;
    const Prefix<Address> prefix(rule);
    start[count++] = prefix.first;
    if (prefix.last != std::numeric_limits<Address>::max())
      start[count++] = static_cast<Address>(prefix.last + 1);
  }
  std::sort(start.begin(), start.begin() + count);
  count = static_cast<std::uint32_t>(std::unique(start.begin(), start.begin() + count) - start.begin());
  for (std::uint32_t i = 0; i < count; ++i) access[i] = decide<Address>(rules, family, start[i]);
}

void AccessList::assign(std::span<const shm::AccessRule> rules) noexcept {
  ipv4_.assign(rules, 4);
  ipv6_.assign(rules, 6);
}

Access AccessList::of_ipv4(const std::uint8_t* source) const noexcept {
  return ipv4_.at(load<std::uint32_t>(source));
}

Access AccessList::of_ipv6(const std::uint8_t* source) const noexcept {
  return ipv6_.at(load<Uint128>(source));
}

}  // namespace dataplane
