// Dates as receivers give them, as seconds since 1970; and the repair of a GPS week number that rolled over.
//
// GPS weeks have 10 bits on the air, and a receiver's firmware guesses the rest: after some years it is wrong
// by 1024 weeks (CLOCK.md section 2.8).
#pragma once

#include <cstdint>
#include <optional>

namespace hwclock {

struct CivilTime {
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;  // 60 in an inserted leap second
};

// POSIX seconds; nothing when the date is none. Second 60 is the same as second 0 of the next minute.
[[nodiscard]] std::optional<std::int64_t> utc_seconds_of(const CivilTime& time) noexcept;

// This program was written no earlier: 2026-11-24. Whoever says otherwise has lost count.
inline constexpr std::int64_t written_utc_s = 1'795'478'400;

inline constexpr std::int64_t rollover_s = std::int64_t{1024} * 7 * 86'400;

// The instant that is a whole number of rollovers from `told_s` and nearest to `known_good_s`, which is the
// later of the build date and the last time that was known: right for 9.8 years after it, either way.
[[nodiscard]] std::int64_t without_rollover(std::int64_t told_s, std::int64_t known_good_s) noexcept;

// Whether it may be `utc_s` now: not before `known_good_s`, but for a day that a clock may have been off, and
// no half of a rollover behind it (TESTS.md I03).
[[nodiscard]] bool is_possible_date(std::int64_t utc_s, std::int64_t known_good_s) noexcept;

}  // namespace hwclock
