// NTP's shared-memory driver (type 28), as gpsd and others write it: what a reference said when the kernel's
// clock said what.
//
// ntpd's refclock_shm.c: key 0x4e545030 plus the unit; mode 1 counts before and after a write, so a torn
// sample is seen. A sample names its second, so nobody has to number it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hwclock {

struct ShmSample {
  std::int64_t clock_ns = 0;      // CLOCK_REALTIME when ...
  std::int64_t reference_ns = 0;  // ... it was this, UTC
  std::int32_t precision = 0;     // log2 seconds
  std::uint32_t leap = 0;
};

// The layout that all speak. Fields change under our eyes: they are read once, by `read`.
struct ShmTime {
  std::int32_t mode;
  volatile std::int32_t count;
  std::int64_t clock_s;
  std::int32_t clock_us;
  std::int32_t padding;
  std::int64_t receive_s;
  std::int32_t receive_us;
  std::int32_t leap;
  std::int32_t precision;
  std::int32_t samples;
  volatile std::int32_t valid;
  std::uint32_t clock_ns;
  std::uint32_t receive_ns;
  std::int32_t reserved[8];
};
static_assert(sizeof(ShmTime) == 96);

// Takes the sample that is there and marks it as taken. Nothing when there is none, while it is being
// written, and for numbers that are none.
[[nodiscard]] std::optional<ShmSample> take_shm_sample(ShmTime& shared) noexcept;

// The edge. Attaches the segment of a unit, making it when it is not there (mode 0600 for units 0 and 1, as
// ntpd does, else 0666). The mapping lasts as long as the process. Throws std::system_error.
[[nodiscard]] ShmTime* attach_ntp_shm(std::uint32_t unit);

}  // namespace hwclock
