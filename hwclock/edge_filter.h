// The one edge of a pulse that begins the second, from a line on which other edges may be stamped too.
//
// A driver that cannot promise one edge stamps both, a bad contact bounces, and a line that carries 10 Hz has
// no second at all. A pulse is shorter than the pause after it, so the edge that ends a pause is the one;
// whichever way it goes. What comes sooner is dropped (TESTS.md I05). Pure.
#pragma once

#include <cstdint>

namespace hwclock {

class EdgeFilter {
 public:
  // Longer than the longer half of any pulse but a square one's, whose edges cannot be told apart; shorter
  // than the pause after a pulse of 400 ms.
  static constexpr std::int64_t pause_ns_min = 600'000'000;

  // An edge, in the time of any one clock. False: it is none of ours. An edge before the last one means that
  // the clock was set: the line begins anew.
  [[nodiscard]] bool take(std::int64_t edge_ns) noexcept {
    const bool is_first = !has_edge_ || edge_ns < last_ns_;
    const bool ends_pause = is_first || edge_ns - last_ns_ >= pause_ns_min;
    has_edge_ = true;
    last_ns_ = edge_ns;
    if (!ends_pause) ++dropped_;
    return ends_pause;
  }

  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  bool has_edge_ = false;
  std::int64_t last_ns_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace hwclock
