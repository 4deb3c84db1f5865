// Fits the TSC to readings of a clock, and bends the served line after it without a jump.
//
// The clock is the kernel's: linear in the TSC for as long as nobody slews it, and read with tens of
// nanoseconds of noise. The rate is a weighted least-squares slope over the last second, over less as soon as
// older readings no longer lie on one line with the newest. What the served line is off by then goes into
// its rate and is gone within seconds: served time never goes back (TESTS.md B11). Only a difference beyond
// step_limit_ns is a step (I08).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "hwclock/clock_state.h"
#include "hwclock/reading.h"

namespace hwclock {

// Beyond this the line jumps: somebody set the clock, or slewed it faster than we follow.
inline constexpr std::int64_t step_limit_ns = 10'000'000;

// What one reading has led to.
struct Fitted {
  Line line;
  std::uint64_t read_tsc = 0;        // of the reading
  std::int64_t offset_ns = 0;        // clock minus line there, before this reading was taken
  std::uint64_t error_ns = 0;        // how far the line may be from the clock there
  std::uint64_t rate_error_ppb = 0;  // how far its rate is from the settled one: all of it is error once
                                     // nobody corrects the line any more
  double settled_ns_per_tick = 0.0;  // the clock's rate, without what it is just being corrected by
  std::uint64_t step_count = 0;
  bool stepped = false;  // with this reading
};

class TscFit {
 public:
  // `tsc_hz` need only be about right, but not below tsc_hz_min.
  explicit TscFit(std::uint64_t tsc_hz) noexcept;

  // Goes on from what an earlier process served. Before the first reading only.
  void resume(const Line& line, std::uint64_t step_count) noexcept;

  // Only learns from a reading. Two of these make the rate known before a line is touched.
  void prime(const Reading& utc) noexcept;

  // Takes a reading of UTC. Readings come about 8 times a second, but any gap will do.
  const Fitted& take(const Reading& utc) noexcept;

 private:
  static constexpr std::size_t readings_max = 8;

  void learn_rate() noexcept;
  [[nodiscard]] bool fit(double& slope) noexcept;
  void drop_oldest() noexcept;
  void begin_at(const Reading& reading) noexcept;
  void bend(const Reading& reading) noexcept;
  [[nodiscard]] bool is_beyond_step(double difference_ns, const Reading& reading) const noexcept;
  [[nodiscard]] double within_deviation(double ns_per_tick) const noexcept;
  [[nodiscard]] double ns_of(std::uint64_t ticks) const noexcept;

  double nominal_ns_per_tick_;
  double clock_ns_per_tick_;    // the clock's rate now
  double settled_ns_per_tick_;  // its mean over the last minute
  std::uint64_t fits_ = 0;
  double phase_ns_ = 0.0;                       // fitted clock minus newest reading, there
  std::array<Reading, readings_max> readings_;  // oldest first
  std::size_t reading_count_ = 0;
  bool has_line_ = false;
  Fitted fitted_;
};

// ClockState::mult has room for no slower counter.
inline constexpr std::uint64_t tsc_hz_min = std::uint64_t{1} << 28;

// Ticks per second between two readings of one clock that nobody slews; 0 when they say nothing.
[[nodiscard]] std::uint64_t tsc_hz_between(const Reading& earlier, const Reading& later) noexcept;

// UTC in nanoseconds since 1970 as an NTP timestamp, era dropped.
[[nodiscard]] std::uint64_t ntp_of_utc(std::int64_t utc_ns) noexcept;

}  // namespace hwclock
