// All upstreams together, against one clock: what each claims, who agrees, and whose word would be ours.
//
// A member's news is "its clock said this at that tick", so it can be held against any clock that knows
// ticks. News age at 15 ppm (RFC 5905's PHI) and are kept for as long as they say anything. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "hwclock/upstream_measure.h"
#include "hwclock/upstream_vote.h"

namespace hwclock {

struct UpstreamMember {
  bool has_news = false;
  UpstreamNews news;
  std::uint32_t stratum = 0;       // 1..15
  std::uint32_t reference_id = 0;  // what we name it when we follow it
  std::uint32_t leap = 0;          // 0..2
  std::uint8_t reach = 0;
  bool authenticated = false;
  bool may_lead = false;  // trusted with giving the time, not only with contradicting
};

// A clock, near one of its ticks: it says `ns` there. The scale is whatever both sides agree on.
struct ClockGuess {
  std::uint64_t tick = 0;
  std::int64_t ns = 0;
  double ns_per_tick = 0.0;

  [[nodiscard]] std::int64_t at(std::uint64_t other_tick) const noexcept;
};

struct PanelView {
  std::array<UpstreamClaim, upstreams_max> claims{};  // offsets: theirs minus ours
  std::size_t count = 0;
  UpstreamVote vote;
  std::optional<std::size_t> leader;  // of those that agree and may lead: lowest stratum, then nearest
  // How far the truth may be from our clock if any minority of those that are heard lies, whichever it is: to
  // either end of what a majority shares. The vote's own interval is narrower: it looks for the smallest
  // minority that explains all, and a liar may hide among claims that are still wide.
  std::optional<std::uint64_t> spread_ns;
};

class UpstreamPanel {
 public:
  // Beyond upstreams_max they are not heard.
  explicit UpstreamPanel(std::size_t count = 0) noexcept
      : count_(count < upstreams_max ? count : upstreams_max) {}

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] const UpstreamMember& member(std::size_t index) const noexcept { return members_[index]; }
  [[nodiscard]] UpstreamMember& member(std::size_t index) noexcept { return members_[index]; }

  // What they say of a clock, now: at `clock.tick`.
  [[nodiscard]] PanelView against(const ClockGuess& clock, bool authenticated_only = false) const noexcept;

  // The same without the news of samples from before `tick`.
  [[nodiscard]] UpstreamPanel since(std::uint64_t tick) const noexcept;

 private:
  std::array<UpstreamMember, upstreams_max> members_{};
  std::size_t count_;
};

// Which news name the seconds as the clock does that they are held against: after a leap second, those from
// before it name another.
class NewsSinceLeap {
 public:
  explicit NewsSinceLeap(std::uint64_t tick_hz) noexcept
      : calm_ticks_(static_cast<std::uint64_t>(calm_s) * tick_hz) {}

  // The clock's TAI minus UTC at `tick`. True when it was another until now.
  bool see(std::int32_t tai_minus_utc_s, std::uint64_t tick) noexcept;

  [[nodiscard]] UpstreamPanel of(const UpstreamPanel& panel) const noexcept;

 private:
  static constexpr int calm_s = 2;  // so soon after a leap second not every server has made it yet

  std::uint64_t calm_ticks_;
  std::optional<std::int32_t> tai_minus_utc_s_;
  std::optional<std::uint64_t> since_tick_;  // the end of the last leap second
};

// RFC 5905 section 11.1 (root_dist) at `age_ns` after the newest sample.
[[nodiscard]] std::uint64_t root_distance_ns(const UpstreamNews& news, std::int64_t age_ns) noexcept;

// The same without RFC 5905's floor of 10 ms for a delay, which keeps selection calm and is not true: as far
// as the server and the way to it are known, the truth is no further away.
[[nodiscard]] std::uint64_t exact_distance_ns(const UpstreamNews& news, std::int64_t age_ns) noexcept;

// Its part that is no delay, which is what goes into a root dispersion.
[[nodiscard]] std::uint64_t dispersion_ns_after(const UpstreamNews& news, std::int64_t age_ns) noexcept;

}  // namespace hwclock
