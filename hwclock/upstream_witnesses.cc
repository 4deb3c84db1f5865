#include "hwclock/upstream_witnesses.h"

#include <algorithm>
#include <cmath>

#include "hwclock/leap_table.h"

namespace hwclock {
namespace {

constexpr std::uint32_t leap_unsynchronised = 3;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr double error_ns_max = 1e18;  // fits any integer here
constexpr std::uint64_t date_error_ns_max = 100'000'000;
constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t leap_doubt_before_s = 5;
constexpr std::int64_t leap_doubt_after_s = 7'200;

// Whether some may have made a leap second and others not.
bool is_near_leap(std::int64_t utc_s) noexcept {
  const std::int64_t midnight_s = (utc_s + leap_doubt_before_s) / day_s * day_s;
  return may_change_at(midnight_s) && utc_s < midnight_s + leap_doubt_after_s;
}

}  // namespace

std::optional<std::int64_t> date_of(const UpstreamPanel& panel, const ClockGuess& guess,
                                    bool takes_any) noexcept {
  UpstreamVote truth = panel.against(guess, true).vote;
  if (truth.heard == 0 && takes_any) truth = panel.against(guess).vote;
  if (truth.agreeing == 0 || truth.distance_ns > date_error_ns_max) return std::nullopt;
  const std::int64_t utc_ns = guess.ns + truth.offset_ns;
  if (is_near_leap(utc_ns / ns_per_s)) return std::nullopt;
  return utc_ns;
}

Testimony testimony_of(const UpstreamVote& truth, std::uint64_t error_ns, std::uint32_t quorum) noexcept {
  if (truth.agreeing < std::max(quorum, 1U)) return Testimony::silent;
  const auto error = static_cast<std::int64_t>(std::min(error_ns, static_cast<std::uint64_t>(error_ns_max)));
  return truth.low_ns <= error && truth.high_ns >= -error ? Testimony::agrees : Testimony::contradicts;
}

std::optional<Witnesses::Heard> Witnesses::hear(const UpstreamPanel& panel, const ClockGuess& tai,
                                                const LeapPlan& plan, double error_ns) noexcept {
  const TaiTime now{tai.ns};
  const std::int32_t tai_minus_utc_s = tai_minus_utc_at(plan, now);
  since_leap_.see(tai_minus_utc_s, tai.tick);
  if (leap_indicator_at(plan, now) == leap_unsynchronised) return std::nullopt;
  const ClockGuess utc{tai.tick, tai.ns - tai_minus_utc_s * ns_per_s, tai.ns_per_tick};
  const UpstreamVote truth = since_leap_.of(panel).against(utc, true).vote;
  const auto whole_ns = static_cast<std::uint64_t>(std::clamp(error_ns, 0.0, error_ns_max));
  return Heard{
      testimony_of(truth, whole_ns, quorum_),
      std::max(std::fabs(static_cast<double>(truth.low_ns)), std::fabs(static_cast<double>(truth.high_ns)))};
}

}  // namespace hwclock
