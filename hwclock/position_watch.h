// A receiver that stands still tells of a spoofer by where it says it is: false signals are made for one
// place, and seldom for ours (CLOCK.md section 2.9).
//
// The first fixes survey the place; after that it stands, however slowly somebody drags it. Height is not
// looked at: it is the least certain. A position counts only as far as the receiver itself is sure of it.
// Pure.
#pragma once

#include <cstdint>

namespace hwclock {

// WGS 84.
struct Place {
  double latitude_deg = 0.0;
  double longitude_deg = 0.0;
  double accuracy_m = 0.0;  // horizontal, one sigma
};

class PositionWatch {
 public:
  static constexpr std::uint32_t survey_fixes = 120;  // two minutes make the place
  static constexpr std::uint32_t jump_fixes = 3;      // so many in a row are no glitch ...
  static constexpr std::uint32_t calm_fixes = 10;     // ... and so many say that it is over

  // 0: it travels, and nothing is watched.
  explicit PositionWatch(double stands_within_m) noexcept : bound_m_(stands_within_m) {}

  void take(const Place& place) noexcept;

  [[nodiscard]] bool has_jumped() const noexcept { return has_jumped_; }
  // Of the last position from the surveyed place.
  [[nodiscard]] double distance_m() const noexcept { return distance_m_; }

 private:
  void survey(const Place& place) noexcept;
  void begin_anew(const Place& place) noexcept;

  double bound_m_;
  Place home_;
  double weight_ = 0.0;  // of all surveyed positions
  std::uint32_t surveyed_ = 0;
  std::uint32_t away_in_a_row_ = 0;
  std::uint32_t home_in_a_row_ = 0;
  bool has_jumped_ = false;
  double distance_m_ = 0.0;
};

[[nodiscard]] double distance_m(const Place& one, const Place& other) noexcept;

}  // namespace hwclock
