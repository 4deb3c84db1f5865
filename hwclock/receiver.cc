#include "hwclock/receiver.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "hwclock/calendar.h"

namespace hwclock {
namespace {

constexpr double ps_per_ns = 1000.0;
// UBX-TIM-TP speaks of the pulse that comes within a second of it.
constexpr double correction_s_max = 1.1;
// Around a leap second a UTC date is one of two seconds; our own clock counts on without it.
constexpr std::int64_t leap_silence_s = 5;
// A solution so near to a whole second is that second's; receivers that give several a second have others.
constexpr std::int32_t whole_second_ns = 50'000'000;
constexpr std::int64_t ns_per_s = 1'000'000'000;
// gpsd hands on what a receiver just heard, and what it was built with before that: one word is none.
constexpr std::uint32_t gpsd_leap_times = 30;
constexpr std::uint8_t jammed_beyond_fix = 3;
constexpr std::uint8_t spoofing_indicated = 2;

}  // namespace

const char* sentence_of(ReceiverDoubt doubt) noexcept {
  switch (doubt) {
    case ReceiverDoubt::none:
      return "the receiver has a fix";
    case ReceiverDoubt::silent:
      return "the receiver says nothing of the time";
    case ReceiverDoubt::no_fix:
      return "the receiver has no fix";
    case ReceiverDoubt::antenna:
      return "the antenna is open or shorted";
    case ReceiverDoubt::jammed:
      return "the receiver is jammed";
    case ReceiverDoubt::spoofed:
      return "the receiver says that its signals are false (spoofing)";
    case ReceiverDoubt::moved:
      return "the receiver says that it stands elsewhere than it did: it is spoofed, or it was moved, and "
             "then "
             "the clock role is to be started anew";
    case ReceiverDoubt::unresolved:
      return "the receiver has not confirmed its date";
    case ReceiverDoubt::impossible:
      return "the reference names a date that has passed, or that is years away";
  }
  return "";
}

double Receiver::seconds_since(std::uint64_t then, std::uint64_t now) const noexcept {
  return static_cast<double>(static_cast<std::int64_t>(now - then)) / tick_hz_;
}

std::optional<TimeOfDay> Receiver::take(std::span<const std::uint8_t> octets, std::uint64_t tick) noexcept {
  std::optional<TimeOfDay> last;
  for (const std::uint8_t octet : octets) {
    if (NmeaReader::begins(octet)) nmea_tick_ = tick;
    if (ubx_.begins(octet)) ubx_tick_ = tick;
    const std::optional<NmeaTime> nmea = nmea_.take(octet);
    const std::optional<UbxMessage> ubx = ubx_.take(octet);
    std::optional<TimeOfDay> one;
    if (nmea) one = hear(*nmea, nmea_tick_);
    if (ubx) one = hear(*ubx, ubx_tick_);
    if (one) last = one;
  }
  return last;
}

std::optional<TimeOfDay> Receiver::told(std::int64_t utc_s, std::uint64_t tick) noexcept {
  const std::int64_t repaired_s = without_rollover(utc_s, known_good_utc_s_);
  if (repaired_s != utc_s) ++rollovers_repaired_;
  if (!is_possible_date(repaired_s, known_good_utc_s_)) {
    fix_doubt_ = ReceiverDoubt::impossible;
    return std::nullopt;
  }
  fix_doubt_ = ReceiverDoubt::none;
  ++taken_;
  return time_of_day(repaired_s, tick);
}

std::optional<TimeOfDay> Receiver::time_of_day(std::int64_t utc_s, std::uint64_t tick) const noexcept {
  const LeapPlan plan = plan_with(leaps_.plan_at(utc_s), utc_s);
  const std::int64_t change_utc_s = plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s;
  if (plan.change_s != 0 && std::abs(utc_s - change_utc_s) <= leap_silence_s) return std::nullopt;
  return TimeOfDay{tick, utc_s + plan.tai_minus_utc_s};
}

LeapPlan Receiver::plan_with(const LeapPlan& table, std::int64_t utc_s) const noexcept {
  const std::optional<LeapPlan> told = leap_ ? leap_plan_of(*leap_, utc_s) : std::nullopt;
  // Who knows of no change has not said that none comes; and who is a second behind the table has not yet
  // heard of one that was, as gpsd, whose offset is believed late.
  const bool adds_nothing = told && !leap_->is_change_valid && told->tai_minus_utc_s <= table.tai_minus_utc_s;
  return adds_nothing ? table : better_plan(table, told);
}

void Receiver::hear_leap(std::int32_t gps_minus_utc_s) noexcept {
  if (gps_minus_utc_s == 0) return;
  gpsd_leap_count_ = gps_minus_utc_s == gpsd_leap_s_ ? std::min(gpsd_leap_count_ + 1, gpsd_leap_times) : 1;
  gpsd_leap_s_ = gps_minus_utc_s;
  if (gpsd_leap_count_ == gpsd_leap_times) leap_ = UbxLeap{true, gps_minus_utc_s, false, 0, 0};
}

std::optional<TimeOfDay> Receiver::take(const GpsdFix& fix, std::uint64_t tick) noexcept {
  heard_tick_ = tick;
  if (!fix.has_fix) {
    fix_doubt_ = ReceiverDoubt::no_fix;
    return std::nullopt;
  }
  hear_leap(fix.gps_minus_utc_s);
  if (fix.place) position_.take(*fix.place);
  const std::int64_t second = (fix.utc_ns + ns_per_s / 2) / ns_per_s;
  if (std::abs(fix.utc_ns - second * ns_per_s) > whole_second_ns) return std::nullopt;  // between two pulses
  return told(second, tick);
}

// gpsd adds how long its receivers usually take to what they name; never a second.
std::optional<TimeOfDay> Receiver::take(const GpsdOffset& offset, std::uint64_t tick) noexcept {
  if (fix_doubt_ != ReceiverDoubt::none) return std::nullopt;
  const std::int64_t utc_s = without_rollover(offset.reference_ns / ns_per_s, known_good_utc_s_);
  if (!is_possible_date(utc_s, known_good_utc_s_)) return std::nullopt;
  return time_of_day(utc_s, tick);
}

std::optional<TimeOfDay> Receiver::hear(const NmeaTime& time, std::uint64_t tick) noexcept {
  if (!time.knows_fix) return std::nullopt;
  heard_tick_ = tick;
  if (time.place) position_.take(*time.place);
  if (time.has_fix) return told(time.utc_s, tick);
  fix_doubt_ = ReceiverDoubt::no_fix;
  return std::nullopt;
}

std::optional<TimeOfDay> Receiver::hear(const UbxMessage& message, std::uint64_t tick) noexcept {
  if (const auto* time = std::get_if<UbxTime>(&message)) {
    heard_tick_ = tick;
    satellites_ = time->satellites;
    if (!time->has_fix || !time->is_resolved) {
      fix_doubt_ = time->has_fix ? ReceiverDoubt::unresolved : ReceiverDoubt::no_fix;
      return std::nullopt;
    }
    position_.take(time->place);
    if (std::abs(time->nanoseconds) > whole_second_ns) return std::nullopt;  // between two pulses
    return told(time->utc_s, tick);
  }
  if (const auto* pulse = std::get_if<UbxPulse>(&message)) {
    pulse_ = *pulse;
    pulse_tick_ = tick;
  } else if (const auto* leap = std::get_if<UbxLeap>(&message)) {
    leap_ = *leap;
  } else if (const auto* radio = std::get_if<UbxRadio>(&message)) {
    radio_ = *radio;
    radio_tick_ = tick;
  } else if (const auto* status = std::get_if<UbxStatus>(&message)) {
    spoofing_state_ = status->spoofing_state;
    spoofing_tick_ = tick;
  }
  return std::nullopt;
}

double Receiver::take_pulse_correction_ns(std::uint64_t pulse_tick) noexcept {
  if (!pulse_) return 0.0;
  const double age_s = seconds_since(pulse_tick_, pulse_tick);
  const bool is_meant = pulse_->has_quantisation && age_s > 0.0 && age_s < correction_s_max;
  // The edge plus this is the true second (A. Wallin's measurement of an F9T): positive is early.
  const double correction_ns = is_meant ? -pulse_->quantisation_ps / ps_per_ns : 0.0;
  pulse_.reset();
  return correction_ns;
}

ReceiverDoubt Receiver::doubt(std::uint64_t tick) const noexcept {
  const bool has_radio = radio_ && seconds_since(radio_tick_, tick) <= state_s_max;
  if (has_radio && (radio_->antenna == Antenna::open || radio_->antenna == Antenna::short_circuit)) {
    return ReceiverDoubt::antenna;
  }
  if (fix_doubt_ == ReceiverDoubt::no_fix && has_radio && radio_->jamming_state == jammed_beyond_fix) {
    return ReceiverDoubt::jammed;
  }
  const bool knows_spoofing = seconds_since(spoofing_tick_, tick) <= state_s_max;
  if (knows_spoofing && spoofing_state_ >= spoofing_indicated) return ReceiverDoubt::spoofed;
  if (position_.has_jumped()) return ReceiverDoubt::moved;
  if (fix_doubt_ != ReceiverDoubt::none) return fix_doubt_;
  return seconds_since(heard_tick_, tick) > silence_s_max ? ReceiverDoubt::silent : ReceiverDoubt::none;
}

}  // namespace hwclock
