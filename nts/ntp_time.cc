#include "nts/ntp_time.h"

namespace nts {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

}  // namespace

NtpTime ntp_from_utc_ns(std::int64_t utc_ns) noexcept {
  std::int64_t seconds = utc_ns / ns_per_s;
  std::int64_t rest_ns = utc_ns % ns_per_s;
  if (rest_ns < 0) {  // before 1970: rest is counted forward from the second below
    rest_ns += ns_per_s;
    --seconds;
  }
  const auto era_seconds = static_cast<std::uint64_t>(seconds + unix_epoch_in_ntp_s) & 0xffffffff;
  const auto fraction = (static_cast<std::uint64_t>(rest_ns) << 32) / static_cast<std::uint64_t>(ns_per_s);
  return {era_seconds << 32 | fraction};
}

std::int64_t utc_ns_from_ntp(NtpTime time, std::int64_t pivot_utc_ns) noexcept {
  // The difference to the pivot fits in 32 bits of seconds either way; only it is converted.
  const NtpTime pivot = ntp_from_utc_ns(pivot_utc_ns);
  std::int64_t pivot_rest_ns = pivot_utc_ns % ns_per_s;
  if (pivot_rest_ns < 0) pivot_rest_ns += ns_per_s;
  const auto seconds = static_cast<std::int32_t>(static_cast<std::uint32_t>(time.units >> 32) -
                                                 static_cast<std::uint32_t>(pivot.units >> 32));
  const std::uint64_t fraction = time.units & 0xffffffff;
  // Rounded to the nearest nanosecond, so that a conversion there and back is exact.
  const auto fraction_ns =
      static_cast<std::int64_t>((fraction * static_cast<std::uint64_t>(ns_per_s) + (1ULL << 31)) >> 32);
  return pivot_utc_ns - pivot_rest_ns + std::int64_t{seconds} * ns_per_s + fraction_ns;
}

std::uint32_t short_from_ns_rounded_up(std::int64_t ns) noexcept {
  if (ns <= 0) return 0;
  constexpr std::int64_t saturated_ns = 65'535 * ns_per_s;
  if (ns >= saturated_ns) return 0xffff'0000;
  return static_cast<std::uint32_t>(((static_cast<std::uint64_t>(ns) << 16) + ns_per_s - 1) / ns_per_s);
}

}  // namespace nts
