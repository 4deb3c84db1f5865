// When will this burst leave? The seal covers the transmit stamp, so the stamp is a promise made before the
// packet goes: T3 is chosen here and kept by sending at once.
//
// The first model predicts a constant after the reading, from the settings. The promise is never late: the
// constant is the shortest way out, and what is longer shows up as delay, which the client's error bound
// covers. Stamps of one core never run backwards within one clock: a correction smaller than `slew_max` is
// hidden by waiting, a larger one is a step and shown at once.
#pragma once

#include <cstdint>

#include "nts/ntp_time.h"

namespace dataplane {

class Departure {
 public:
  // `delay_ns`: from the reading of the clock to the wire.
  void set_delay_ns(std::uint32_t delay_ns) noexcept;

  // The transmit stamp of a burst, when the clock reads `now`. Later than every stamp before, but for a step.
  [[nodiscard]] nts::NtpTime predict(nts::NtpTime now) noexcept;

 private:
  static constexpr std::int64_t slew_max = std::int64_t{1} << 22;  // 2^-10 s in units of 2^-32 s, about 1 ms

  std::uint64_t delay_units_ = 0;  // 2^-32 s
  nts::NtpTime last_{};
  bool has_last_ = false;
};

}  // namespace dataplane
