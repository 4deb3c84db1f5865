// What the world reads of the clock: a reference pair, a rate, an error model, and how long it may be
// believed.
//
// The clock role publishes it about 8 times a second and at every step; the dataplane turns TSC ticks into
// NTP timestamps with one multiply. `valid_until` is the end of the model's own holdover, not the next
// publication: a dead clock role means a growing error, then "unsynchronised", never silence and never a
// stale promise.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "hwclock/time.h"

namespace hwclock {

__extension__ using Int128 = __int128;

// CLOCK.md's states; `local` is a lab's declared clock, which is not synchronised to anything.
enum class State : std::uint32_t {
  unsync = 0,
  warmup = 1,
  locked = 2,
  holdover = 3,
  fallback = 4,
  alarm = 5,
  local = 6
};

// Where the time comes from. A name for people stands in `source_name`.
enum class Source : std::uint32_t { none = 0, system = 1, local = 2, pps = 3, phc = 4, upstream = 5 };

// NTP time over TSC ticks, where the three numbers are all there is; a ClockState holds one.
struct Line {
  std::uint64_t tsc0 = 0;
  std::uint64_t ntp0 = 0;
  std::uint64_t mult = 0;
};

// What smeared addresses are served around a leap second (smear.h), in place of the line, leap and reference
// id that everybody else is.
struct ServedSmear {
  Line line;
  std::uint64_t valid_until;  // TSC tick after which smeared time is not known; 0: none is smeared just now
  std::uint64_t off_ns;       // from UTC at most, until then: belongs into the root dispersion
  std::int64_t change_tai_s;  // what is smeared, as in LeapPlan: a new clock role goes on with it
  std::int32_t change_s;
  std::int32_t tai_minus_utc_s;
  std::uint32_t reference_id;
  std::uint32_t reserved;
};
static_assert(sizeof(ServedSmear) == 64);

// A line at the clock's true rate that is never corrected in phase and never steps (mono_line.h): its
// readings compare among each other, under one epoch, and are no time of day. What NTP's field 0xF323 tells.
struct ServedMono {
  Line line;  // mult 0: there is none
  std::uint32_t epoch;
  std::uint32_t reserved;
};
static_assert(sizeof(ServedMono) == 32);

struct ClockState {
  std::uint64_t tsc0;  // the reference pair: at TSC tick tsc0 ...
  std::uint64_t ntp0;  // ... NTP time was ntp0 (units of 2^-32 s since 1900, era dropped)
  std::uint64_t
      mult;  // NTP units per tick, times 2^60: ntp = ntp0 + ((ticks * mult) >> 60); TSC above 268 MHz
  std::uint64_t tsc_hz;               // ticks per second, for everything that is not the served time
  std::uint64_t valid_until;          // TSC tick after which the state is void: serve leap 3
  std::uint64_t reference_ntp;        // when the clock was last corrected (P41: never after a receive stamp)
  std::uint64_t root_delay_ns;        // to the primary source, round trip
  std::uint64_t dispersion0_ns;       // root dispersion at tsc0
  std::uint64_t dispersion_rate_ppb;  // how fast it grows with ticks since tsc0
  std::uint64_t step_count;           // rises when served time jumps: interleaved state must be dropped
  State state;
  Source source;
  std::uint32_t leap;            // 0 none, 1 insert, 2 delete, 3 unsynchronised
  std::uint32_t stratum;         // 1..15; 0 = unsynchronised
  std::uint32_t reference_id;    // as on the wire, first octet in the high bits
  std::int32_t precision;        // log2 seconds of one reading
  std::int32_t tai_minus_utc_s;  // 0 = not known
  std::uint32_t reserved;
  char source_name[32];  // NUL-terminated, for people
  ServedSmear smear;
  ServedMono mono;  // an engine gives the rate alone, line.mult; the rest is MonoLine's
};
static_assert(sizeof(ClockState) == 10 * 8 + 8 * 4 + 32 + 64 + 32);
static_assert(std::is_trivially_copyable_v<ClockState>);

// What does not fit is cut.
void set_source_name(ClockState& state, std::string_view name) noexcept;

// True when every field is in range: a reader refuses a state that is not (zero rate, stratum above 15, ...).
[[nodiscard]] bool is_valid(const ClockState& state) noexcept;

// NTP timestamp at TSC tick `tsc`, also for ticks a little before tsc0.
[[nodiscard]] inline std::uint64_t ntp_at(const Line& line, std::uint64_t tsc) noexcept {
  const auto ticks = static_cast<std::int64_t>(tsc - line.tsc0);
  const auto product = static_cast<Int128>(ticks) * static_cast<Int128>(line.mult);
  return line.ntp0 + static_cast<std::uint64_t>(product >> 60);
}
[[nodiscard]] inline std::uint64_t ntp_at(const ClockState& state, std::uint64_t tsc) noexcept {
  return ntp_at(Line{state.tsc0, state.ntp0, state.mult}, tsc);
}

// Root dispersion at `tsc`, in nanoseconds: the published one grown since tsc0.
[[nodiscard]] std::uint64_t dispersion_ns_at(const ClockState& state, std::uint64_t tsc) noexcept;

// False once the model may no longer be believed, or after a TSC jump backwards of more than a second (a
// restored VM snapshot).
[[nodiscard]] bool is_believable(const ClockState& state, std::uint64_t tsc) noexcept;

// The same promise, said again from `tick` on: what somebody else locked is a holdover now.
[[nodiscard]] ClockState held_over(const ClockState& promise, std::uint64_t tick) noexcept;

}  // namespace hwclock
