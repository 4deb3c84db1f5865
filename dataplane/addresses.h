// The addresses we answer from, as the packet path needs them: one test for most, a short list for the rest.
//
// Built from the settings page whenever it changes, read for every packet. Also knows which sources nobody
// may answer, because half of that list depends on our own addresses (TESTS.md A16, A23).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/shm/pages.h"

namespace dataplane {

class Addresses {
 public:
  // `served`: at most shm::addresses_max, each valid by is_valid.
  void assign(std::span<const shm::Address> served) noexcept;

  // Addresses are octets in network order, anywhere in a packet.
  [[nodiscard]] bool serves_ipv4(const std::uint8_t* address) const noexcept {
    const std::uint32_t wanted = load_ipv4(address);
    return may_hold(ipv4_filter_, wanted) && holds_ipv4(wanted);
  }

  [[nodiscard]] bool serves_ipv6(const std::uint8_t* address) const noexcept {
    const Ipv6 wanted = load_ipv6(address);
    return may_hold(ipv6_filter_, mixed(wanted)) && holds_ipv6(wanted);
  }

  // False for sources that are no single foreign host: "this network", loopback, multicast, reserved,
  // limited and subnet broadcast, the subnet's own address, and our own addresses.
  [[nodiscard, gnu::always_inline]] inline bool may_answer_ipv4(const std::uint8_t* source) const noexcept {
    // 224/4 is multicast, 240/4 reserved and 255.255.255.255 among it (RFC 6890).
    const std::uint8_t first = source[0];
    if (first == 0 || first == 127 || first >= 224) return false;
    const std::uint32_t wanted = load_ipv4(source);
    return !may_hold(unanswered_ipv4_filter_, wanted) || !is_unanswered_ipv4(wanted);
  }

  // False for ::/96 (unspecified, loopback, IPv4-compatible), IPv4-mapped, multicast and our own addresses,
  // and for a link-local source that asks a global address: the way back is not defined.
  [[nodiscard]] bool may_answer_ipv6(const std::uint8_t* source,
                                     const std::uint8_t* destination) const noexcept;

 private:
  struct Ipv6 {
    std::uint64_t high;
    std::uint64_t low;
  };
  static std::uint32_t load_ipv4(const std::uint8_t* address) noexcept {
    std::uint32_t value;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  static Ipv6 load_ipv6(const std::uint8_t* address) noexcept {
    Ipv6 value;
    std::memcpy(&value, address, sizeof value);
    return value;
  }

  // A list is searched only when its filter has the address's bit: one bit in 64, chosen by a product that
  // mixes all of it. Nearly every source, which must be compared with the whole list, ends here.
  static std::uint64_t bit_of(std::uint32_t address) noexcept {
    return std::uint64_t{1} << (address * std::uint32_t{0x9e3779b1} >> 26);
  }
  static bool may_hold(std::uint64_t filter, std::uint32_t address) noexcept {
    return (filter & bit_of(address)) != 0;
  }
  static std::uint32_t mixed(const Ipv6& address) noexcept {
    const std::uint64_t both = address.high + address.low;
    return static_cast<std::uint32_t>(both ^ both >> 32);
  }

  [[nodiscard]] bool holds_ipv4(std::uint32_t wanted) const noexcept {
    for (std::uint32_t i = 0; i < ipv4_count_; ++i) {
      if (ipv4_[i] == wanted) return true;
    }
    return false;
  }
  [[nodiscard]] bool holds_ipv6(const Ipv6& wanted) const noexcept;
  [[nodiscard]] bool is_unanswered_ipv4(std::uint32_t wanted) const noexcept {
    for (std::uint32_t i = 0; i < subnet_end_count_; ++i) {
      if (subnet_ends_[i] == wanted) return true;
    }
    return holds_ipv4(wanted);
  }

  std::uint64_t ipv4_filter_ = 0;
  std::uint64_t unanswered_ipv4_filter_ = 0;  // our own and the ends of their subnets
  std::uint64_t ipv6_filter_ = 0;
  std::uint32_t ipv4_count_ = 0;
  std::uint32_t ipv6_count_ = 0;
  std::uint32_t subnet_end_count_ = 0;
  std::array<std::uint32_t, shm::addresses_max> ipv4_{};  // network order
  // Network order: first and last address of each served subnet, its own and its broadcast address.
  std::array<std::uint32_t, std::size_t{2} * shm::addresses_max> subnet_ends_{};
  std::array<Ipv6, shm::addresses_max> ipv6_{};
};

[[nodiscard]] bool is_valid(const shm::Address& address) noexcept;

}  // namespace dataplane
