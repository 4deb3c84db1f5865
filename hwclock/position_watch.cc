#include "hwclock/position_watch.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hwclock {
namespace {

constexpr double earth_radius_m = 6'371'000.0;  // a sphere is right to 0.5 %
constexpr double sure_sigmas = 3.0;
constexpr double accuracy_least_m = 1.0;

double radians(double degrees) noexcept { return degrees * std::numbers::pi / 180.0; }

// False for what is not a number, too.
bool is_place(const Place& place) noexcept {
  return std::fabs(place.latitude_deg) <= 90.0 && std::fabs(place.longitude_deg) <= 180.0 &&
         place.accuracy_m >= 0.0;
}

}  // namespace

double distance_m(const Place& one, const Place& other) noexcept {
  const double north = std::sin(radians(other.latitude_deg - one.latitude_deg) / 2.0);
  const double east = std::sin(radians(other.longitude_deg - one.longitude_deg) / 2.0);
  const double chord = north * north + std::cos(radians(one.latitude_deg)) *
                                           std::cos(radians(other.latitude_deg)) * east * east;
  return 2.0 * earth_radius_m * std::asin(std::sqrt(std::clamp(chord, 0.0, 1.0)));
}

// The mean by certainty. Across the date line the nearer turn counts.
void PositionWatch::survey(const Place& place) noexcept {
  const double sigma_m = std::max(place.accuracy_m, accuracy_least_m);
  const double weight = 1.0 / (sigma_m * sigma_m);
  weight_ += weight;
  const double part = weight / weight_;
  home_.latitude_deg += part * (place.latitude_deg - home_.latitude_deg);
  home_.longitude_deg += part * std::remainder(place.longitude_deg - home_.longitude_deg, 360.0);
  home_.longitude_deg = std::remainder(home_.longitude_deg, 360.0);
  ++surveyed_;
}

void PositionWatch::take(const Place& place) noexcept {
  // Who does not know to within the bound where it is says nothing of whether it jumped.
  if (bound_m_ <= 0.0 || !is_place(place) || place.accuracy_m > bound_m_) return;
  if (surveyed_ == 0) return survey(place);
  distance_m_ = hwclock::distance_m(home_, place);
  if (distance_m_ > std::max(bound_m_, sure_sigmas * place.accuracy_m)) {
    home_in_a_row_ = 0;
    if (++away_in_a_row_ < jump_fixes) return;
    has_jumped_ = has_jumped_ || surveyed_ >= jump_fixes;
    if (!has_jumped_) begin_anew(place);
    return;
  }
  away_in_a_row_ = 0;
  if (has_jumped_ && ++home_in_a_row_ >= calm_fixes) has_jumped_ = false;
  if (!has_jumped_ && surveyed_ < survey_fixes) survey(place);
}

// The first fixes after a cold start are the worst: fewer of them than a jump takes are no place to jump
// from.
void PositionWatch::begin_anew(const Place& place) noexcept {
  *this = PositionWatch(bound_m_);
  survey(place);
}

}  // namespace hwclock
