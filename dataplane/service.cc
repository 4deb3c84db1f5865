#include "dataplane/service.h"

#include <algorithm>
#include <cstring>

namespace dataplane {
namespace {

// A departure beyond this is no model of any device we know: 1 s.
constexpr std::uint32_t departure_ns_max = 1'000'000'000;

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
  if (settings.memory > shm::Memory::ordinary) return false;
  if (!is_text(settings.siv_tier)) return false;
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
  local_.addresses.assign(std::span(settings.addresses).first(settings.address_count));
  local_.ntp_port = settings.ntp_port;
  policy_.answer_plain = settings.answer_plain != 0;
  policy_.answer_nts = settings.answer_nts != 0;
  departure_ns_ = settings.departure_ns;
  return true;
}

}  // namespace dataplane
