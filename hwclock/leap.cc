#include "hwclock/leap.h"

#include <array>
#include <cstdlib>

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t day_s = 86'400;

// Days since 1970-01-01 of a date (Howard Hinnant, "chrono-compatible low-level date algorithms").
constexpr std::int64_t days_of(int year, int month, int day) {
  const int y = year - (month <= 2 ? 1 : 0);
  const int era = y / 400;
  const int year_of_era = y - era * 400;
  const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return std::int64_t{era} * 146'097 + day_of_era - 719'468;
}

struct Entry {
  int year;
  int month;  // its first day is the first with the new offset
};

// IERS Bulletin C, to number 70 (July 2025): no change since 2017. TAI minus UTC was 10 s from 1972-01-01 on,
// and every entry adds one.
constexpr std::int32_t first_offset_s = 10;
constexpr std::array<Entry, 27> entries{{
    {1972, 7}, {1973, 1}, {1974, 1}, {1975, 1}, {1976, 1}, {1977, 1}, {1978, 1}, {1979, 1}, {1980, 1},
    {1981, 7}, {1982, 7}, {1983, 7}, {1985, 7}, {1988, 1}, {1990, 1}, {1991, 1}, {1992, 7}, {1993, 7},
    {1994, 7}, {1996, 1}, {1997, 7}, {1999, 1}, {2006, 1}, {2009, 1}, {2012, 7}, {2015, 7}, {2017, 1},
}};

// A receiver may say anything; leap seconds end a UTC day.
bool is_possible(const LeapPlan& plan) noexcept {
  if (plan.change_s != 1 && plan.change_s != -1) return false;
  return (plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s) % day_s == 0;
}

}  // namespace

LeapPlan compiled_leap_plan(std::int64_t utc_s) noexcept {
  LeapPlan plan{first_offset_s, 0, 0};
  for (const Entry& entry : entries) {
    const std::int64_t change_utc_s = days_of(entry.year, entry.month, 1) * day_s;
    if (utc_s < change_utc_s) {
      plan.change_s = 1;
      plan.change_tai_s = change_utc_s + plan.tai_minus_utc_s + 1;
      break;
    }
    ++plan.tai_minus_utc_s;
  }
  return plan;
}

std::int32_t tai_minus_utc_at(const LeapPlan& plan, TaiTime time) noexcept {
  const bool is_over = is_possible(plan) && time.ns >= plan.change_tai_s * ns_per_s;
  return plan.tai_minus_utc_s + (is_over ? plan.change_s : 0);
}

std::uint32_t leap_indicator_at(const LeapPlan& plan, TaiTime time) noexcept {
  if (!is_possible(plan)) return 0;
  const std::int64_t change_ns = plan.change_tai_s * ns_per_s;
  // The second that is inserted is the last before the change.
  const std::int64_t begin_ns = change_ns - (plan.change_s == 1 ? 2 : 1) * ns_per_s;
  if (time.ns >= begin_ns && time.ns < change_ns + ns_per_s) return 3;
  if (time.ns >= change_ns || time.ns < change_ns - (day_s + plan.change_s) * ns_per_s) return 0;
  return plan.change_s == 1 ? 1 : 2;
}

}  // namespace hwclock
