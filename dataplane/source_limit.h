// How much one source may ask for: a table of sources that is bounded, and never punishes one for another.
//
// One per core. Each source has an allowance that fills at a rate and holds a burst (the generic cell rate
// algorithm, ITU-T I.371: one time per source, when its allowance will be whole again). A source is an IPv4
// address or an IPv6 /64; a /56, which is what one customer gets, has an allowance of its own. All of a link
// have the /64 fe80:: in common, so there the address itself is the source. Requests with NTS and without
// count apart, so that a flood of forged plain ones leaves the authenticated client its share.
//
// A set of four entries is one cache line, found by a hash that is seeded at start. Entries hold whole
// addresses: sources that meet in a set are never taken for each other, and one that finds the set full takes
// the place of the least active and is served. So whoever fills the table, or knows which addresses collide,
// can only make us forget, never make us refuse somebody else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dataplane {

struct SourcePolicy {
  std::uint32_t requests_per_s = 0;  // of one source; 0: no limit
  std::uint32_t burst = 1;           // that may come at once
  std::uint32_t network_factor = 1;  // how many times that an IPv6 /56 may have; 0: a /56 is not looked at
};

class SourceLimit {
 public:
  using Seed = std::array<std::uint64_t, 2>;  // secret: who knows it can make sources collide

  // Room for `sources` of them at least, 16 octets each; their number is rounded up to a power of two.
  SourceLimit(std::uint32_t sources, const Seed& seed);

  void set_policy(const SourcePolicy& policy, std::uint64_t tsc_hz) noexcept;
  [[nodiscard]] bool is_on() const noexcept { return interval_ != 0; }

  // Takes one request from the allowance of its source (octets in network order). False when there is none
  // left. Requires: is_on().
  [[nodiscard]] bool take_ipv4(const std::uint8_t* source, bool is_nts, std::uint64_t now_tsc) noexcept;
  [[nodiscard]] bool take_ipv6(const std::uint8_t* source, bool is_nts, std::uint64_t now_tsc) noexcept;

  // How many it remembers.
  [[nodiscard]] std::size_t sources() const noexcept { return ways * sets_.size(); }

  // The number of the set that an IPv4 source falls into: for tests of collisions.
  [[nodiscard]] std::size_t set_of_ipv4(const std::uint8_t* source, bool is_nts) const noexcept;

 private:
  static constexpr std::size_t ways = 4;
  struct Entry {
    std::uint64_t address;
    std::uint64_t
        whole_at;  // the tick when its allowance is whole again; the kind of address in the low bits
  };
  struct alignas(64) Set {
    std::array<Entry, ways> entries;
  };

  [[nodiscard]] std::size_t set_of(std::uint64_t address, std::uint64_t kind) const noexcept;
  [[nodiscard]] std::int64_t age_of(const Entry& entry, std::uint64_t now) const noexcept;
  [[nodiscard]] bool take(std::uint64_t address, std::uint64_t kind, std::uint64_t now_tsc,
                          std::uint64_t interval) noexcept;

  Seed seed_;
  std::vector<Set> sets_;  // a power of two of them
  std::size_t mask_;
  std::uint64_t interval_ = 0;          // ticks that one request takes to be forgotten; 0: no limit
  std::uint64_t network_interval_ = 0;  // the same of a /56; 0: not looked at
  std::uint64_t tolerance_ = 0;         // ticks that an allowance may be ahead
};

// A number of events a second for one core, at most as many at once. 0 a second: no bound.
class Budget {
 public:
  void set(std::uint32_t per_s, std::uint64_t tsc_hz) noexcept;
  [[nodiscard]] bool take(std::uint64_t now_tsc) noexcept;

 private:
  std::uint64_t interval_ = 0;
  std::uint64_t tolerance_ = 0;
  std::uint64_t whole_at_ = 0;
};

}  // namespace dataplane
