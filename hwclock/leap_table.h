// The leap seconds that were and that are announced: as compiled in, or as a leap-seconds.list says.
//
// A file is believed when it tells the history that everybody knows, in order; an expired one only warns:
// three grandmasters fell silent on one day in 2023 because theirs refused (CLOCK.md section 0). Format:
// the comments of IERS's leap-seconds.list itself (NTP seconds and TAI minus UTC a line, #$ update, #@
// expiry). Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hwclock/leap.h"
#include "hwclock/ubx.h"

namespace hwclock {

class LeapTable {
 public:
  static constexpr std::size_t changes_max = 128;  // 27 were needed in the first 54 years

  // IERS Bulletin C, to number 70 (July 2025).
  [[nodiscard]] static LeapTable compiled() noexcept;

  // The text of a leap-seconds.list. Nothing, and the reason in `fault`, unless every line can be read, in
  // order, a second at a time, and the beginning is the compiled table's.
  [[nodiscard]] static std::optional<LeapTable> parse(std::string_view text, std::string& fault);

  // TAI minus UTC at an instant in POSIX seconds, and the next change after it. Before 1972: that of 1972.
  [[nodiscard]] LeapPlan plan_at(std::int64_t utc_s) const noexcept;

  // The same for an instant in TAI seconds; a change counts as to come until some seconds after it, so that
  // whoever asks often sees it happen.
  [[nodiscard]] LeapPlan plan_around(std::int64_t tai_s) const noexcept;

  // The newest change that was, as the plan it was before it; before 1972 none.
  [[nodiscard]] LeapPlan last_change(std::int64_t tai_s) const noexcept;

  // Adds a change that others told of, behind all that are known. False when it does not follow them.
  bool learn(const LeapPlan& plan) noexcept;

  // POSIX seconds from when on it may lack a change; 0: never said, as for the compiled one.
  [[nodiscard]] std::int64_t expires_utc_s() const noexcept { return expires_utc_s_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  struct Change {
    std::int64_t utc_s = 0;  // the first second with ...
    std::int32_t tai_minus_utc_s = 0;
  };
  [[nodiscard]] bool add(const Change& change) noexcept;

  std::array<Change, changes_max> changes_{};
  std::size_t count_ = 0;
  std::int64_t expires_utc_s_ = 0;
};

// Leap seconds come at the end of June or December: whether one may end the day before this midnight, and the
// newest such midnight that is not after `utc_s`.
[[nodiscard]] bool may_change_at(std::int64_t midnight_utc_s) noexcept;
[[nodiscard]] std::int64_t last_usual_change(std::int64_t utc_s) noexcept;

// What a receiver heard from the satellites, as a plan; nothing when it is not sure, or says what cannot be:
// leap seconds come at the end of June or December. `utc_s`: when it was said.
[[nodiscard]] std::optional<LeapPlan> leap_plan_of(const UbxLeap& leap, std::int64_t utc_s) noexcept;

// A receiver knows better than a table, which may be old. But a change that both know stands until the
// table's is over: a receiver says the new offset at once, and the plan is what makes the step happen on its
// second.
[[nodiscard]] LeapPlan better_plan(const LeapPlan& table, const std::optional<LeapPlan>& receiver) noexcept;

}  // namespace hwclock
