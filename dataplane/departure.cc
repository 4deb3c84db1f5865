#include "dataplane/departure.h"

namespace dataplane {

void Departure::set_delay_ns(std::uint32_t delay_ns) noexcept {
  delay_units_ = (std::uint64_t{delay_ns} << 32) / 1'000'000'000;
}

nts::NtpTime Departure::predict(nts::NtpTime now) noexcept {
  nts::NtpTime promised{now.units + delay_units_};
  if (has_last_) {
    const std::int64_t advance = difference(promised, last_);
    if (advance <= 0 && advance > -slew_max) promised.units = last_.units + 1;
  }
  last_ = promised;
  has_last_ = true;
  return promised;
}

}  // namespace dataplane
