// Two clocks, two types: a NIC reading minus a TAI instant does not compile.
//
// Inside Noonmark time is TAI in int64 nanoseconds (until the year 2262). UTC exists at the edges: what the
// kernel gives, and what the wire wants. TSC ticks are a count, not a time, until a ClockState says
// otherwise.
#pragma once

#include <compare>
#include <cstdint>

namespace hwclock {

struct Duration {
  std::int64_t ns = 0;
  friend constexpr auto operator<=>(Duration, Duration) = default;
};

struct TaiTime {
  std::int64_t ns = 0;  // since 1970-01-01 00:00:00 TAI
  friend constexpr auto operator<=>(TaiTime, TaiTime) = default;
};

struct UtcTime {
  std::int64_t ns = 0;  // since 1970-01-01 UTC, POSIX style: leap seconds are not counted
  friend constexpr auto operator<=>(UtcTime, UtcTime) = default;
};

struct PhcTime {
  std::int64_t ns = 0;  // since the NIC was reset, or whatever its driver says
  friend constexpr auto operator<=>(PhcTime, PhcTime) = default;
};

struct TscTime {
  std::uint64_t ticks = 0;
  friend constexpr auto operator<=>(TscTime, TscTime) = default;
};

constexpr Duration operator-(TaiTime later, TaiTime earlier) { return {later.ns - earlier.ns}; }
constexpr Duration operator-(UtcTime later, UtcTime earlier) { return {later.ns - earlier.ns}; }
constexpr Duration operator-(PhcTime later, PhcTime earlier) { return {later.ns - earlier.ns}; }
constexpr TaiTime operator+(TaiTime instant, Duration passed) { return {instant.ns + passed.ns}; }
constexpr UtcTime operator+(UtcTime instant, Duration passed) { return {instant.ns + passed.ns}; }
constexpr PhcTime operator+(PhcTime instant, Duration passed) { return {instant.ns + passed.ns}; }
constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }

// TAI = UTC + offset; the offset (37 s since 2017) is data, never a constant in code.
constexpr TaiTime tai_from_utc(UtcTime utc, std::int32_t tai_minus_utc_s) {
  return {utc.ns + std::int64_t{tai_minus_utc_s} * 1'000'000'000};
}

}  // namespace hwclock
