#include "hwclock/stamps.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

constexpr double ns_per_s = 1e9;
// Behind the newest reading the line is no longer held by two: a quarter of a second of it, a few readings.
constexpr std::int64_t ahead_ns_max = 250'000'000;

}  // namespace

const Reading& Stamps::at(std::size_t age) const noexcept {
  return readings_[(newest_ + readings_max - age) % readings_max];
}

bool Stamps::is_line(const Reading& earlier, const Reading& later) const noexcept {
  const double passed_ns = static_cast<double>(later.tsc - earlier.tsc) / tick_hz_ * ns_per_s;
  const auto told_ns = static_cast<double>(later.ns - earlier.ns);
  // What reading it costs is no rate: two readings may be taken a microsecond apart.
  const double reading_ns =
      static_cast<double>(earlier.half_width_ticks + later.half_width_ticks) / tick_hz_ * ns_per_s;
  return std::fabs(told_ns - passed_ns) <= rate_off_max * passed_ns + reading_ns;
}

void Stamps::take(const Reading& reading) noexcept {
  if (count_ != 0 && (reading.tsc <= at(0).tsc || !is_line(at(0), reading))) {
    ++step_count_;
    count_ = 0;
  }
  newest_ = (newest_ + 1) % readings_max;
  readings_[newest_] = reading;
  count_ = std::min(count_ + 1, readings_max);
}

std::optional<TickStamp> Stamps::tick_of(std::int64_t ns) const noexcept {
  if (count_ < 2 || ns > at(0).ns + ahead_ns_max) return std::nullopt;
  std::size_t age = 1;
  while (age < count_ && at(age).ns > ns) ++age;
  if (age == count_) return std::nullopt;
  const Reading& earlier = at(age);
  const Reading& later = at(age - 1);
  const std::int64_t span_ns = later.ns - earlier.ns;
  if (span_ns <= 0) return std::nullopt;
  const double ticks_per_ns = static_cast<double>(later.tsc - earlier.tsc) / static_cast<double>(span_ns);
  const double after_ticks = static_cast<double>(ns - earlier.ns) * ticks_per_ns;
  const double half_width_ticks =
      static_cast<double>(std::max(earlier.half_width_ticks, later.half_width_ticks));
  // The truth lies anywhere in the bracket: a uniform distribution, whose deviation this is.
  constexpr double uniform_sigma = 0.5774;
  return TickStamp{earlier.tsc + static_cast<std::uint64_t>(std::llround(after_ticks)),
                   uniform_sigma * half_width_ticks / tick_hz_ * ns_per_s};
}

}  // namespace hwclock
