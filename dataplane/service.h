// What we serve and to whom: the settings page as one core uses it.
//
// Addresses, VLANs, gateways, port, policy, access, limits and departure follow the page while we run.
// Devices, cores, memory and tier were read once by main; a change of those waits for a restart.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/access_list.h"
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
  [[nodiscard]] const AccessList& access() const noexcept { return access_; }
  [[nodiscard]] const shm::RateLimit& rate_limit() const noexcept { return rate_limit_; }
  // A kiss of death instead of silence for those that are refused, or limited.
  [[nodiscard]] bool kisses_refused() const noexcept { return kisses_refused_; }
  [[nodiscard]] bool kisses_limited() const noexcept { return kisses_limited_; }
  // Some addresses are served smeared time; is it the one that `envelope` in `frame` was sent to?
  [[nodiscard]] bool has_smeared() const noexcept { return has_smeared_; }
  [[nodiscard]] bool is_smeared(const std::uint8_t* frame, const Envelope& envelope) const noexcept {
    const std::uint8_t* destination = frame + destination_offset(envelope);
    return envelope.is_ipv6 ? smeared_.serves_ipv6(destination) : smeared_.serves_ipv4(destination);
  }
  // Whom all answers of device number `device` go to; zero: whom the request came from.
  [[nodiscard]] MacAddress reply_gateway(std::uint32_t device) const noexcept {
    return reply_gateways_[device % shm::devices_max];
  }

 private:
  bool take(const shm::SettingsPage* page) noexcept;

  const shm::SettingsPage* page_ = nullptr;
  std::uint64_t seen_ = 0;  // generation copied last; 0 = none
  Local local_{};           // no address until a page was read: nothing is answered
  bool has_smeared_ = false;
  Addresses smeared_{};  // of ours
  nts::Policy policy_{};
  std::uint32_t departure_ns_ = 0;
  AccessList access_;
  shm::RateLimit rate_limit_{};
  bool kisses_refused_ = false;
  bool kisses_limited_ = false;
  std::array<MacAddress, shm::devices_max> reply_gateways_{};
};

}  // namespace dataplane
