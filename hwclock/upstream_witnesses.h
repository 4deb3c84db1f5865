// What authenticated upstreams say of a time that is not theirs: a receiver's.
//
// They are witnesses, not a source: a quorum that agrees with each other, and has no point in common with
// what the clock believes of itself, contradicts it. Both sides name seconds of UTC, so the clock is put into
// UTC by the leap plan that it serves by, whoever told that; around a leap second nobody can be told apart,
// and news from before it are not held against what is served after it. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "hwclock/leap.h"
#include "hwclock/upstream_panel.h"

namespace hwclock {

// What the upstreams say of a clock that believes itself right to `error_ns`.
enum class Testimony : std::uint8_t {
  silent,      // fewer than `quorum` authenticated ones agree with each other
  agrees,      // both bounds have a point in common
  contradicts  // they have none
};

// `truth`: the vote of the authenticated ones. `quorum` 0 counts as 1.
[[nodiscard]] Testimony testimony_of(const UpstreamVote& truth, std::uint64_t error_ns,
                                     std::uint32_t quorum) noexcept;

// What they say it is at `guess.tick`, in UTC nanoseconds: the second for pulses that nobody else numbers.
// A majority of the authenticated ones says it; where none of these is heard, and only if `takes_any`, one of
// the others. Nothing when they know it to no better than a tenth of a second, and in the two hours behind a
// midnight that may have ended with a leap second: news from before it name another second. `guess` may be
// off by years; its rate must be good to 10 ppm for an hour old news, to 100 ppm for a quarter of an hour.
[[nodiscard]] std::optional<std::int64_t> date_of(const UpstreamPanel& panel, const ClockGuess& guess,
                                                  bool takes_any) noexcept;

class Witnesses {
 public:
  struct Heard {
    Testimony testimony = Testimony::silent;
    double wrong_by_ns = 0.0;  // at most, as far as they know
  };

  Witnesses(std::uint64_t tick_hz, std::uint32_t quorum) noexcept : quorum_(quorum), since_leap_(tick_hz) {}

  // `tai`: the clock now, in TAI. `plan`: what it is served by. Call about 8 times a second. Nothing while a
  // leap second happens: what was said before stands.
  [[nodiscard]] std::optional<Heard> hear(const UpstreamPanel& panel, const ClockGuess& tai,
                                          const LeapPlan& plan, double error_ns) noexcept;

 private:
  std::uint32_t quorum_;
  NewsSinceLeap since_leap_;
};

}  // namespace hwclock
