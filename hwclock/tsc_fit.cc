#include "hwclock/tsc_fit.h"

#include <algorithm>
#include <cmath>

#include "hwclock/served_line.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t ntp_seconds_at_1970 = 2'208'988'800;
constexpr double units_per_ns = 0x1p32 / 1e9;

// What a line is off by is taken out within about this time. Four readings: fast enough to follow a slew,
// slow enough that tens of nanoseconds of noise move the rate by less than 0.1 ppm.
constexpr double correction_s = 0.5;

// The line's rate stays this near to the nominal one: ClockState's readers refuse a tenth. Two hundredths are
// the step limit over correction_s, three are left for the clock's own slewing.
constexpr double rate_deviation_max = 0.05;

// Where the line becomes slower, it does so this long after the reading: see bend().
constexpr double turn_delay_s = 0.001;

// Beyond its bracket, a reading may miss the line by this much: the kernel's own rounding and dithering.
constexpr double kernel_noise_ns = 50.0;

// The settled rate is a mean over about as many fits: a minute.
constexpr std::uint64_t settled_fits_max = 512;

double ns_of_units(std::uint64_t units) noexcept {
  return static_cast<double>(static_cast<std::int64_t>(units)) / units_per_ns;
}

}  // namespace

std::uint64_t ntp_of_utc(std::int64_t utc_ns) noexcept {
  std::int64_t seconds = utc_ns / ns_per_s;
  std::int64_t rest_ns = utc_ns % ns_per_s;
  if (rest_ns < 0) {
    rest_ns += ns_per_s;
    --seconds;
  }
  return (static_cast<std::uint64_t>(seconds + ntp_seconds_at_1970) << 32) +
         (static_cast<std::uint64_t>(rest_ns) << 32) / static_cast<std::uint64_t>(ns_per_s);
}

std::uint64_t tsc_hz_between(const Reading& earlier, const Reading& later) noexcept {
  const auto ticks = static_cast<std::int64_t>(later.tsc - earlier.tsc);
  const std::int64_t passed_ns = later.ns - earlier.ns;
  if (ticks <= 0 || passed_ns <= 0) return 0;
  return static_cast<std::uint64_t>(static_cast<Int128>(ticks) * ns_per_s / passed_ns);
}

TscFit::TscFit(std::uint64_t tsc_hz) noexcept
    : nominal_ns_per_tick_(1e9 / static_cast<double>(tsc_hz)),
      clock_ns_per_tick_(nominal_ns_per_tick_),
      settled_ns_per_tick_(nominal_ns_per_tick_) {}

void TscFit::resume(const Line& line, std::uint64_t step_count) noexcept {
  fitted_.line = line;
  fitted_.step_count = step_count;
  has_line_ = true;
}

void TscFit::prime(const Reading& utc) noexcept {
  // Readings on the other side of a step lie on another line.
  if (reading_count_ != 0) {
    const Reading& newest = readings_[reading_count_ - 1];
    const auto ticks = static_cast<std::int64_t>(utc.tsc - newest.tsc);
    const double miss_ns =
        static_cast<double>(utc.ns - newest.ns) - static_cast<double>(ticks) * clock_ns_per_tick_;
    if (ticks <= 0 || is_beyond_step(miss_ns, utc)) reading_count_ = 0;
  }
  if (reading_count_ == readings_max) drop_oldest();
  readings_[reading_count_++] = utc;
}

const Fitted& TscFit::take(const Reading& utc) noexcept {
  prime(utc);
  learn_rate();
  const double offset_ns = has_line_ ? ns_of_units(ntp_of_utc(utc.ns) - ntp_at(fitted_.line, utc.tsc)) : 0.0;
  fitted_.read_tsc = utc.tsc;
  fitted_.settled_ns_per_tick = settled_ns_per_tick_;
  fitted_.offset_ns = std::llround(offset_ns);
  fitted_.stepped = has_line_ && is_beyond_step(offset_ns, utc);
  if (fitted_.stepped) ++fitted_.step_count;
  if (fitted_.stepped || !has_line_) {
    begin_at(utc);
  } else {
    bend(utc);
  }
  has_line_ = true;
  return fitted_;
}

void TscFit::learn_rate() noexcept {
  phase_ns_ = 0.0;
  if (reading_count_ < 2) return;
  double slope = 0.0;
  // Two readings always lie on one line; three that do not are a clock that changed its rate.
  while (!fit(slope) && reading_count_ > 2) drop_oldest();
  clock_ns_per_tick_ = within_deviation(slope);
  ++fits_;
  settled_ns_per_tick_ +=
      (clock_ns_per_tick_ - settled_ns_per_tick_) / static_cast<double>(std::min(fits_, settled_fits_max));
}

// A new line through the reading itself, at the rate known so far.
void TscFit::begin_at(const Reading& reading) noexcept {
  fitted_.line = {reading.tsc, ntp_of_utc(reading.ns), mult_of(clock_ns_per_tick_)};
  fitted_.error_ns = static_cast<std::uint64_t>(std::ceil(ns_of(reading.half_width_ticks)));
  fitted_.rate_error_ppb =
      static_cast<std::uint64_t>(std::ceil(std::fabs(clock_ns_per_tick_ / settled_ns_per_tick_ - 1.0) * 1e9));
}

// The line goes on from where it is, at a rate that takes it to the clock.
void TscFit::bend(const Reading& reading) noexcept {
  const Line before = fitted_.line;
  const double clock_minus_line_ns =
      ns_of_units(ntp_of_utc(reading.ns) - ntp_at(before, reading.tsc)) + phase_ns_;
  const double ns_per_tick = within_deviation(
      clock_ns_per_tick_ + clock_minus_line_ns * nominal_ns_per_tick_ / (correction_s * 1e9));

  // Readers change over a little after the reading. A faster line lies above the old one after the turn, a
  // slower one before it: so the turn lies behind them or ahead of them, and no reader sees time go back.
  Line next{reading.tsc, 0, mult_of(ns_per_tick)};
  if (next.mult < before.mult) {
    next.tsc0 += static_cast<std::uint64_t>(turn_delay_s * 1e9 / nominal_ns_per_tick_);
  }
  next.ntp0 = ntp_at(before, next.tsc0) + 1;  // 0.23 ns, so that rounding is no step back either
  fitted_.line = next;

  // Where the turn lies ahead, the new line stands elsewhere at the reading than the old one did.
  const double still_off_ns = ns_of_units(ntp_of_utc(reading.ns) - ntp_at(next, reading.tsc)) + phase_ns_;
  fitted_.error_ns =
      static_cast<std::uint64_t>(std::ceil(std::max(std::fabs(clock_minus_line_ns), std::fabs(still_off_ns)) +
                                           ns_of(reading.half_width_ticks) + std::fabs(phase_ns_)));
  fitted_.rate_error_ppb =
      static_cast<std::uint64_t>(std::ceil(std::fabs(ns_per_tick / settled_ns_per_tick_ - 1.0) * 1e9));
}

// The slope in ns per tick through the readings, a reading weighing as it is narrow, and the phase of that
// line at the newest. False when a reading misses the line by more than its bracket explains.
bool TscFit::fit(double& slope) noexcept {
  const Reading& newest = readings_[reading_count_ - 1];
  const auto ticks = [&](const Reading& reading) { return -static_cast<double>(newest.tsc - reading.tsc); };
  // Against the nominal line, so that the sums are of small numbers.
  const auto excess_ns = [&](const Reading& reading) {
    return static_cast<double>(reading.ns - newest.ns) - ticks(reading) * nominal_ns_per_tick_;
  };
  double weights = 0.0;
  double mean_ticks = 0.0;
  double mean_ns = 0.0;
  const auto weight = [](const Reading& reading) {
    const auto width = static_cast<double>(reading.half_width_ticks);
    return 1.0 / (width * width);
  };
  for (std::size_t i = 0; i < reading_count_; ++i) {
    weights += weight(readings_[i]);
    mean_ticks += weight(readings_[i]) * ticks(readings_[i]);
    mean_ns += weight(readings_[i]) * excess_ns(readings_[i]);
  }
  mean_ticks /= weights;
  mean_ns /= weights;
  double square = 0.0;
  double product = 0.0;
  for (std::size_t i = 0; i < reading_count_; ++i) {
    const double from_mean = ticks(readings_[i]) - mean_ticks;
    square += weight(readings_[i]) * from_mean * from_mean;
    product += weight(readings_[i]) * from_mean * (excess_ns(readings_[i]) - mean_ns);
  }
  const double excess_slope = product / square;
  phase_ns_ = mean_ns - excess_slope * mean_ticks;
  slope = nominal_ns_per_tick_ + excess_slope;
  for (std::size_t i = 0; i < reading_count_; ++i) {
    const double miss_ns = excess_ns(readings_[i]) - phase_ns_ - excess_slope * ticks(readings_[i]);
    if (std::fabs(miss_ns) > ns_of(readings_[i].half_width_ticks) + kernel_noise_ns) return false;
  }
  return true;
}

void TscFit::drop_oldest() noexcept {
  std::move(readings_.begin() + 1, readings_.begin() + static_cast<std::ptrdiff_t>(reading_count_),
            readings_.begin());
  --reading_count_;
}

bool TscFit::is_beyond_step(double difference_ns, const Reading& reading) const noexcept {
  return std::fabs(difference_ns) > static_cast<double>(step_limit_ns) + ns_of(reading.half_width_ticks);
}

double TscFit::within_deviation(double ns_per_tick) const noexcept {
  return std::clamp(ns_per_tick, nominal_ns_per_tick_ * (1.0 - rate_deviation_max),
                    nominal_ns_per_tick_ * (1.0 + rate_deviation_max));
}

double TscFit::ns_of(std::uint64_t ticks) const noexcept {
  return static_cast<double>(ticks) * nominal_ns_per_tick_;
}

}  // namespace hwclock
