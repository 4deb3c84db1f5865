// From a stamp of another clock to a tick: what the kernel, a NIC or another program stamped in its own time,
// said in ours.
//
// The clock in question is read against the TSC about 8 times a second; a stamp lies between two readings, or
// a little behind the last one, and on the line through them. Where the clock was set in between, no line
// means anything, and the stamp is refused rather than placed wrongly (TESTS.md I07, I08).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "hwclock/reading.h"

namespace hwclock {

struct TickStamp {
  std::uint64_t tick = 0;
  double sigma_ns = 0.0;  // of the readings it rests on
};

class Stamps {
 public:
  // A stamp older than the readings that are kept cannot be placed; 8 a second make 4 s.
  static constexpr std::size_t readings_max = 32;
  // A clock that is slewed faster than this was set: Linux slews by 500 ppm at most, ntpd and chrony by less
  // than 10 %.
  static constexpr double rate_off_max = 0.1;

  explicit Stamps(std::uint64_t tick_hz) noexcept : tick_hz_(static_cast<double>(tick_hz)) {}

  // Readings come in the order of their ticks; one that goes back begins anew.
  void take(const Reading& reading) noexcept;

  // When the clock said `ns`.
  [[nodiscard]] std::optional<TickStamp> tick_of(std::int64_t ns) const noexcept;

  // How often the clock was found to have been set.
  [[nodiscard]] std::uint64_t step_count() const noexcept { return step_count_; }

 private:
  [[nodiscard]] bool is_line(const Reading& earlier, const Reading& later) const noexcept;
  [[nodiscard]] const Reading& at(std::size_t age) const noexcept;  // 0: the newest

  double tick_hz_;
  std::array<Reading, readings_max> readings_{};
  std::size_t newest_ = 0;
  std::size_t count_ = 0;
  std::uint64_t step_count_ = 0;
};

}  // namespace hwclock
