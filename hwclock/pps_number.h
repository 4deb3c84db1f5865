// Which second does a pulse begin? Decided once, with care, and then never by one message again.
//
// RESET: five pulses in a row, a second apart by the counter, each followed by a time of day at a delay that
// is credible and steady, all agreeing on one number. CONVERGING: pulses are counted on by the counter.
// TRACKING: our own clock numbers them, and a late or wrong message of the receiver can do no harm; one that
// goes on disagreeing is reported, and never followed. Rules: CLOCK.md section 2.1 (satpulse, ntpsec, gpsd).
#pragma once

#include <cstdint>

#include "hwclock/time.h"

namespace hwclock {

// A pulse, by the counter.
struct Pulse {
  std::uint64_t tick = 0;
};

// "The pulse before this message began second `tai_s`", read at `tick`. Given only when the receiver is sure:
// checksum, fix and leap seconds are the reader's business.
struct TimeOfDay {
  std::uint64_t tick = 0;
  std::int64_t tai_s = 0;
};

enum class NumberingMode : std::uint8_t { reset, converging, tracking };

enum class NumberingDoubt : std::uint8_t {
  none,
  no_pulse,         // since a few seconds
  period,           // pulses are not a second apart
  no_time_of_day,   // after the pulse
  ambiguous_delay,  // about half a second behind the pulse: it might belong to either
  unsteady_delay,   // spread over more than 0.2 s
  disagreement      // messages give different numbers
};

// What became of a pulse.
struct Numbered {
  bool is_numbered = false;
  bool begins_anew = false;  // the first one since RESET: whoever listens may step here, and only here
  std::int64_t tai_s = 0;
};

class PpsNumber {
 public:
  static constexpr int pulses_wanted = 5;
  static constexpr int converging_pulses = 10;
  static constexpr int disagreements_max = 3;

  explicit PpsNumber(std::uint64_t tick_hz) noexcept : tick_hz_(static_cast<double>(tick_hz)) {}

  // Says what the receiver says. May come late, wrong or not at all.
  void take(const TimeOfDay& time_of_day) noexcept;

  // Numbers a pulse. `own` is our own clock at the pulse when it is good to a tenth of a second, else null.
  Numbered take(const Pulse& pulse, const TaiTime* own) noexcept;

  // Back to RESET: numbering was lost, or the clock found itself wrong.
  void reset() noexcept;

  [[nodiscard]] NumberingMode mode() const noexcept { return mode_; }
  // What last spoke against a number; none once there is one.
  [[nodiscard]] NumberingDoubt doubt() const noexcept { return doubt_; }

  // The time of day has contradicted our numbers so often in a row that one of the two must be wrong.
  [[nodiscard]] bool is_contradicted() const noexcept { return disagreements_ >= disagreements_max; }
  [[nodiscard]] std::int64_t contradiction_s() const noexcept {
    return contradiction_s_;
  }  // theirs minus ours

 private:
  Numbered count_on(double periods, const TaiTime* own) noexcept;
  void collect(const TimeOfDay& time_of_day, double delay_s) noexcept;
  void start_over(NumberingDoubt why) noexcept;

  double tick_hz_;
  NumberingMode mode_ = NumberingMode::reset;
  NumberingDoubt doubt_ = NumberingDoubt::no_pulse;
  bool has_pulse_ = false;
  std::uint64_t pulse_tick_ = 0;
  std::int64_t pulse_tai_s_ = 0;
  bool pulse_is_numbered_ = false;
  bool pulse_has_time_of_day_ = false;
  int agreeing_ = 0;
  int counted_ = 0;
  double delay_least_s_ = 0.0;
  double delay_most_s_ = 0.0;
  int disagreements_ = 0;
  std::int64_t contradiction_s_ = 0;
};

}  // namespace hwclock
