#include "hwclock/served_line.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

constexpr double ns_per_unit = 1e9 / 0x1p32;

// Where the line becomes slower, it does so this long after the target: readers change over in between, and
// the slower line lies above the faster one only before the turn.
constexpr double turn_delay_s = 0.001;

// About a unit of the wire; of the rate, what makes as much in a second.
constexpr double good_enough_ns = 0.3;

}  // namespace

std::uint64_t mult_of(double ns_per_tick) noexcept {
  return static_cast<std::uint64_t>(std::ldexp(ns_per_tick / 1e9, 92) + 0.5);  // above 2^63 below 537 MHz
}

double ServedLine::off_ns(const Target& target) const noexcept {
  const auto units = static_cast<std::int64_t>(target.ntp - ntp_at(line_, target.tick));
  return static_cast<double>(units) * ns_per_unit + target.fraction_ns;
}

double ServedLine::rate_off_ppb(const Target& target) const noexcept {
  return 1e9 *
         std::fabs(static_cast<double>(line_.mult) / static_cast<double>(mult_of(target.ns_per_tick)) - 1.0);
}

void ServedLine::step_to(const Target& target) noexcept {
  if (has_line()) ++step_count_;
  line_ = {target.tick, target.ntp, mult_of(target.ns_per_tick)};
  target_tick_ = target.tick;
}

void ServedLine::resume(const Line& line, std::uint64_t step_count, std::uint64_t tick) noexcept {
  line_ = line;
  step_count_ = step_count;
  target_tick_ = tick;
}

void ServedLine::renew(std::uint64_t tick) noexcept { line_ = {tick, ntp_at(line_, tick) + 1, line_.mult}; }

double ServedLine::bend_to(const Target& target) noexcept {
  const double off = off_ns(target);
  // Every bend rounds; where the line is right as it is, it stays.
  if (std::fabs(off) < good_enough_ns && rate_off_ppb(target) < good_enough_ns) {
    target_tick_ = target.tick;
    return off;
  }
  // What the new line begins with counts as done: the unit that makes sure of rounding, 0.23 ns.
  const double since_s =
      static_cast<double>(static_cast<std::int64_t>(target.tick - target_tick_)) / tick_hz_;
  const double over_s = std::max(correction_s, 2.0 * since_s);  // or it would overshoot, and more each time
  target_tick_ = target.tick;
  const double slew_ppb = std::clamp((off - ns_per_unit) / over_s, -slew_max_ppb, slew_max_ppb);
  Line next{target.tick, 0, mult_of(target.ns_per_tick * (1.0 + slew_ppb * 1e-9))};
  if (next.mult < line_.mult) next.tsc0 += static_cast<std::uint64_t>(turn_delay_s * tick_hz_);
  next.ntp0 = ntp_at(line_, next.tsc0) + 1;
  line_ = next;
  return off;
}

}  // namespace hwclock
