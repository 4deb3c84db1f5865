#include "hwclock/upstream_witnesses.h"

#include <algorithm>
#include <cmath>

namespace hwclock {
namespace {

constexpr std::uint32_t leap_unsynchronised = 3;
constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr double error_ns_max = 1e18;  // fits any integer here

}  // namespace

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
