// NTP's 64-bit timestamp (RFC 5905 section 6): 32 bits of seconds since 1900 modulo 2^32, 32 bits of
// fraction.
//
// Eras: the wire never says which one. Era 1 begins 2036-02-07 06:28:16 UTC. Differences of timestamps are
// right across the boundary as long as they are below 68 years.
#pragma once

#include <compare>
#include <cstdint>

namespace nts {

struct NtpTime {
  std::uint64_t units = 0;  // 2^-32 s, about 233 ps

  friend constexpr bool operator==(NtpTime, NtpTime) = default;
};

inline constexpr std::int64_t unix_epoch_in_ntp_s = 2'208'988'800;  // 1970-01-01 as seconds since 1900

// later - earlier in units of 2^-32 s, right across an era boundary.
[[nodiscard]] constexpr std::int64_t difference(NtpTime later, NtpTime earlier) noexcept {
  return static_cast<std::int64_t>(later.units - earlier.units);
}

// `utc_ns`: nanoseconds since 1970-01-01 UTC without leap seconds (POSIX), any sign. Rounds down.
[[nodiscard]] NtpTime ntp_from_utc_ns(std::int64_t utc_ns) noexcept;

// The instant nearest to `pivot_utc_ns` that has this timestamp: within 68 years of the pivot, whatever the
// era.
[[nodiscard]] std::int64_t utc_ns_from_ntp(NtpTime time, std::int64_t pivot_utc_ns) noexcept;

// NTP short format (16.16 seconds), rounded up and saturating at 65535 s: an error is never understated.
[[nodiscard]] std::uint32_t short_from_ns_rounded_up(std::int64_t ns) noexcept;

}  // namespace nts
