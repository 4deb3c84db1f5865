// What the pages and the roles say, as reports for people and programs: field by field in admin_protocol.h.
//
// Pure but for one look whether a process lives. Everything read here was written by another process, so
// nothing is believed beyond its bounds: indices are clamped, text ends where its field ends and is printable
// ASCII, and a number that makes no sense becomes null.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "control/messages.h"
#include "control/printable.h"
#include "dataplane/shm/pages.h"

namespace control {

struct Moment {
  std::uint64_t tsc;
  std::int64_t unix_s;
};

// One NTS-KE worker's answer; nothing when it gave none in time.
using KeAnswers = std::vector<std::optional<KeCounters>>;

// True when the page is of a dataplane that serves now: begun, not ended, and its process lives under
// `writer`.
[[nodiscard]] bool is_serving(const shm::StatsPage& page, uid_t writer);

// `page` may be null: there is none, or it was refused.
[[nodiscard]] nlohmann::json dataplane_status(const shm::StatsPage* page, uid_t writer, const Moment& now);
[[nodiscard]] nlohmann::json dataplane_counters(const shm::StatsPage* page, uid_t writer);

// `state` may be null. A lab's local clock is never called synchronised, nor is anything that the dataplane
// would not serve as such.
[[nodiscard]] nlohmann::json clock_status(const hwclock::ClockState* state, std::uint64_t now_tsc);

// clock_status and what the role itself adds; `reply` may be null: it gave none.
[[nodiscard]] nlohmann::json clock_report(const hwclock::ClockState* state, std::uint64_t now_tsc,
                                          const ClockReportReply* reply);

// `reply` may be null: the keeper gave none.
[[nodiscard]] nlohmann::json keys_status(const KeyListReply* reply);
[[nodiscard]] nlohmann::json key_list(const KeyListReply& reply);

[[nodiscard]] nlohmann::json ke_status(std::uint16_t port, const KeAnswers& workers);
[[nodiscard]] nlohmann::json ke_counters(const KeAnswers& workers);

}  // namespace control
