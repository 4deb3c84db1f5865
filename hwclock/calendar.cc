#include "hwclock/calendar.h"

#include <chrono>

namespace hwclock {

std::optional<std::int64_t> utc_seconds_of(const CivilTime& time) noexcept {
  using namespace std::chrono;
  // chrono keeps months and days in an octet each: what is larger would come out as another day.
  constexpr int months = 12;
  constexpr int days_max = 31;
  if (time.year < 1970 || time.year > 2200 || time.month < 1 || time.month > months || time.day < 1 ||
      time.day > days_max) {
    return std::nullopt;
  }
  const year_month_day date{year{time.year}, month{static_cast<unsigned>(time.month)},
                            day{static_cast<unsigned>(time.day)}};
  if (!date.ok() || time.hour < 0 || time.hour > 23 || time.minute < 0 || time.minute > 59)
    return std::nullopt;
  if (time.second < 0 || time.second > 60) return std::nullopt;
  const std::int64_t days = sys_days{date}.time_since_epoch().count();
  return days * 86'400 + time.hour * 3'600 + time.minute * 60 + time.second;
}

bool is_possible_date(std::int64_t utc_s, std::int64_t known_good_s) noexcept {
  constexpr std::int64_t day_s = 86'400;
  return utc_s >= known_good_s - day_s && utc_s <= known_good_s + rollover_s / 2;
}

std::int64_t without_rollover(std::int64_t told_s, std::int64_t known_good_s) noexcept {
  const std::int64_t away_s = known_good_s - told_s;
  const std::int64_t half_s = rollover_s / 2;
  const std::int64_t rollovers = (away_s >= 0 ? away_s + half_s : away_s - half_s) / rollover_s;
  return told_s + rollovers * rollover_s;
}

}  // namespace hwclock
