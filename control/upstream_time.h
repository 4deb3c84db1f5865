// Time from the upstreams alone: source "upstream", and what source "gnss" falls back to.
//
// The engine is hwclock's UpstreamClock; this adds what it must not look for itself, leap seconds: the table,
// and what a majority of the servers announces (hwclock/announced_leap.h). What was announced and happened is
// in our table from then on, and a later run finds it on the page. Only ticks come in: no clock is read here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/config.h"
#include "hwclock/announced_leap.h"
#include "hwclock/leap_table.h"
#include "hwclock/upstream_clock.h"

namespace control {

// What [clock] says, in hwclock's terms. `precision`: log2 seconds of one reading.
[[nodiscard]] hwclock::UpstreamClockPolicy upstream_policy(const Config::Clock& clock,
                                                           std::int32_t precision);

class UpstreamTime {
 public:
  // `left_behind`: what the page said before, if it is to be believed; a leap second that it knew of is
  // learned, and it is served on if this `holds_over`. `config` and `panel` outlive this.
  UpstreamTime(const Config& config, const hwclock::UpstreamPanel& panel, std::uint64_t tsc_hz,
               std::int32_t precision, const std::optional<hwclock::ClockState>& left_behind,
               bool holds_over = true);

  // Server `index` has reported.
  void hear(std::size_t index, std::uint64_t tick);

  // Call about 8 times a second. Gives what to publish.
  [[nodiscard]] hwclock::ClockState pass(std::uint64_t tick);

  // Before this pass somebody else's state was served: the line goes on from there, and what an earlier run
  // left is over.
  void continue_from(const hwclock::ClockState& served, std::uint64_t tick);

  // One sentence: what the clock is doing, and why no better.
  [[nodiscard]] std::string sentence() const;

  [[nodiscard]] const hwclock::UpstreamClock& clock() const noexcept { return clock_; }

  // By what the last pass went: the change that is to come, or announced; and all that were.
  [[nodiscard]] const hwclock::LeapPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] const hwclock::LeapTable& leaps() const noexcept { return leaps_; }
  // What the servers alone knew of, and is in `leaps()` now.
  [[nodiscard]] const std::optional<hwclock::LeapPlan>& learned() const noexcept { return learned_; }

 private:
  void plan_leap(std::int64_t tai_s);

  const Config& config_;
  const hwclock::UpstreamPanel& panel_;
  std::string leap_warning_;
  hwclock::LeapTable leaps_;
  hwclock::AnnouncedLeap announced_;
  std::optional<hwclock::LeapPlan> learned_;
  hwclock::LeapPlan plan_;
  hwclock::UpstreamClock clock_;
  std::optional<hwclock::ClockState> left_behind_;
  hwclock::ClockState state_{};
  std::uint64_t now_tick_ = 0;
};

}  // namespace control
