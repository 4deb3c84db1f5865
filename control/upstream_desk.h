// Where the clock role takes the upstream role's reports in: each is judged before anything believes it.
//
// The upstream role meets strangers, so its word is a stranger's: numbers outside their range end the
// conversation. What is believable becomes news of a hwclock::UpstreamPanel. What it last said is kept when
// it dies or begins anew, and ages; a server that turned out to be ourselves, or told us to go, is forgotten.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "control/config.h"
#include "control/messages.h"
#include "hwclock/upstream_panel.h"

namespace control {

// True when every field is in range: of `count` servers, at the tick `now` of a counter with that rate.
[[nodiscard]] bool is_believable(const UpstreamReport& report, std::size_t count, std::uint64_t now,
                                 std::uint64_t tsc_hz) noexcept;

class UpstreamDesk {
 public:
  explicit UpstreamDesk(const Config& config);

  // False: close the conversation.
  [[nodiscard]] bool take(const UpstreamReport& report, std::uint64_t now, std::uint64_t tsc_hz) noexcept;

  void set_running(bool is_running) noexcept { is_running_ = is_running; }

  [[nodiscard]] const hwclock::UpstreamPanel& panel() const noexcept { return panel_; }

  // For people. `clock`: ours, in UTC, now; nothing: there is none, and nobody can be measured against it.
  void fill(UpstreamListReply& reply, const std::optional<hwclock::ClockGuess>& clock) const;

 private:
  hwclock::UpstreamPanel panel_;
  std::array<std::optional<UpstreamReport>, upstream_entries_max> reports_;
  bool is_running_ = false;
};

}  // namespace control
