#include "dataplane/service.h"

#include <algorithm>
#include <cstring>

namespace dataplane {
namespace {

// A departure beyond this is no model of any device we know: 1 s.
constexpr std::uint32_t departure_ns_max = 1'000'000'000;
// 256 MiB of them on each core.
constexpr std::uint32_t limited_sources_max = 1U << 24;

template <std::size_t Bytes>
bool is_text(const char (&text)[Bytes]) noexcept {
  return std::memchr(text, '\0', Bytes) != nullptr;
}

}  // namespace

bool is_valid(const shm::Settings& settings) noexcept {
  if (settings.revision == 0 || settings.ntp_port == 0) return false;
  if (settings.address_count > shm::addresses_max || settings.departure_ns > departure_ns_max) return false;
  if (settings.device_count == 0 || settings.device_count > shm::devices_max) return false;
  if (settings.core_count == 0 || settings.core_count > shm::cores_max) return false;
  if (settings.memory > shm::Memory::ordinary || settings.host_twin > shm::HostTwin::none) return false;
  if (!is_text(settings.siv_tier)) return false;
  if (settings.vlan_count > shm::vlans_max) return false;
  const auto vlans = std::span(settings.vlans).first(settings.vlan_count);
  if (std::any_of(vlans.begin(), vlans.end(), [](std::uint16_t id) { return id >= Vlans::ids; }))
    return false;
  for (const auto& gateway : settings.reply_gateways) {
    if (MacAddress::load_from_eight(gateway).is_group()) return false;
  }
  if (settings.access_rule_count > shm::access_rules_max) return false;
  if (settings.rate_limit.requests_per_s != 0 && settings.rate_limit.burst == 0) return false;
  if (settings.rate_limit.sources > limited_sources_max) return false;
  const auto rules = std::span(settings.access_rules).first(settings.access_rule_count);
  if (!std::all_of(rules.begin(), rules.end(), [](const shm::AccessRule& rule) { return is_valid(rule); }))
    return false;
  const auto devices = std::span(settings.devices).first(settings.device_count);
  const auto addresses = std::span(settings.addresses).first(settings.address_count);
  return std::all_of(devices.begin(), devices.end(), [](const auto& device) { return is_text(device); }) &&
         std::all_of(addresses.begin(), addresses.end(),
                     [](const shm::Address& address) { return is_valid(address); });
}

bool Service::take(const shm::SettingsPage* page) noexcept {
  if (page == nullptr) return false;
  if (page != page_) {
    page_ = page;
    seen_ = 0;  // another file counts its own generations
  }
  shm::Settings settings;
  std::uint64_t generation = 0;
  if (!page->settings.read(settings, generation)) return false;
  seen_ = generation;
  if (!is_valid(settings)) return false;
  const auto addresses = std::span(settings.addresses).first(settings.address_count);
  local_.addresses.assign(addresses);
  std::array<shm::Address, shm::addresses_max> smeared{};
  const auto smeared_end = std::copy_if(addresses.begin(), addresses.end(), smeared.begin(),
                                        [](const shm::Address& address) { return address.is_smeared != 0; });
  has_smeared_ = smeared_end != smeared.begin();
  smeared_.assign({smeared.begin(), smeared_end});
  local_.vlans.assign(std::span(settings.vlans).first(settings.vlan_count));
  local_.ntp_port = settings.ntp_port;
  policy_.answer_plain = settings.answer_plain != 0;
  policy_.answer_nts = settings.answer_nts != 0;
  departure_ns_ = settings.departure_ns;
  access_.assign(std::span(settings.access_rules).first(settings.access_rule_count));
  rate_limit_ = settings.rate_limit;
  kisses_refused_ = settings.kiss_refused != 0;
  kisses_limited_ = settings.kiss_limited != 0;
  for (std::size_t i = 0; i < reply_gateways_.size(); ++i) {
    reply_gateways_[i] = MacAddress::load_from_eight(settings.reply_gateways[i]);
  }
  return true;
}

}  // namespace dataplane
