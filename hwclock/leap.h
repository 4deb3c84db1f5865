// Leap seconds: what TAI minus UTC is and was, and what to say around a change.
//
// The table is IERS Bulletin C as compiled in; a receiver or a file may know more. Rules: RFC 5905
// section 7.3 (the leap indicator speaks of the last minute of the current day) and, for the leap itself,
// CLOCK.md section 2.4: NTP cannot name the inserted second, so leap is 3 from a second before it to a second
// after.
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

// What the compiled-in table says for a UTC instant, given in seconds since 1970. Before 1972: that of 1972.
[[nodiscard]] LeapPlan compiled_leap_plan(std::int64_t utc_s) noexcept;

// A plan whose change does not end a UTC day says nothing: no change comes, and nobody is told of one.
[[nodiscard]] std::int32_t tai_minus_utc_at(const LeapPlan& plan, TaiTime time) noexcept;

// 0 to 3 as on the wire.
[[nodiscard]] std::uint32_t leap_indicator_at(const LeapPlan& plan, TaiTime time) noexcept;

}  // namespace hwclock
