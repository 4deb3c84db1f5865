// Leap seconds: what TAI minus UTC is, and what to say around a change of it. leap_table.h knows when they
// come.
//
// Rules: RFC 5905 section 7.3 (the leap indicator speaks of the last minute of the current day) and, for the
// leap itself, CLOCK.md section 2.4: NTP cannot name the inserted second, so leap is 3 from a second before
// it to a second after.
#pragma once

#include <cstdint>

#include "hwclock/time.h"

namespace hwclock {

// TAI minus UTC now, and the next change of it, if one is known.
struct LeapPlan {
  std::int32_t tai_minus_utc_s = 0;
  std::int32_t change_s = 0;      // +1 a second is inserted, -1 one is left out, 0 nothing is known
  std::int64_t change_tai_s = 0;  // the first TAI second with the new offset: 00:00:00 of a UTC day
};

// False for a plan without a change, or with one that does not end a UTC day: a receiver may say anything.
[[nodiscard]] bool is_possible(const LeapPlan& plan) noexcept;

// A plan whose change does not end a UTC day says nothing: no change comes, and nobody is told of one.
[[nodiscard]] std::int32_t tai_minus_utc_at(const LeapPlan& plan, TaiTime time) noexcept;

// The same for an instant named in POSIX seconds of UTC, of which the inserted one and the next are alike.
[[nodiscard]] std::int32_t tai_minus_utc_at_utc(const LeapPlan& plan, std::int64_t utc_s) noexcept;

// 0 to 3 as on the wire.
[[nodiscard]] std::uint32_t leap_indicator_at(const LeapPlan& plan, TaiTime time) noexcept;

}  // namespace hwclock
