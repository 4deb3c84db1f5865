// From what the kernel says of its clock, and what the operator says of it, to what the world may read.
//
// `system`: as synchronised, and as good, as the kernel says. A kernel that says "unsynchronised" is never
// called anything else (TESTS.md B10). Its maximum error is a root distance (RFC 5905 appendix A.5.5.1), all
// of which goes into the root dispersion; the root delay stays 0, or it would count twice.
// `local`: declared good by the operator, for labs; the error is that of our own fit.
// In both, the dispersion grows with every tick (B12), and the state is void from where it would pass
// error_max_ns (G15).
#pragma once

#include <cstdint>

#include "hwclock/clock_state.h"
#include "hwclock/tsc_fit.h"

namespace hwclock {

// A leap second at the end of this UTC day, as the kernel means to do it.
enum class KernelLeap : std::uint8_t { none, insert, remove, in_progress };

struct KernelReport {
  bool is_synchronised = false;
  KernelLeap leap = KernelLeap::none;
  std::uint64_t max_error_ns = 0;
  std::int32_t tai_minus_utc_s = 0;  // 0 = not known
};

// What the operator decided.
struct ClockPolicy {
  Source source = Source::system;  // or local
  // The kernel knows no stratum, so this is declared for both sources.
  std::uint32_t stratum = 10;
  // Of a stratum 1 and of `local`. A system clock at stratum 2 or more has 127.0.0.1 instead: there, four
  // characters would be read as somebody's IPv4 address, and who disciplines the clock is a program on this
  // host (RFC 5905 section 7.3).
  std::uint32_t reference_id = 0;
  std::uint64_t error_max_ns = 0;  // beyond this root dispersion: unsynchronised
  std::uint64_t drift_ppb = 1;     // how fast the error grows without news; not 0
};

inline constexpr std::uint32_t reference_id_this_host = 0x7f000001;  // 127.0.0.1

enum class Verdict : std::uint8_t {
  synchronised,           // the kernel says so, and it is good enough
  declared,               // local
  kernel_unsynchronised,  // the kernel says so
  leap_in_progress,       // the kernel repeats a second: nothing it says now is unambiguous
  error_too_large         // beyond error_max_ns
};

struct Judgement {
  ClockState state;
  Verdict verdict;
  std::uint64_t error_ns;  // root dispersion now, also where the state must not say it
};

class KernelModel {
 public:
  // `precision`: log2 seconds of one reading.
  KernelModel(const ClockPolicy& policy, std::int32_t precision) noexcept
      : policy_(policy), precision_(precision) {}

  // Call with each reading: when the kernel last had news is seen by its error becoming smaller.
  [[nodiscard]] Judgement judge(const Fitted& fitted, std::uint64_t tsc_hz,
                                const KernelReport& report) noexcept;

 private:
  [[nodiscard]] Verdict verdict_of(const KernelReport& report, std::uint64_t error_ns) const noexcept;

  ClockPolicy policy_;
  std::int32_t precision_;
  bool was_good_ = false;
  std::uint64_t max_error_before_ns_ = 0;
  std::uint64_t reference_ntp_ = 0;
};

// log2 seconds of a reading that takes `width_ns`, rounded up.
[[nodiscard]] std::int32_t precision_of(double width_ns) noexcept;

}  // namespace hwclock
