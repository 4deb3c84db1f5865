// Whom the operator refuses, by source address: prefixes with a rule each, the longest one decides.
//
// Built from the settings page whenever it changes, asked for every request while there are rules. The
// prefixes are cut into ranges that do not overlap, so a look-up is a binary search: eight steps for 64
// rules.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/shm/pages.h"

namespace dataplane {

// Every value but `allow` restricts.
using Access = shm::Access;

class AccessList {
 public:
  __extension__ using Uint128 = unsigned __int128;

  // `rules`: at most shm::access_rules_max, each valid by is_valid. What no rule covers is allowed.
  void assign(std::span<const shm::AccessRule> rules) noexcept;

  [[nodiscard]] bool is_empty() const noexcept { return ipv4_.count == 0 && ipv6_.count == 0; }
  // Addresses are octets in network order.
  [[nodiscard]] Access of_ipv4(const std::uint8_t* source) const noexcept;
  [[nodiscard]] Access of_ipv6(const std::uint8_t* source) const noexcept;

 private:
  // What holds from start[i] up to the next start; before the first, everything is allowed.
  template <class Address>
  struct Ranges {
    std::uint32_t count = 0;
    std::array<Address, std::size_t{2} * shm::access_rules_max> start{};
    std::array<Access, std::size_t{2} * shm::access_rules_max> access{};

    void assign(std::span<const shm::AccessRule> rules, std::uint8_t family) noexcept;
    [[nodiscard]] Access at(Address address) const noexcept {
      const auto* end = start.data() + count;
      const auto* above = std::upper_bound(start.data(), end, address);
      return above == start.data() ? Access::allow
                                   : access[static_cast<std::size_t>(above - start.data() - 1)];
    }
  };

  Ranges<std::uint32_t> ipv4_;
  Ranges<Uint128> ipv6_;
};

// True for a known family, a prefix that its addresses can have, no bit set behind it, and a known rule.
[[nodiscard]] bool is_valid(const shm::AccessRule& rule) noexcept;

}  // namespace dataplane
