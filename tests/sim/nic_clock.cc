#include "tests/sim/nic_clock.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "hwclock/phc.h"

namespace sim {
namespace {

// The kernel's own clock, which the readings are bracketed by: a little fast, and read well.
constexpr double kernel_ppb = 3'000.0;
constexpr std::int64_t kernel_half_width_ns = 15;

// As in control/phc_input.cc.
constexpr double wide_times = 4.0;
constexpr double narrow_growth = 1.01;
constexpr double window_kept = 0.995;

}  // namespace

NicClock::NicClock(const NicModel& model, std::uint64_t tick_hz, std::uint64_t seed)
    : model_(model),
      tick_hz_(static_cast<double>(tick_hz)),
      noise_(seed),
      rate_ppb_(model.offset_ppb),
      system_(tick_hz),
      stamps_(tick_hz) {}

void NicClock::pass(std::int64_t second) {
  second_ = second;
  phase_ns_ = next_phase_ns_;
  rate_ppb_ += model_.walk_ppb * noise_.normal();
  next_phase_ns_ = phase_ns_ + rate_ppb_;
}

std::int64_t NicClock::at(double part_s) const {
  const double rest_ns = part_s * 1e9 + phase_ns_ + part_s * (next_phase_ns_ - phase_ns_);
  const std::int64_t ns = second_ * std::int64_t{1'000'000'000} + std::llround(rest_ns) + set_ns_;
  const auto resolution = static_cast<std::int64_t>(model_.resolution_ns);
  return ns - ns % std::max<std::int64_t>(1, resolution);
}

std::int64_t NicClock::kernel_ns(std::uint64_t tick) const {
  const double ns_per_tick = 1e9 / tick_hz_ * (1.0 + kernel_ppb * 1e-9);
  return std::llround(static_cast<double>(tick) * ns_per_tick);
}

bool NicClock::is_narrow(std::int64_t half_width_ns) {
  const auto half = static_cast<double>(std::max<std::int64_t>(1, half_width_ns));
  narrow_ns_ = narrow_ns_ == 0.0 ? half : std::min(half, narrow_ns_ * narrow_growth);
  if (half > wide_times * narrow_ns_) return false;
  window_ns_ = std::max(half, window_ns_ * window_kept);
  return true;
}

void NicClock::look(double part_s, const TickAt& tick_at) {
  const auto ticks_of = [&](std::int64_t ns) {
    return static_cast<std::uint64_t>(static_cast<double>(ns) * tick_hz_ / 1e9);
  };
  const std::uint64_t now = tick_at(part_s);
  system_.take({now, ticks_of(kernel_half_width_ns), kernel_ns(now)});
  std::array<hwclock::PhcReading, hwclock::phc_readings> readings;
  double begin_s = part_s;
  for (hwclock::PhcReading& reading : readings) {
    double takes_ns = model_.latency_ns + model_.jitter_ns * noise_.exponential();
    if (model_.slow_chance > 0.0 && noise_.uniform() < model_.slow_chance) takes_ns += model_.slow_ns;
    const double end_s = begin_s + takes_ns * 1e-9;
    reading.before_ns = kernel_ns(tick_at(begin_s));
    reading.phc_ns = at(begin_s + model_.latch_part * takes_ns * 1e-9);
    reading.after_ns = kernel_ns(tick_at(end_s));
    begin_s = end_s;
  }
  const auto stamp = hwclock::narrowest(readings);
  const auto tick = stamp ? system_.tick_of(stamp->clock_ns) : std::nullopt;
  if (!tick || !is_narrow(stamp->half_width_ns)) return;
  stamps_.take({tick->tick, ticks_of(stamp->half_width_ns + kernel_half_width_ns), stamp->phc_ns});
}

std::optional<PlacedEdge> NicClock::edge(double part_s) {
  const std::int64_t edge_ns = at(part_s);
  if (!filter_.take(edge_ns)) return std::nullopt;
  const auto placed = stamps_.tick_of(edge_ns);
  if (!placed) return std::nullopt;
  return PlacedEdge{placed->tick, placed->sigma_ns};
}

}  // namespace sim
