// Where the clock role takes the upstream role's reports in: each is judged before anything believes it.
//
// The upstream role meets strangers, so its word is a stranger's. A report that is none of ours ends the
// conversation. One that says the impossible of its server, such as a time before 1970, makes us forget that
// server alone: a stranger must not take the others from us. What is believable becomes news of a
// hwclock::UpstreamPanel. What it last said is kept when it dies or begins anew, and ages; a server that
// turned out to be ourselves, or told us to go, is forgotten.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "control/config.h"
#include "control/messages.h"
#include "hwclock/upstream_panel.h"

namespace control {

// The times that an upstream may tell, in UTC since 1970: up to 2255, far from any overflow.
[[nodiscard]] constexpr bool is_possible_time(std::int64_t utc_ns) noexcept {
  return utc_ns > 0 && utc_ns < std::int64_t{9'000'000'000} * 1'000'000'000;
}

// True when it is a report of one of `count` servers, whatever it says of its clock.
[[nodiscard]] bool is_of_ours(const UpstreamReport& report, std::size_t count) noexcept;

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
