// What we serve and to whom: the settings page as one core uses it.
//
// Addresses, port, policy and departure follow the page while we run. Devices, cores, memory and tier were
// read once by main; a change of those waits for a restart.
#pragma once

#include <cstdint>

#include "dataplane/frame.h"
#include "dataplane/shm/pages.h"
#include "nts/server.h"

namespace dataplane {

// True when every count, number and name of `settings` is in range. A page that is not is refused whole.
[[nodiscard]] bool is_valid(const shm::Settings& settings) noexcept;

class Service {
 public:
  // Takes over what was published since the last call and returns true when it did. `page` may be null.
  bool refresh(const shm::SettingsPage* page) noexcept {
    if (page == page_ && (page == nullptr || page->settings.generation() == seen_)) return false;
    return take(page);
  }

  [[nodiscard]] const Local& local() const noexcept { return local_; }
  [[nodiscard]] const nts::Policy& policy() const noexcept { return policy_; }
  [[nodiscard]] std::uint32_t departure_ns() const noexcept { return departure_ns_; }

 private:
  bool take(const shm::SettingsPage* page) noexcept;

  const shm::SettingsPage* page_ = nullptr;
  std::uint64_t seen_ = 0;  // generation copied last; 0 = none
  Local local_{};           // no address until a page was read: nothing is answered
  nts::Policy policy_{};
  std::uint32_t departure_ns_ = 0;
};

}  // namespace dataplane
