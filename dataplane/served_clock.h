// The clock page as one core serves it: TSC ticks to NTP time, and what the header says of the clock.
//
// The state is copied when it was published anew and used until its own valid_until; then, or while there is
// none, the answer is "unsynchronised" (leap 3, stratum 0) with a reference id that says why. Timestamps run
// on without a state, counted from the worker's start: an unsynchronised answer still has T2 < T3.
//
// A state that was void once stays void: after a TSC that jumped back (a restored VM snapshot) the count
// comes by the good range again, but the time it stands for is long gone. Only a new publication is believed.
#pragma once

#include <cstdint>

#include "dataplane/shm/pages.h"
#include "hwclock/clock_state.h"
#include "nts/answer.h"
#include "nts/mono_root.h"
#include "nts/ntp_time.h"

namespace dataplane {

// Reference ids of unsynchronised answers, first octet in the high bits. Those with X are experimental codes
// (RFC 5905 section 7.4).
inline constexpr std::uint32_t refid_init = 0x494e4954;           // "INIT": no clock state yet
inline constexpr std::uint32_t refid_holdover_over = 0x58484c44;  // "XHLD": the model's holdover has ended
inline constexpr std::uint32_t refid_alarm = 0x58414c4d;          // "XALM": the clock role raised an alarm

class ServedClock {
 public:
  // `tsc_hz` and `now_tsc` start the uncalibrated count.
  ServedClock(std::uint64_t tsc_hz, std::uint64_t now_tsc) noexcept;

  // Takes over what was published since the last call. `page` may be null: then the state stays.
  void refresh(const shm::ClockPage* page) noexcept {
    if (page == page_ && (page == nullptr || page->clock.generation() == seen_)) return;
    take(page);
  }

  [[nodiscard]] nts::NtpTime at(std::uint64_t tsc) const noexcept { return {hwclock::ntp_at(state_, tsc)}; }

  // What the header says at `tsc`, which rises from call to call unless the TSC was put back. The reference
  // time is never after at(tsc) (PROTOCOL P41).
  [[nodiscard]] nts::ClockReading reading(std::uint64_t tsc) noexcept;

  // The same two for smeared addresses (hwclock/smear.h): another line and reference id while a leap second
  // is smeared, and never a leap. The reading is that of the last call of reading().
  [[nodiscard]] nts::NtpTime smeared_at(std::uint64_t tsc) const noexcept {
    return state_.smear.valid_until == 0 ? at(tsc) : nts::NtpTime{hwclock::ntp_at(state_.smear.line, tsc)};
  }
  [[nodiscard]] nts::ClockReading smeared(const nts::ClockReading& reading, std::uint64_t tsc) const noexcept;

  // What the field of nts/mono_root.h says at `tsc`, the moment of the last call of reading(); to smeared
  // addresses it tells no line while they are told another rate.
  [[nodiscard]] nts::MonoRoot mono_root(std::uint64_t tsc) const noexcept;
  [[nodiscard]] nts::MonoRoot smeared_mono_root(std::uint64_t tsc) const noexcept;

 private:
  void take(const shm::ClockPage* page) noexcept;
  [[nodiscard]] std::int64_t dispersion_ns_at(std::uint64_t tsc, std::uint64_t more_ns) const noexcept;

  const shm::ClockPage* page_ = nullptr;
  std::uint64_t seen_ = 0;  // generation copied last; 0 = none
  bool has_state_ = false;
  bool is_void_ = false;          // until the next publication
  std::uint64_t latest_tsc_ = 0;  // of the readings since the state was taken
  hwclock::ClockState state_{};
};

}  // namespace dataplane
