// Source "upstream": from what other servers say to a ClockState, without a receiver.
//
// The majority's time is a straight line over ticks, fitted to the samples that it brought (least squares,
// the rate drawn to nothing until the samples show one). UNSYNC: nobody has answered. WARMUP: some have, and
// a majority of all that are configured may still be another; leap 3. LOCKED: they agree, and so do we.
// HOLDOVER: they do not answer, or no longer agree, with each other or with us; the error grows by drift and
// by what the rate may be off. ALARM: it has grown beyond its limit, or they have contradicted us for too
// long; leap 3, and all begins anew. The served line steps where leap is 3, and anywhere else it slews.
//
// The bound: half the leader's root delay and all its dispersion as RFC 5905 section 11.1 has them, and how
// far we are from it. Pure: news and ticks come in, a ClockState goes out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "hwclock/clock_state.h"
#include "hwclock/leap.h"
#include "hwclock/served_line.h"
#include "hwclock/upstream_panel.h"

namespace hwclock {

struct UpstreamClockPolicy {
  std::uint64_t error_ns_max = 1'000'000'000;
  std::uint64_t drift_ppb = 15'000;  // how fast the error grows without news
  std::int32_t precision = -25;
};

class UpstreamClock {
 public:
  UpstreamClock(std::uint64_t tick_hz, const UpstreamClockPolicy& policy) noexcept;

  // Before the first news, and whenever it changes.
  void set_leap(const LeapPlan& plan) noexcept { leap_ = plan; }

  // Member `index` has something new to say. `tick`: now.
  void take(const UpstreamPanel& panel, std::size_t index, std::uint64_t tick) noexcept;

  // Goes on with what somebody else served until now. `was_promised`: with leap below 3, so it is left by
  // slewing.
  void continue_from(const Line& line, std::uint64_t step_count, std::uint64_t tick,
                     bool was_promised) noexcept;

  // Call about 8 times a second, with ticks that do not go back.
  [[nodiscard]] ClockState publish(const UpstreamPanel& panel, std::uint64_t tick) noexcept;

  [[nodiscard]] bool has_time() const noexcept { return has_time_; }
  [[nodiscard]] TaiTime at(std::uint64_t tick) const noexcept;
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool is_contradicted() const noexcept { return is_contradicted_; }
  // Whose stratum we took last.
  [[nodiscard]] std::optional<std::size_t> leader() const noexcept { return leader_; }

 private:
  // The true time was `off_ns` ahead of the nominal line, `seconds` after its beginning.
  struct Point {
    double seconds = 0.0;
    double off_ns = 0.0;
  };
  static constexpr std::size_t points_max = 32;

  [[nodiscard]] double seconds_between(std::uint64_t earlier, std::uint64_t later) const noexcept;
  [[nodiscard]] double seconds_at(std::uint64_t tick) const noexcept;
  [[nodiscard]] double off_at(double seconds) const noexcept { return off_ns_ + rate_ppb_ * seconds; }
  [[nodiscard]] ClockGuess guess_at(std::uint64_t tick) const noexcept;
  [[nodiscard]] double held_error_ns(std::uint64_t tick) const noexcept;
  [[nodiscard]] double growth_ppb() const noexcept;
  [[nodiscard]] bool contradicts(const PanelView& view, std::uint64_t tick) const noexcept;
  void begin(const UpstreamNews& news) noexcept;
  void begin_anew(std::int64_t offset_ns) noexcept;
  void add_point(const UpstreamMember& member, std::int64_t shift_ns) noexcept;
  void fit(double noise_ns) noexcept;
  void drop_points(std::size_t count) noexcept;
  void measure_error(const UpstreamPanel& panel, const PanelView& view, std::uint64_t tick) noexcept;
  void judge(const UpstreamPanel& panel, const PanelView& view, std::uint64_t tick, double error_ns) noexcept;
  void change_to(State state, std::uint64_t tick) noexcept;

  double tick_hz_;
  UpstreamClockPolicy policy_;
  LeapPlan leap_;
  ServedLine served_;

  // The nominal line: TAI, at the nominal rate. Then what the truth is off it.
  bool has_time_ = false;
  std::uint64_t begin_tick_ = 0;
  std::int64_t begin_tai_ns_ = 0;
  double off_ns_ = 0.0;
  double rate_ppb_ = 0.0;  // of true time over the nominal tick
  double rate_sigma_ppb_;
  double prior_ppb_ = 0.0;  // what the rate was thought to be before the points, and how surely
  double prior_sigma_ppb_ = 0.0;
  std::array<Point, points_max> points_{};  // oldest first
  std::size_t point_count_ = 0;
  std::array<std::uint64_t, upstreams_max> heard_tick_{};  // of the sample that each brought last

  State state_ = State::unsync;
  std::uint64_t state_since_ = 0;
  bool is_contradicted_ = false;
  std::uint64_t contradicted_since_ = 0;
  std::optional<std::size_t> leader_;
  std::uint32_t stratum_ = 0;
  std::uint32_t reference_id_ = 0;
  std::uint64_t root_delay_ns_ = 0;
  double error_ns_ = 0.0;         // without half the root delay, as of ...
  std::uint64_t error_tick_ = 0;  // ... the last pass with a leader
  std::uint64_t reference_tick_ = 0;
  std::uint64_t reference_ntp_ = 0;
  NewsSinceLeap since_leap_;
};

}  // namespace hwclock
