// When an upstream is asked next: poll interval, reach, kisses of death, and how long to stay away.
//
// Rules: RFC 5905 section 13 (poll process) and 7.4 (kisses), RFC 8915 section 4.2 (NTS-KE that fails). The
// interval is 2^poll s and grows while the samples agree with each other. RATE makes it longer for good; DENY
// and RSTR end the asking until the role is started anew. Pure: no clock, no socket; randomness is brought.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "nts/random.h"

namespace control {

class UpstreamSchedule {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // Exponents of two seconds; minpoll <= maxpoll.
  UpstreamSchedule(std::uint32_t minpoll, std::uint32_t maxpoll, bool iburst) noexcept
      : floor_(minpoll), maxpoll_(maxpoll), poll_(minpoll), iburst_(iburst) {}

  // A request leaves now.
  void sent() noexcept;

  // It brought a usable sample. `is_steady`: it agrees with those before it, so asking less often will do.
  void answered(bool is_steady) noexcept;

  // RATE: at least twice as rarely from now on, also beyond maxpoll.
  void slow_down() noexcept;

  // DENY or RSTR: never again.
  void stop() noexcept { is_stopped_ = true; }
  [[nodiscard]] bool is_stopped() const noexcept { return is_stopped_; }

  // From one request to the next: never less than 2^poll s, and up to a sixteenth more, so that clients that
  // started together drift apart.
  [[nodiscard]] Milliseconds interval(nts::RandomSource& random) noexcept;

  [[nodiscard]] std::uint32_t poll() const noexcept { return poll_; }
  // The last eight requests, the newest in the lowest bit: 1 was answered (RFC 5905 section 9.2).
  [[nodiscard]] std::uint8_t reach() const noexcept { return reach_; }

 private:
  std::uint32_t floor_;
  std::uint32_t maxpoll_;
  std::uint32_t poll_;
  bool iburst_;
  bool is_stopped_ = false;
  std::uint8_t reach_ = 0;
  std::uint32_t burst_left_ = 0;
  std::uint32_t unanswered_ = 0;  // in a row
  std::int32_t steadiness_ = 0;   // RFC 5905 section 12 (poll-adjust): its "jiggle counter"
};

// How long to wait after what failed: ever longer up to a limit, and from the beginning after a success.
class UpstreamBackoff {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // Never less than `first`.
  explicit UpstreamBackoff(Milliseconds longest) noexcept : longest_(std::max(longest, first)) {}

  // A server's NTS-KE that failed is spared for days in the end (RFC 8915 section 4.2). What costs nobody
  // anything, like a look-up, or a server's silence, is tried again as often as the server itself would be
  // asked.
  [[nodiscard]] static UpstreamBackoff of_key_establishment() noexcept { return UpstreamBackoff(days); }
  [[nodiscard]] static UpstreamBackoff of_all_else(std::uint32_t maxpoll) noexcept {
    return UpstreamBackoff(Milliseconds(std::int64_t{1000} << maxpoll));
  }

  [[nodiscard]] Milliseconds next(nts::RandomSource& random) noexcept;
  void reset() noexcept { wait_ = first; }

  static constexpr Milliseconds first{10'000};
  static constexpr Milliseconds days{432'000'000};  // 5 of them

 private:
  Milliseconds longest_;
  Milliseconds wait_ = first;
};

}  // namespace control
