#include "control/settings.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <string_view>

namespace control {
namespace {

// The kinds of port that stand on an interface of the kernel.
constexpr std::array<std::string_view, 2> interface_kinds = {"af_packet:", "af_xdp:"};

// The configuration's own bounds (config_value.cc) keep `text` shorter than its place.
template <std::size_t Bytes>
void store_text(char (&place)[Bytes], const std::string& text) {
  std::memcpy(place, text.data(), std::min(text.size(), Bytes - 1));
}

}  // namespace

std::vector<std::string> interfaces_of(const Config& config) {
  std::vector<std::string> interfaces;
  for (const std::string& device : config.dataplane.devices) {
    const auto* kind = std::find_if(interface_kinds.begin(), interface_kinds.end(),
                                    [&](std::string_view one) { return device.starts_with(one); });
    if (kind != interface_kinds.end()) interfaces.push_back(device.substr(kind->size()));
  }
  return interfaces;
}

void require_address_source(const Config& config) {
  if (!config.server.addresses_automatic || !interfaces_of(config).empty()) return;
  throw ConfigError(
      "[server] addresses is \"auto\", but no device in [dataplane] devices has an interface to ask; write "
      "the addresses as a list");
}

shm::Settings settings_from(const Config& config, std::span<const shm::Address> found,
                            std::uint32_t last_cpu) {
  shm::Settings settings{};
  const auto& dataplane = config.dataplane;
  const std::span<const shm::Address> addresses =
      config.server.addresses_automatic ? found : std::span<const shm::Address>(config.server.addresses);
  settings.address_count =
      static_cast<std::uint32_t>(std::min<std::size_t>(addresses.size(), shm::addresses_max));
  std::copy_n(addresses.begin(), settings.address_count, settings.addresses);

  settings.device_count =
      static_cast<std::uint32_t>(std::min<std::size_t>(dataplane.devices.size(), shm::devices_max));
  for (std::uint32_t i = 0; i < settings.device_count; ++i) {
    store_text(settings.devices[i], dataplane.devices[i]);
  }
  const std::vector<std::uint32_t> cores =
      dataplane.cores.empty() ? std::vector<std::uint32_t>{last_cpu} : dataplane.cores;
  settings.core_count = static_cast<std::uint32_t>(std::min<std::size_t>(cores.size(), shm::cores_max));
  std::copy_n(cores.begin(), settings.core_count, settings.cores);

  settings.memory = dataplane.memory;
  settings.ntp_port = config.server.ntp_port;
  settings.answer_plain = config.server.answer_plain ? 1 : 0;
  settings.answer_nts = config.server.answer_nts ? 1 : 0;
  settings.departure_ns = dataplane.departure_ns;
  store_text(settings.siv_tier, dataplane.siv_tier);
  return settings;
}

bool is_change(const shm::Settings& before, const shm::Settings& after) noexcept {
  // Both were made from zeros, so octets between fields agree as well.
  shm::Settings same_revision = after;
  same_revision.revision = before.revision;
  return std::memcmp(&before, &same_revision, sizeof before) != 0;
}

std::string text_of(const shm::Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = address.family == 4 ? AF_INET : AF_INET6;
  ::inet_ntop(family, address.octets, text.data(), text.size());
  return text.data();
}

}  // namespace control
