// A leap second that other servers announce and no table has: believed, kept, and remembered.
//
// Believed is what more than half of those that answer announce, for a day that may end with one (CLOCK.md
// section 2.8); the indicator speaks of the current day (RFC 5905 section 7.3). For a time that is not theirs
// only the authenticated ones count, and so many of them must say it as may contradict that time, or name its
// seconds. They may take it back until shortly before the change. From then on it will happen, whatever they
// say: servers clear the indicator early, or say 3 themselves; and whoever decided it puts it into its table
// (LeapTable::learn).
// Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "hwclock/clock_state.h"
#include "hwclock/leap_table.h"
#include "hwclock/upstream_panel.h"

namespace hwclock {

class AnnouncedLeap {
 public:
  // So long before the change it cannot be taken back any more; leap is 3 a second later.
  static constexpr std::int64_t decided_s = 3;
  // And so long after it, it is still told of.
  static constexpr std::int64_t told_for_s = 10;

  // Everybody counts, and any majority is enough.
  AnnouncedLeap() noexcept = default;
  // Authenticated ones alone count, and at least `quorum` have to announce it. Others count where
  // `or_anybody`, as long as no authenticated one answers (date_of names seconds by the same rule).
  explicit AnnouncedLeap(std::uint32_t quorum, bool or_anybody = false) noexcept
      : voices_(or_anybody ? Voices::authenticated_first : Voices::authenticated), quorum_(quorum) {}

  // The change that is announced for the end of the day of `tai_s`, where TAI minus UTC is `tai_minus_utc_s`.
  // While nobody answers, what was announced stands, and what is decided whatever they say.
  [[nodiscard]] std::optional<LeapPlan> hear(const UpstreamPanel& panel, std::int64_t tai_s,
                                             std::int32_t tai_minus_utc_s) noexcept;

 private:
  enum class Voices : std::uint8_t { everybody, authenticated, authenticated_first };

  Voices voices_ = Voices::everybody;
  std::uint32_t quorum_ = 0;
  LeapPlan plan_;  // change_s 0: none
};

[[nodiscard]] constexpr bool is_decided(const LeapPlan& plan, std::int64_t tai_s) noexcept {
  return plan.change_s != 0 && tai_s >= plan.change_tai_s - AnnouncedLeap::decided_s;
}

// The change that an earlier run made and `table` lacks, from what it served last; nothing when both agree,
// or differ by more than a second.
[[nodiscard]] std::optional<LeapPlan> change_left_behind(const ClockState& left_behind,
                                                         const LeapTable& table) noexcept;

}  // namespace hwclock
