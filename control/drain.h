// Taking one core of the running dataplane out of service and putting it back: what the settings page is to
// say, and whether the dataplane has done it. Pure but for one look whether the dataplane lives.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

#include "dataplane/shm/pages.h"

namespace control {

struct DrainPlan {
  std::string fault;       // for people: why it cannot be; empty: it can
  std::uint32_t core = 0;  // number of its line in the stats page
  // As in shm::Settings.
  std::uint64_t drained_instance = 0;
  std::uint64_t drained_workers = 0;
};

// `page` may be null: there is none. Of `published` what it says of another dataplane than the one that
// serves now is forgotten. One core stays in service.
[[nodiscard]] DrainPlan plan_drain(const shm::StatsPage* page, uid_t writer, const shm::Settings& published,
                                   std::uint32_t cpu, bool is_drained);

// Why the dataplane of the plan will never do it, for people; empty while it still may.
[[nodiscard]] std::string why_never(const shm::StatsPage& page, uid_t writer, const DrainPlan& plan);

// True when the dataplane of the plan has the core as it is to be.
[[nodiscard]] bool is_done(const shm::StatsPage& page, const DrainPlan& plan, bool is_drained);

}  // namespace control
