#include "hwclock/pps_number.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

// A counter is good to 100 ppm and its calibration to a few times that; a pulse of another rate is far off.
constexpr double period_tolerance = 0.1;
// A message belongs to the pulse before it only when it comes well before the middle of the second.
constexpr double delay_max_s = 0.4;
constexpr double ambiguous_until_s = 0.6;
constexpr double delay_spread_max_s = 0.2;
// Our own clock numbers a pulse when it is this near to a whole second; elsewhere it is no second's pulse.
constexpr std::int64_t own_error_max_ns = 400'000'000;

}  // namespace

void PpsNumber::start_over(NumberingDoubt why) noexcept {
  mode_ = NumberingMode::reset;
  doubt_ = why;
  agreeing_ = 0;
  counted_ = 0;
  pulse_is_numbered_ = false;
  disagreements_ = 0;
}

void PpsNumber::reset() noexcept { start_over(NumberingDoubt::no_time_of_day); }

void PpsNumber::take(const TimeOfDay& time_of_day) noexcept {
  if (!has_pulse_) return;
  const double delay_s =
      static_cast<double>(static_cast<std::int64_t>(time_of_day.tick - pulse_tick_)) / tick_hz_;
  if (mode_ == NumberingMode::reset) {
    collect(time_of_day, delay_s);
    return;
  }
  // Which pulse it belongs to is not asked: whoever is a second late says a second less, and is contradicted.
  if (!pulse_is_numbered_ || pulse_has_time_of_day_ || delay_s < 0.0 || delay_s > 1.0) return;
  pulse_has_time_of_day_ = true;
  contradiction_s_ = time_of_day.tai_s - pulse_tai_s_;
  disagreements_ = contradiction_s_ == 0 ? 0 : std::min(disagreements_ + 1, disagreements_max);
}

void PpsNumber::collect(const TimeOfDay& time_of_day, double delay_s) noexcept {
  if (pulse_has_time_of_day_)
    return;  // receivers send several sentences a second; the first is the promptest
  if (delay_s <= 0.0 || delay_s > delay_max_s) {
    start_over(delay_s > delay_max_s && delay_s < ambiguous_until_s ? NumberingDoubt::ambiguous_delay
                                                                    : NumberingDoubt::no_time_of_day);
    return;
  }
  pulse_has_time_of_day_ = true;
  if (agreeing_ != 0 && time_of_day.tai_s != pulse_tai_s_) {
    start_over(NumberingDoubt::disagreement);
  }
  delay_least_s_ = agreeing_ == 0 ? delay_s : std::min(delay_least_s_, delay_s);
  delay_most_s_ = agreeing_ == 0 ? delay_s : std::max(delay_most_s_, delay_s);
  if (delay_most_s_ - delay_least_s_ > delay_spread_max_s) {
    start_over(NumberingDoubt::unsteady_delay);
    return;
  }
  pulse_tai_s_ = time_of_day.tai_s;
  ++agreeing_;
}

Numbered PpsNumber::take(const Pulse& pulse, const TaiTime* own) noexcept {
  const double periods =
      has_pulse_ ? static_cast<double>(static_cast<std::int64_t>(pulse.tick - pulse_tick_)) / tick_hz_ : 0.0;
  if (has_pulse_ && mode_ != NumberingMode::reset) {
    const Numbered numbered = count_on(periods, own);
    if (!numbered.is_numbered) return numbered;
    pulse_tick_ = pulse.tick;
    pulse_tai_s_ = numbered.tai_s;
    pulse_has_time_of_day_ = false;
    return numbered;
  }

  // RESET. The pulse before this one is complete: a second long, and with its time of day.
  const bool is_second = has_pulse_ && std::fabs(periods - 1.0) < period_tolerance;
  const bool was_told = pulse_has_time_of_day_;
  if (has_pulse_ && !is_second) {
    start_over(NumberingDoubt::period);
  } else if (has_pulse_ && !was_told) {
    start_over(doubt_ == NumberingDoubt::ambiguous_delay ? doubt_ : NumberingDoubt::no_time_of_day);
  }
  has_pulse_ = true;
  pulse_tick_ = pulse.tick;
  pulse_has_time_of_day_ = false;
  if (agreeing_ == 0) return {};
  ++pulse_tai_s_;
  if (agreeing_ < pulses_wanted) return {};
  mode_ = NumberingMode::converging;
  doubt_ = NumberingDoubt::none;
  counted_ = 1;
  pulse_is_numbered_ = true;
  return {true, true, pulse_tai_s_};
}

// The number of a pulse by our own clock, or by counting while that is not yet good.
Numbered PpsNumber::count_on(double periods, const TaiTime* own) noexcept {
  const double passed = std::round(periods);
  if (own == nullptr) {
    if (passed < 1.0) return {};  // a second edge of the same pulse
    if (std::fabs(periods - passed) > period_tolerance || passed > 10.0) {
      start_over(NumberingDoubt::period);
      return {};
    }
    mode_ = NumberingMode::converging;
    counted_ = 0;
    return {true, false, pulse_tai_s_ + static_cast<std::int64_t>(passed)};
  }
  const std::int64_t nearest_s = (own->ns + ns_per_s / 2) / ns_per_s;
  if (std::abs(own->ns - nearest_s * ns_per_s) > own_error_max_ns || nearest_s <= pulse_tai_s_) return {};
  counted_ = std::min(counted_ + 1, converging_pulses);
  if (counted_ == converging_pulses) mode_ = NumberingMode::tracking;
  return {true, false, nearest_s};
}

}  // namespace hwclock
