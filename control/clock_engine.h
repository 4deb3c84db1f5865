// The engines of sources "gnss" and "upstream", and which of them is served: no loop, no page, no socket.
//
// Source "gnss" serves the receiver's time, as the upstreams let it stand, and theirs while it has none
// (FALLBACK). Who takes over goes on with the line that was served, and bends it to its own time: a hand-over
// is a step, counted as one, only where the two are further apart than the engines bend (Discipline, 10 ms).
// What was left on the page by an earlier run is held over by the engine that it came from. Smeared time is
// made from whatever is served, so it knows of no hand-over either.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/config.h"
#include "control/gnss_time.h"
#include "control/upstream_time.h"
#include "hwclock/smear.h"

namespace control {

class ClockEngine {
 public:
  // `on_page`: what the page says, whoever wrote it. `config` and `panel` outlive this.
  ClockEngine(const Config& config, const hwclock::UpstreamPanel& panel, std::uint64_t tsc_hz,
              std::int32_t precision, const std::optional<hwclock::ClockState>& on_page);

  // Upstream `index` has reported.
  void hear(std::size_t index, std::uint64_t tick);

  // Call about 8 times a second with a reading of CLOCK_REALTIME; source "upstream" looks at its tick alone.
  // Gives what to publish.
  [[nodiscard]] hwclock::ClockState pass(const hwclock::Reading& clock);

  // One sentence: what the clock is doing, and why no better.
  [[nodiscard]] std::string sentence() const;

  // All but header and sentence.
  void fill(ClockReportReply& reply) const;

  // Null but for source "gnss".
  [[nodiscard]] GnssInputs* inputs() noexcept { return gnss_ ? &gnss_->inputs() : nullptr; }

  // At the end of the role.
  void save_memory();

 private:
  [[nodiscard]] hwclock::ClockState pass_gnss(const hwclock::Reading& clock);
  void date_pulses(const hwclock::ClockState& theirs, const hwclock::Reading& clock);
  void smear(hwclock::ClockState& state, std::uint64_t tick);

  const Config& config_;
  const hwclock::UpstreamPanel& panel_;
  double tick_hz_;
  std::optional<hwclock::ClockState> served_;  // last; before that, what is on the page
  std::optional<GnssTime> gnss_;               // of source "gnss"
  std::optional<UpstreamTime> upstream_;       // of source "upstream", and what "gnss" falls back to
  bool is_fallback_ = false;
  hwclock::Smear smear_;
  std::uint64_t now_tick_ = 0;
};

// Whether a promise stands on the page that an engine made: none of the kernel's clock, and not leap 3.
[[nodiscard]] bool is_engines_promise(const hwclock::ClockState& state) noexcept;

}  // namespace control
