// What a GNSS receiver says on its line, NMEA and UBX mixed as they come, or by way of gpsd: the time of day,
// the leap seconds, what the next pulse is off by, and whether to believe any of it.
//
// A message is worth something only when the receiver itself is sure: a right checksum, a fix, and for UBX a
// resolved date. An antenna that is open or shorted, jamming that costs the fix, and a fix that is lost are
// reasons to doubt the pulses at once: some receivers let them wander before they say more (CLOCK.md sections
// 2.1 and 2.9). So is a receiver that stands still and jumps. The date is repaired when the receiver's week
// number has rolled over. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "hwclock/gpsd.h"
#include "hwclock/leap.h"
#include "hwclock/leap_table.h"
#include "hwclock/nmea.h"
#include "hwclock/position_watch.h"
#include "hwclock/pps_number.h"
#include "hwclock/ubx.h"

namespace hwclock {

enum class ReceiverDoubt : std::uint8_t {
  none,
  silent,      // it has said nothing of the time yet, or not for a while
  no_fix,      // it says so
  antenna,     // open or short
  jammed,      // so that there is no fix
  spoofed,     // it says so itself
  moved,       // it stands elsewhere than it did
  unresolved,  // UBX: date or time not confirmed
  impossible   // a date before the last one that was known, or years behind it
};

[[nodiscard]] const char* sentence_of(ReceiverDoubt doubt) noexcept;

class Receiver {
 public:
  // Without a word for so long its pulses are nobody's.
  static constexpr double silence_s_max = 30.0;
  // What it said of antenna, jamming and spoofing stands for so long; receivers may repeat it once a minute.
  static constexpr double state_s_max = 150.0;

  // `leaps` outlives this; `known_good_utc_s` is the later of the build and the last time that was known.
  // `stands_within_m`: of where it stood at first; 0: it travels.
  Receiver(std::uint64_t tick_hz, const LeapTable& leaps, std::int64_t known_good_utc_s,
           double stands_within_m = 0.0) noexcept
      : tick_hz_(static_cast<double>(tick_hz)),
        leaps_(leaps),
        known_good_utc_s_(known_good_utc_s),
        position_(stands_within_m) {}

  // Octets that were there at `tick`. Gives the last time of day that they completed.
  std::optional<TimeOfDay> take(std::span<const std::uint8_t> octets, std::uint64_t tick) noexcept;

  // The same from gpsd, in place of a line. A fix was heard at `tick`; an offset is of a message that began
  // to come at `tick`, and counts only behind a fix.
  std::optional<TimeOfDay> take(const GpsdFix& fix, std::uint64_t tick) noexcept;
  std::optional<TimeOfDay> take(const GpsdOffset& offset, std::uint64_t tick) noexcept;
  void take(const GpsdSky& sky) noexcept { satellites_ = sky.used; }

  // What the next pulse is late by, in nanoseconds; 0 when the receiver did not say. Asked once for a pulse.
  [[nodiscard]] double take_pulse_correction_ns(std::uint64_t pulse_tick) noexcept;

  [[nodiscard]] ReceiverDoubt doubt(std::uint64_t tick) const noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return nmea_.dropped_lines() + ubx_.dropped_messages();
  }
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }
  [[nodiscard]] std::uint64_t rollovers_repaired() const noexcept { return rollovers_repaired_; }
  [[nodiscard]] const std::optional<UbxLeap>& leap() const noexcept { return leap_; }
  // What the table plans and what the receiver says, as one; `utc_s`: now.
  [[nodiscard]] LeapPlan plan_with(const LeapPlan& table, std::int64_t utc_s) const noexcept;
  [[nodiscard]] const std::optional<UbxRadio>& radio() const noexcept { return radio_; }
  [[nodiscard]] const PositionWatch& position() const noexcept { return position_; }
  [[nodiscard]] std::uint8_t satellites() const noexcept { return satellites_; }

 private:
  [[nodiscard]] double seconds_since(std::uint64_t then, std::uint64_t now) const noexcept;
  [[nodiscard]] std::optional<TimeOfDay> told(std::int64_t utc_s, std::uint64_t tick) noexcept;
  [[nodiscard]] std::optional<TimeOfDay> time_of_day(std::int64_t utc_s, std::uint64_t tick) const noexcept;
  void hear_leap(std::int32_t gps_minus_utc_s) noexcept;
  [[nodiscard]] std::optional<TimeOfDay> hear(const NmeaTime& time, std::uint64_t tick) noexcept;
  [[nodiscard]] std::optional<TimeOfDay> hear(const UbxMessage& message, std::uint64_t tick) noexcept;

  double tick_hz_;
  const LeapTable& leaps_;
  std::int64_t known_good_utc_s_;
  NmeaReader nmea_;
  UbxReader ubx_;
  std::uint64_t nmea_tick_ = 0;  // when the sentence that is being read began ...
  std::uint64_t ubx_tick_ = 0;   // ... and the message, each for itself: one may break off, or mean nothing
  std::uint64_t taken_ = 0;
  std::uint64_t rollovers_repaired_ = 0;
  std::uint64_t heard_tick_ = 0;  // the last message that told a time, good or not
  ReceiverDoubt fix_doubt_ = ReceiverDoubt::silent;
  std::optional<UbxPulse> pulse_;
  std::uint64_t pulse_tick_ = 0;
  std::optional<UbxLeap> leap_;
  std::int32_t gpsd_leap_s_ = 0;       // GPS minus UTC, as gpsd says
  std::uint32_t gpsd_leap_count_ = 0;  // so often in a row
  std::optional<UbxRadio> radio_;
  std::uint64_t radio_tick_ = 0;
  std::uint8_t satellites_ = 0;
  std::uint8_t spoofing_state_ = 0;
  std::uint64_t spoofing_tick_ = 0;
  PositionWatch position_;
};

}  // namespace hwclock
