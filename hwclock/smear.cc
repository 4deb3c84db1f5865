#include "hwclock/smear.h"

#include <algorithm>
#include <cmath>

#include "hwclock/calendar.h"

namespace hwclock {
namespace {

constexpr double ns_per_s = 1e9;
constexpr std::int64_t ns_per_s_whole = 1'000'000'000;
constexpr double units_per_ns = 0x1p32 / 1e9;
constexpr std::int64_t ntp_to_unix_s = 2'208'988'800;
constexpr std::int64_t half_day_s = 43'200;
constexpr std::int64_t quadratic_s = 62'500;
// Around the change itself UTC says "unsynchronised" (leap.h), and smeared addresses must not.
constexpr std::int64_t around_s = 3;
// Until the next publication, about: the rate is that of the chord, so that lines meet.
constexpr std::int64_t chord_ns = 125'000'000;

constexpr std::uint32_t reference_id_smeared = 0x534d4552;          // "SMER", at stratum 1
constexpr std::uint32_t reference_id_smeared_further = 0x7f7f01ff;  // 127.127.1.255: chrony's sign of a smear

struct Window {
  std::int64_t begin_s = 0;  // TAI
  std::int64_t end_s = 0;
};

Window window_of(SmearKind kind, const LeapPlan& plan) noexcept {
  if (kind == SmearKind::linear)
    return {plan.change_tai_s - plan.change_s - half_day_s, plan.change_tai_s + half_day_s};
  return {plan.change_tai_s, plan.change_tai_s + quadratic_s};
}

// When something is published at all.
Window published_window(SmearKind kind, const LeapPlan& plan) noexcept {
  const Window window = window_of(kind, plan);
  return {std::min(window.begin_s, plan.change_tai_s - around_s), window.end_s};
}

bool is_within(const Window& window, TaiTime time) noexcept {
  return time.ns >= window.begin_s * ns_per_s_whole && time.ns < window.end_s * ns_per_s_whole;
}

// How much of the second is done, 0 to 1.
double share_at(SmearKind kind, const LeapPlan& plan, TaiTime time) noexcept {
  const Window window = window_of(kind, plan);
  const double past_ns = static_cast<double>(time.ns - window.begin_s * ns_per_s_whole);
  const double share =
      std::clamp(past_ns / ns_per_s / static_cast<double>(window.end_s - window.begin_s), 0.0, 1.0);
  if (kind == SmearKind::linear) return share;
  return share < 0.5 ? 2.0 * share * share : 1.0 - 2.0 * (1.0 - share) * (1.0 - share);
}

}  // namespace

double smear_offset_ns(SmearKind kind, const LeapPlan& plan, TaiTime time, bool has_changed) noexcept {
  if (kind == SmearKind::none || !is_possible(plan)) return 0.0;
  const double second_ns = plan.change_s * ns_per_s;
  const double done = share_at(kind, plan, time);
  return has_changed ? (1.0 - done) * second_ns : -done * second_ns;
}

TaiTime tai_at(const ClockState& state, std::uint64_t tick) noexcept {
  const std::uint64_t ntp = ntp_at(state, tick);
  // The first instant with these 32 bits of seconds that is not before this was written.
  const auto ntp_s = static_cast<std::uint32_t>(ntp >> 32);
  const auto written_s = static_cast<std::uint32_t>(written_utc_s + ntp_to_unix_s);
  const std::int64_t utc_s = written_utc_s + static_cast<std::uint32_t>(ntp_s - written_s);
  const auto fraction_ns = static_cast<std::int64_t>((ntp & 0xffffffff) * ns_per_s_whole >> 32);
  return {(utc_s + state.tai_minus_utc_s) * ns_per_s_whole + fraction_ns};
}

void Smear::resume(const ServedSmear& left_behind) noexcept {
  const LeapPlan plan{left_behind.tai_minus_utc_s, left_behind.change_s, left_behind.change_tai_s};
  if (is_possible(plan)) change_ = plan;
}

void Smear::take(const LeapPlan& plan, TaiTime now) noexcept {
  if (kind_ == SmearKind::none) return;
  if (change_.change_s != 0 && is_within(published_window(kind_, change_), now)) {
    const bool is_to_come = now.ns < change_.change_tai_s * ns_per_s_whole;
    if (is_to_come) {
      is_taken_back_ = plan.change_s != change_.change_s || plan.change_tai_s != change_.change_tai_s;
      return;
    }
    if (!is_taken_back_) return;
  }
  change_ = {};
  is_taken_back_ = false;
  if (is_possible(plan) && now.ns < published_window(kind_, plan).end_s * ns_per_s_whole) change_ = plan;
}

void Smear::publish(std::uint64_t tick, ClockState& state) const noexcept {
  state.smear = {};
  if (change_.change_s == 0 || state.ntp0 == 0) return;
  const TaiTime now = tai_at(state, tick);
  if (!is_within(published_window(kind_, change_), now)) return;
  const bool has_changed = state.tai_minus_utc_s == change_.tai_minus_utc_s + change_.change_s;
  const auto offset_ns = [&](TaiTime time) { return smear_offset_ns(kind_, change_, time, has_changed); };
  const double offset_now_ns = offset_ns(now);
  const double slope = (offset_ns(now + Duration{chord_ns}) - offset_now_ns) / chord_ns;

  ServedSmear& smear = state.smear;
  smear.line.tsc0 = tick;
  smear.line.ntp0 =
      ntp_at(state, tick) + static_cast<std::uint64_t>(std::llround(offset_now_ns * units_per_ns));
  smear.line.mult = state.mult + static_cast<std::uint64_t>(static_cast<std::int64_t>(
                                     std::llround(static_cast<double>(state.mult) * slope)));
  // What it is from UTC, and what the window's end or bend may add while the line is believed.
  smear.off_ns = static_cast<std::uint64_t>(
      std::ceil(std::fabs(offset_now_ns) + std::fabs(slope) * line_s_max * ns_per_s));
  smear.change_tai_s = change_.change_tai_s;
  smear.change_s = change_.change_s;
  smear.tai_minus_utc_s = change_.tai_minus_utc_s;
  smear.reference_id = state.stratum <= 1 ? reference_id_smeared : reference_id_smeared_further;
  const auto most_ticks = static_cast<std::uint64_t>(line_s_max * static_cast<double>(state.tsc_hz));
  smear.valid_until = is_taken_back_ ? tick : std::min(state.valid_until, tick + most_ticks);
}

}  // namespace hwclock
