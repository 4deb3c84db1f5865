// The addresses we answer from, as the packet path needs them: a few comparisons, no look-up structure.
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
    std::uint32_t wanted;
    std::memcpy(&wanted, address, sizeof wanted);
    bool found = false;
    for (std::uint32_t i = 0; i < ipv4_count_; ++i) found |= ipv4_[i] == wanted;
    return found;
  }

  [[nodiscard]] bool serves_ipv6(const std::uint8_t* address) const noexcept {
    const Ipv6 wanted = load(address);
    bool found = false;
    for (std::uint32_t i = 0; i < ipv6_count_; ++i) {
      found |= ((ipv6_[i].high ^ wanted.high) | (ipv6_[i].low ^ wanted.low)) == 0;
    }
    return found;
  }

  // False for sources that are no single foreign host: "this network", loopback, multicast, reserved,
  // limited and subnet broadcast, and our own addresses.
  [[nodiscard]] bool may_answer_ipv4(const std::uint8_t* source) const noexcept;

  // False for ::/96 (unspecified, loopback, IPv4-compatible), IPv4-mapped, multicast and our own addresses,
  // and for a link-local source that asks a global address: the way back is not defined.
  [[nodiscard]] bool may_answer_ipv6(const std::uint8_t* source,
                                     const std::uint8_t* destination) const noexcept;

 private:
  struct Ipv6 {
    std::uint64_t high;
    std::uint64_t low;
  };
  static Ipv6 load(const std::uint8_t* address) noexcept {
    Ipv6 value;
    std::memcpy(&value, address, sizeof value);
    return value;
  }

  std::uint32_t ipv4_count_ = 0;
  std::uint32_t ipv6_count_ = 0;
  std::uint32_t broadcast_count_ = 0;
  std::array<std::uint32_t, shm::addresses_max> ipv4_{};       // network order
  std::array<std::uint32_t, shm::addresses_max> broadcast_{};  // network order; of each served subnet
  std::array<Ipv6, shm::addresses_max> ipv6_{};
};

[[nodiscard]] bool is_valid(const shm::Address& address) noexcept;

}  // namespace dataplane
