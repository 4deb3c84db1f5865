// Time from the upstreams alone: source "upstream", and what source "gnss" falls back to.
//
// The engine is hwclock's UpstreamClock; this adds what it must not look for itself, leap seconds: the table,
// and what a majority of the servers announces for the last day of June or December.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/config.h"
#include "hwclock/leap_table.h"
#include "hwclock/upstream_clock.h"

namespace control {

// What [clock] says, in hwclock's terms. `precision`: log2 seconds of one reading.
[[nodiscard]] hwclock::UpstreamClockPolicy upstream_policy(const Config::Clock& clock,
                                                           std::int32_t precision);

// What most of those that answer announce, as a plan around `utc_s`; nothing when they do not, or when the
// day is none that may end with a leap second. `tai_minus_utc_s`: before it.
[[nodiscard]] std::optional<hwclock::LeapPlan> announced_leap(const hwclock::UpstreamPanel& panel,
                                                              std::int64_t utc_s,
                                                              std::int32_t tai_minus_utc_s);

class UpstreamTime {
 public:
  // `left_behind`: what the page said before, if it is to be believed. `config` and `panel` outlive this.
  UpstreamTime(const Config& config, const hwclock::UpstreamPanel& panel, std::uint64_t tsc_hz,
               std::int32_t precision, const std::optional<hwclock::ClockState>& left_behind);

  // Server `index` has reported.
  void hear(std::size_t index, std::uint64_t tick);

  // Call about 8 times a second. Gives what to publish.
  [[nodiscard]] hwclock::ClockState pass(std::uint64_t tick);

  // Before this pass somebody else's state was served: the line goes on from there.
  void continue_from(const hwclock::ClockState& served, std::uint64_t tick);

  // One sentence: what the clock is doing, and why no better.
  [[nodiscard]] std::string sentence() const;

  [[nodiscard]] const hwclock::UpstreamClock& clock() const noexcept { return clock_; }

 private:
  void plan_leap(std::int64_t utc_s);

  const Config& config_;
  const hwclock::UpstreamPanel& panel_;
  std::string leap_warning_;
  hwclock::LeapTable leaps_;
  hwclock::UpstreamClock clock_;
  std::optional<hwclock::ClockState> left_behind_;
  hwclock::ClockState state_{};
  std::uint64_t now_tick_ = 0;
};

}  // namespace control
