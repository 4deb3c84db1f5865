#include "hwclock/leap_table.h"

#include <charconv>
#include <chrono>
#include <cstdlib>

namespace hwclock {
namespace {

constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t posix_minus_ntp_s = 2'208'988'800;
constexpr std::int32_t tai_minus_gps_s = 19;

struct Entry {
  int year;
  int month;  // its first day is the first with the new offset
};

// TAI minus UTC was 10 s from 1972-01-01 on, and every entry adds one.
constexpr std::int32_t first_offset_s = 10;
constexpr Entry first_entry{1972, 1};
constexpr std::array<Entry, 27> entries{{
    {1972, 7}, {1973, 1}, {1974, 1}, {1975, 1}, {1976, 1}, {1977, 1}, {1978, 1}, {1979, 1}, {1980, 1},
    {1981, 7}, {1982, 7}, {1983, 7}, {1985, 7}, {1988, 1}, {1990, 1}, {1991, 1}, {1992, 7}, {1993, 7},
    {1994, 7}, {1996, 1}, {1997, 7}, {1999, 1}, {2006, 1}, {2009, 1}, {2012, 7}, {2015, 7}, {2017, 1},
}};

std::int64_t begin_of(const Entry& entry) noexcept {
  using namespace std::chrono;
  const sys_days date = year{entry.year} / entry.month / 1;
  return std::int64_t{date.time_since_epoch().count()} * day_s;
}

std::string_view without_blanks(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// The number in front, which is cut off; nothing unless a blank or the end stands behind it.
std::optional<std::int64_t> take_number(std::string_view& text) noexcept {
  text = without_blanks(text);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || (length < text.size() && text[length] != ' ' && text[length] != '\t'))
    return {};
  text.remove_prefix(length);
  return number;
}

}  // namespace

bool LeapTable::add(const Change& change) noexcept {
  if (count_ == changes_max || change.utc_s % day_s != 0) return false;
  if (count_ != 0) {
    const Change& before = changes_[count_ - 1];
    if (change.utc_s <= before.utc_s || std::abs(change.tai_minus_utc_s - before.tai_minus_utc_s) != 1)
      return false;
  }
  changes_[count_++] = change;
  return true;
}

LeapTable LeapTable::compiled() noexcept {
  LeapTable table;
  std::int32_t offset_s = first_offset_s;
  static_cast<void>(table.add({begin_of(first_entry), offset_s}));
  for (const Entry& entry : entries) static_cast<void>(table.add({begin_of(entry), ++offset_s}));
  return table;
}

std::optional<LeapTable> LeapTable::parse(std::string_view text, std::string& fault) {
  LeapTable table;
  std::size_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const std::size_t end = text.find('\n');
    std::string_view line = without_blanks(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const bool is_expiry = line.substr(0, 2) == "#@";
    if (is_expiry) line.remove_prefix(2);
    line = without_blanks(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::optional<std::int64_t> ntp_s = take_number(line);
    if (is_expiry && ntp_s) {
      table.expires_utc_s_ = *ntp_s - posix_minus_ntp_s;
      continue;
    }
    const std::optional<std::int64_t> offset_s = take_number(line);
    const bool is_read =
        !is_expiry && ntp_s && offset_s && without_blanks(line).empty() && *offset_s > 0 && *offset_s < 1000;
    if (!is_read || !table.add({*ntp_s - posix_minus_ntp_s, static_cast<std::int32_t>(*offset_s)})) {
      fault = "line " + std::to_string(line_number) + " is no leap second that follows the one before it";
      return std::nullopt;
    }
  }
  const LeapTable known = compiled();
  for (std::size_t i = 0; i < known.count_; ++i) {
    if (i < table.count_ && table.changes_[i].utc_s == known.changes_[i].utc_s &&
        table.changes_[i].tai_minus_utc_s == known.changes_[i].tai_minus_utc_s) {
      continue;
    }
    fault = "it does not tell the leap seconds up to 2017 as they were";
    return std::nullopt;
  }
  return table;
}

LeapPlan LeapTable::plan_around(std::int64_t tai_s) const noexcept {
  constexpr std::int64_t after_s = 10;
  LeapPlan plan{changes_[0].tai_minus_utc_s, 0, 0};
  for (std::size_t i = 1; i < count_; ++i) {
    const Change& change = changes_[i];
    const std::int64_t change_tai_s = change.utc_s + change.tai_minus_utc_s;
    if (tai_s < change_tai_s + after_s) {
      plan.change_s = change.tai_minus_utc_s - plan.tai_minus_utc_s;
      plan.change_tai_s = change_tai_s;
      break;
    }
    plan.tai_minus_utc_s = change.tai_minus_utc_s;
  }
  return plan;
}

LeapPlan LeapTable::plan_at(std::int64_t utc_s) const noexcept {
  LeapPlan plan{changes_[0].tai_minus_utc_s, 0, 0};
  for (std::size_t i = 1; i < count_; ++i) {
    const Change& change = changes_[i];
    if (utc_s < change.utc_s) {
      plan.change_s = change.tai_minus_utc_s - plan.tai_minus_utc_s;
      plan.change_tai_s = change.utc_s + change.tai_minus_utc_s;
      break;
    }
    plan.tai_minus_utc_s = change.tai_minus_utc_s;
  }
  return plan;
}

LeapPlan LeapTable::last_change(std::int64_t tai_s) const noexcept {
  LeapPlan plan{changes_[0].tai_minus_utc_s, 0, 0};
  for (std::size_t i = 1; i < count_; ++i) {
    const std::int64_t change_tai_s = changes_[i].utc_s + changes_[i].tai_minus_utc_s;
    if (tai_s < change_tai_s) break;
    const std::int32_t before_s = changes_[i - 1].tai_minus_utc_s;
    plan = {before_s, changes_[i].tai_minus_utc_s - before_s, change_tai_s};
  }
  return plan;
}

LeapPlan better_plan(const LeapPlan& table, const std::optional<LeapPlan>& receiver) noexcept {
  if (!receiver) return table;
  const bool is_over =
      table.change_s != 0 && receiver->tai_minus_utc_s == table.tai_minus_utc_s + table.change_s;
  return is_over ? table : *receiver;
}

std::optional<LeapPlan> leap_plan_of(const UbxLeap& leap, std::int64_t utc_s) noexcept {
  if (!leap.is_current_valid) return std::nullopt;
  LeapPlan plan{leap.gps_minus_utc_s + tai_minus_gps_s, 0, 0};
  if (!leap.is_change_valid || leap.change_s == 0 || leap.seconds_to_change <= 0) return plan;
  using namespace std::chrono;
  const std::int64_t days = (utc_s + leap.seconds_to_change + day_s / 2) / day_s;  // the nearest midnight
  const year_month_day date{sys_days{std::chrono::days{days}}};
  const bool is_usual = date.day() == day{1} && (date.month() == January || date.month() == July);
  if (!is_usual) return plan;
  plan.change_s = leap.change_s;
  plan.change_tai_s = days * day_s + plan.tai_minus_utc_s + plan.change_s;
  return plan;
}

}  // namespace hwclock
