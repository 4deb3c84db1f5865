// Source "gnss": receiver and pulses in, ClockState out, and a sentence for people on what it is doing.
//
// The engine is hwclock's discipline, the inputs are gnss_inputs.h. What an earlier clock role left on the
// page is holdover, and better than a new beginning: it stands until this one has locked, or until it ends.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "control/config.h"
#include "control/gnss_inputs.h"
#include "control/messages.h"
#include "hwclock/announced_leap.h"
#include "hwclock/discipline.h"
#include "hwclock/leap_table.h"
#include "hwclock/upstream_witnesses.h"

namespace control {

// What [clock] and [gnss] say, in hwclock's terms. `precision`: log2 seconds of one reading.
[[nodiscard]] hwclock::DisciplinePolicy discipline_policy(const Config& config, std::int32_t precision);

// The table of the configured file, or the compiled one when that cannot be used; then `warning` says why.
// An expired file is used, and warned of.
[[nodiscard]] hwclock::LeapTable leap_table_of(const std::filesystem::path& file, std::int64_t now_utc_s,
                                               std::string& warning);

class GnssTime {
 public:
  // `left_behind`: what the page said before, if it is to be believed. `config` outlives this.
  GnssTime(const Config& config, std::uint64_t tsc_hz, std::int32_t precision,
           const std::optional<hwclock::ClockState>& left_behind);

  [[nodiscard]] GnssInputs& inputs() noexcept { return inputs_; }
  [[nodiscard]] const GnssInputs& inputs() const noexcept { return inputs_; }
  [[nodiscard]] const hwclock::Discipline& discipline() const noexcept { return *discipline_; }

  // What the upstreams say of us, and of a leap second that nobody else can tell. Before each pass; without
  // authenticated ones it changes nothing, unless plain ones may name the second of pulses.
  void hear_witnesses(const hwclock::UpstreamPanel& panel, std::uint64_t tick);

  // For pulses without a receiver: upstreams say that it is `utc_ns` at `tick`, to better than a tenth of a
  // second.
  void take_date(std::uint64_t tick, std::int64_t utc_ns);

  // Before this pass somebody else's state was served: the line goes on from there. Gives what to publish.
  [[nodiscard]] hwclock::ClockState continue_from(const hwclock::ClockState& served, std::uint64_t tick);

  // Call about 8 times a second with a reading of CLOCK_REALTIME. Gives what to publish.
  [[nodiscard]] hwclock::ClockState pass(const hwclock::Reading& clock);

  // Writes down what was learned of the oscillator, if that is wanted and worth it: at the end of the role.
  // It does so by itself every ten minutes, in a thread of its own.
  void save_memory();

  // One sentence: what the clock is doing, and why no better.
  [[nodiscard]] std::string sentence() const;

  // All but header and sentence.
  void fill(ClockReportReply& reply) const;

  // By what the last pass went: the change that is to come, and all that were.
  [[nodiscard]] const hwclock::LeapPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] const hwclock::LeapTable& leaps() const noexcept { return leaps_; }
  // A change that upstreams made known while they were served.
  void learn_leap(const hwclock::LeapPlan& plan) { leaps_.learn(plan); }

 private:
  void recall();
  void tend_memory();
  [[nodiscard]] std::unique_ptr<hwclock::OscillatorMemory> memory() const;
  [[nodiscard]] hwclock::LeapPlan known_leap(std::int64_t tai_s) const;
  void hear_announced(const hwclock::UpstreamPanel& panel, std::int64_t tai_s);
  void plan_leap(const hwclock::Reading& clock);
  [[nodiscard]] hwclock::ClockState judge(const hwclock::Reading& clock);
  [[nodiscard]] std::string why_not_better() const;
  [[nodiscard]] std::string reference() const;

  const Config& config_;
  double tick_hz_;
  std::string leap_warning_;
  hwclock::LeapTable leaps_;
  GnssInputs inputs_;
  std::unique_ptr<hwclock::Discipline> discipline_;  // large
  hwclock::Witnesses witnesses_;
  hwclock::AnnouncedLeap announced_;
  std::optional<hwclock::LeapPlan> announced_plan_;  // of the last hearing
  std::optional<hwclock::ClockState> left_behind_;
  hwclock::LeapPlan plan_;
  hwclock::ClockState state_{};
  std::uint64_t now_tick_ = 0;
  std::int64_t dated_utc_s_ = 0;                                 // the last second that take_date() named
  hwclock::MemoryFate memory_fate_ = hwclock::MemoryFate::none;  // as the log knows it
  std::uint64_t save_due_tick_ = 0;
  std::future<std::string> saving_;  // what failed
};

}  // namespace control
