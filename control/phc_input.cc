#include "control/phc_input.h"

#include <algorithm>

namespace control {
namespace {

// A reading is worth something when it is no wider than so many good ones.
constexpr double wide_times = 4.0;
// What a good reading is rises by so much a look, so that a machine that became slower is believed in the
// end.
constexpr double narrow_growth = 1.01;
// And the widest one is forgotten as slowly: half of it in some twenty seconds.
constexpr double window_kept = 0.995;
// A second of the clock is asked for once a second, a little early rather than a look too late.
constexpr double time_interval_s = 15.0 / 16.0;

}  // namespace

PhcCounters& PhcCounters::operator+=(const PhcCounters& other) noexcept {
  steps += other.steps;
  unread += other.unread;
  doubted += other.doubted;
  unplaced += other.unplaced;
  dropped_edges += other.dropped_edges;
  return *this;
}

const char* sentence_of(PhcTrouble trouble) noexcept {
  switch (trouble) {
    case PhcTrouble::none:
      return "the NIC's clock is read";
    case PhcTrouble::unread:
      return "the NIC's clock is busy and cannot be read";
    case PhcTrouble::stands_still:
      return "the NIC's clock stands still";
    case PhcTrouble::set:
      return "the NIC's clock was set by somebody";
    case PhcTrouble::inexact:
      return "the NIC's driver admits to a larger error of its clock than [gnss] reference_error_ns";
  }
  return "";
}

PhcInput::PhcInput(const PulseInput& input, std::int64_t error_max_ns, std::uint64_t tick_hz)
    : input_(input),
      error_max_ns_(error_max_ns),
      tick_hz_(static_cast<double>(tick_hz)),
      phc_(input.path),
      stamps_(tick_hz) {
  if (!is_phc_edge(input.kind)) return;
  phc_.watch_pin(
      input.pin, input.channel,
      input.kind == PulseKind::extts_rising ? hwclock::PhcEdge::rising : hwclock::PhcEdge::falling);
}

bool PhcInput::is_narrow(std::int64_t half_width_ns) noexcept {
  const auto half = static_cast<double>(std::max<std::int64_t>(1, half_width_ns));
  narrow_ns_ = narrow_ns_ == 0.0 ? half : std::min(half, narrow_ns_ * narrow_growth);
  if (half > wide_times * narrow_ns_) return false;
  window_ns_ = std::max(half, window_ns_ * window_kept);
  return true;
}

// True when there is a new reading that goes on with the one before.
bool PhcInput::read_clock(const hwclock::Stamps& system, std::uint64_t system_half_width_ticks, int& error) {
  const auto stamp = phc_.cross_stamp(error);
  const auto tick = stamp ? system.tick_of(stamp->clock_ns) : std::nullopt;
  if (!tick || !is_narrow(stamp->half_width_ns)) {
    ++counters_.unread;
    trouble_ = PhcTrouble::unread;
    return false;
  }
  const auto half_width_ticks =
      static_cast<std::uint64_t>(static_cast<double>(stamp->half_width_ns) * tick_hz_ / 1e9);
  const hwclock::Reading reading{tick->tick, half_width_ticks + system_half_width_ticks, stamp->phc_ns};
  const std::uint64_t steps = stamps_.step_count();
  stamps_.take(reading);
  const bool stands_still = last_ && last_->ns == reading.ns;
  const bool goes_on = last_.has_value() && stamps_.step_count() == steps;
  if (last_ && !goes_on) {
    ++counters_.steps;
    trouble_ = stands_still ? PhcTrouble::stands_still : PhcTrouble::set;
  }
  last_ = reading;
  if (goes_on) trouble_ = PhcTrouble::none;
  return goes_on;
}

void PhcInput::take_time(std::vector<PhcEvent>& events) {
  if (last_->tsc < next_time_tick_) return;
  next_time_tick_ = last_->tsc + static_cast<std::uint64_t>(time_interval_s * tick_hz_);
  const auto admitted_ns = phc_.error_bound_ns();
  if (admitted_ns && *admitted_ns > error_max_ns_) {
    ++counters_.doubted;
    trouble_ = PhcTrouble::inexact;
    return;
  }
  const double half_width_ns = static_cast<double>(last_->half_width_ticks) / tick_hz_ * 1e9;
  events.push_back({last_->tsc, last_->ns, half_width_ns});
}

void PhcInput::take_edges(std::vector<PhcEvent>& events, int& error) {
  for (const std::int64_t edge_ns : phc_.edges(input_.channel, error)) {
    if (!filter_.take(edge_ns)) continue;
    if (const auto edge = stamps_.tick_of(edge_ns)) {
      events.push_back({edge->tick, edge_ns, edge->sigma_ns});
    } else {
      ++counters_.unplaced;
    }
  }
}

bool PhcInput::look(const hwclock::Stamps& system, std::uint64_t system_half_width_ticks,
                    std::vector<PhcEvent>& events) {
  int error = 0;
  const bool goes_on = read_clock(system, system_half_width_ticks, error);
  if (error != 0) return false;
  if (is_phc_edge(input_.kind)) {
    take_edges(events, error);
  } else if (goes_on) {
    take_time(events);
  }
  return error == 0;
}

PhcCounters PhcInput::counters() const noexcept {
  PhcCounters all = counters_;
  all.dropped_edges = phc_.dropped_edges() + filter_.dropped();
  return all;
}

}  // namespace control
