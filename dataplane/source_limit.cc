#include "dataplane/source_limit.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace dataplane {
namespace {

// What an entry's address is; 0 is an empty entry. The NTS half of each is one higher.
constexpr std::uint64_t kind_ipv4 = 2;
constexpr std::uint64_t kind_ipv6_64 = 4;
constexpr std::uint64_t kind_ipv6_56 = 6;
constexpr std::uint64_t kind_link_local = 8;
constexpr std::uint64_t kind_bits = 15;

__extension__ using Uint128 = unsigned __int128;

std::uint64_t folded_product(std::uint64_t one, std::uint64_t other) noexcept {
  const Uint128 product = static_cast<Uint128>(one) * other;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// A tick further ahead than any allowance reaches is from before the counter was set back, or of a policy
// that is no longer.
bool is_of_another_time(std::int64_t ahead, std::uint64_t interval, std::uint64_t tolerance) noexcept {
  return ahead > static_cast<std::int64_t>(2 * (tolerance + interval));
}

// An allowance is spent by moving the tick when it is whole: false when that lies too far ahead already.
bool spend(std::uint64_t& whole_at, std::uint64_t now, std::uint64_t interval,
           std::uint64_t tolerance) noexcept {
  const auto ahead = static_cast<std::int64_t>(whole_at - now);
  if (ahead <= 0 || is_of_another_time(ahead, interval, tolerance)) {
    whole_at = now + interval;
    return true;
  }
  if (ahead > static_cast<std::int64_t>(tolerance)) return false;
  whole_at += interval;
  return true;
}

std::uint64_t load_network(const std::uint8_t* octets) noexcept {
  std::uint64_t high;
  std::memcpy(&high, octets, sizeof high);
  return __builtin_bswap64(high);
}

}  // namespace

SourceLimit::SourceLimit(std::uint32_t sources, const Seed& seed)
    : seed_(seed), sets_(std::bit_ceil((sources + ways - 1) / ways)), mask_(sets_.size() - 1) {}

void SourceLimit::set_policy(const SourcePolicy& policy, std::uint64_t tsc_hz) noexcept {
  if (policy.requests_per_s == 0) {
    interval_ = 0;
    return;
  }
  // The low bits of a tick are taken: no interval is shorter than they count.
  interval_ = std::max<std::uint64_t>(tsc_hz / policy.requests_per_s, kind_bits + 1);
  tolerance_ = interval_ * (std::max<std::uint64_t>(policy.burst, 1) - 1);
  network_interval_ = policy.network_factor == 0
                          ? 0
                          : std::max<std::uint64_t>(interval_ / policy.network_factor, kind_bits + 1);
}

std::size_t SourceLimit::set_of(std::uint64_t address, std::uint64_t kind) const noexcept {
  return folded_product(folded_product(address ^ seed_[0], seed_[1] | 1) ^ kind,
                        seed_[0] ^ seed_[1] ^ 0x9e3779b97f4a7c15) &
         mask_;
}

// The greatest is the first to be forgotten: an empty one, or one that no allowance of today explains.
std::int64_t SourceLimit::age_of(const Entry& entry, std::uint64_t now) const noexcept {
  if ((entry.whole_at & kind_bits) == 0) return INT64_MAX;
  const auto ahead = static_cast<std::int64_t>(entry.whole_at - now);
  return is_of_another_time(ahead, interval_, tolerance_) ? INT64_MAX : -ahead;
}

bool SourceLimit::take(std::uint64_t address, std::uint64_t kind, std::uint64_t now_tsc,
                       std::uint64_t interval) noexcept {
  Set& set = sets_[set_of(address, kind)];
  const std::uint64_t now = now_tsc & ~kind_bits;
  Entry* oldest = set.entries.data();
  for (Entry& entry : set.entries) {
    if (entry.address == address && (entry.whole_at & kind_bits) == kind) {
      std::uint64_t whole_at = entry.whole_at & ~kind_bits;
      const bool is_served = spend(whole_at, now, interval & ~kind_bits, tolerance_);
      entry.whole_at = whole_at | kind;
      return is_served;
    }
    if (age_of(entry, now) > age_of(*oldest, now)) oldest = &entry;
  }
  *oldest = {address, (now + (interval & ~kind_bits)) | kind};
  return true;
}

bool SourceLimit::take_ipv4(const std::uint8_t* source, bool is_nts, std::uint64_t now_tsc) noexcept {
  std::uint32_t address;
  std::memcpy(&address, source, sizeof address);
  return take(address, kind_ipv4 | (is_nts ? 1U : 0U), now_tsc, interval_);
}

bool SourceLimit::take_ipv6(const std::uint8_t* source, bool is_nts, std::uint64_t now_tsc) noexcept {
  const std::uint64_t prefix = load_network(source);
  const std::uint64_t nts = is_nts ? 1 : 0;
  if (prefix >> 54 == 0xfe80 >> 6)
    return take(load_network(source + 8), kind_link_local | nts, now_tsc, interval_);
  const bool is_served = take(prefix, kind_ipv6_64 | nts, now_tsc, interval_);
  if (!is_served || network_interval_ == 0) return is_served;
  return take(prefix & ~std::uint64_t{0xff}, kind_ipv6_56 | nts, now_tsc, network_interval_);
}

std::size_t SourceLimit::set_of_ipv4(const std::uint8_t* source, bool is_nts) const noexcept {
  std::uint32_t address;
  std::memcpy(&address, source, sizeof address);
  return set_of(address, kind_ipv4 | (is_nts ? 1U : 0U));
}

void Budget::set(std::uint32_t per_s, std::uint64_t tsc_hz) noexcept {
  interval_ = per_s == 0 ? 0 : std::max<std::uint64_t>(tsc_hz / per_s, 1);
  tolerance_ = interval_ * (per_s == 0 ? 0 : per_s - 1);
}

bool Budget::take(std::uint64_t now_tsc) noexcept {
  return interval_ == 0 || spend(whole_at_, now_tsc, interval_, tolerance_);
}

}  // namespace dataplane
