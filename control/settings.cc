#include "control/settings.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <string_view>

#include "dataplane/shm/host_twin.h"

namespace control {
namespace {

// The kinds of port that stand on an interface of the kernel.
constexpr std::array<std::string_view, 2> interface_kinds = {"af_packet:", "af_xdp:"};

constexpr std::string_view pci_kind = "pci:";

// The configuration's own bounds (config_value.cc) keep `text` shorter than its place.
template <std::size_t Bytes>
void store_text(char (&place)[Bytes], const std::string& text) {
  std::memcpy(place, text.data(), std::min(text.size(), Bytes - 1));
}

}  // namespace

std::vector<std::string> interfaces_of(const Config& config) {
  std::vector<std::string> interfaces;
  const auto& devices = config.dataplane.devices;
  for (std::uint32_t i = 0; i < devices.size(); ++i) {
    const std::string& device = devices[i];
    if (shm::has_twin(config.dataplane.host_twin, device)) interfaces.push_back(shm::twin_name(i));
    if (device.starts_with(pci_kind)) {
      // Of a card that stays with the kernel's driver; else there are none.
      shm::PciName name;
      if (!shm::read_pci_name(std::string_view(device).substr(pci_kind.size()), name)) continue;
      const shm::PciDevice card = shm::look_at_pci_device(name.address);
      if (card.is_bifurcated())
        interfaces.insert(interfaces.end(), card.interfaces.begin(), card.interfaces.end());
    }
    const auto* kind = std::find_if(interface_kinds.begin(), interface_kinds.end(),
                                    [&](std::string_view one) { return device.starts_with(one); });
    if (kind == interface_kinds.end()) continue;
    const std::string rest = device.substr(kind->size());
    interfaces.push_back(rest.substr(0, rest.find(',')));  // without the device's options
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
  for (shm::Address& address : std::span(settings.addresses).first(settings.address_count)) {
    const auto& smeared = config.server.smeared_addresses;
    address.is_smeared = std::any_of(smeared.begin(), smeared.end(), [&](const shm::Address& one) {
      return one.family == address.family && std::memcmp(one.octets, address.octets, sizeof one.octets) == 0;
    });
  }

  settings.device_count =
      static_cast<std::uint32_t>(std::min<std::size_t>(dataplane.devices.size(), shm::devices_max));
  for (std::uint32_t i = 0; i < settings.device_count; ++i) {
    store_text(settings.devices[i], dataplane.devices[i]);
  }
  settings.vlan_count =
      static_cast<std::uint32_t>(std::min<std::size_t>(dataplane.vlans.size(), shm::vlans_max));
  std::copy_n(dataplane.vlans.begin(), settings.vlan_count, settings.vlans);
  for (const ReplyGateway& gateway : dataplane.reply_gateways) {
    for (std::uint32_t i = 0; i < settings.device_count; ++i) {
      if (dataplane.devices[i] != gateway.device) continue;
      std::copy(gateway.mac.begin(), gateway.mac.end(), settings.reply_gateways[i]);
    }
  }
  const std::vector<std::uint32_t> cores =
      dataplane.cores.empty() ? std::vector<std::uint32_t>{last_cpu} : dataplane.cores;
  settings.core_count = static_cast<std::uint32_t>(std::min<std::size_t>(cores.size(), shm::cores_max));
  std::copy_n(cores.begin(), settings.core_count, settings.cores);

  settings.memory = dataplane.memory;
  settings.host_twin = dataplane.host_twin;
  settings.ntp_port = config.server.ntp_port;
  settings.answer_plain = config.server.answer_plain ? 1 : 0;
  settings.answer_nts = config.server.answer_nts ? 1 : 0;
  settings.departure_ns = dataplane.departure_ns;
  const auto& limit = config.rate_limit;
  settings.rate_limit = {limit.requests_per_s, limit.burst,   limit.leak,
                         limit.network_factor, limit.sources, limit.kisses_per_s};
  settings.kiss_limited = limit.kiss ? 1 : 0;
  settings.kiss_refused = config.access.kiss ? 1 : 0;
  for (const auto* rules : {&config.access.allow, &config.access.deny, &config.access.require_nts}) {
    for (const shm::AccessRule& rule : *rules) {
      if (settings.access_rule_count == shm::access_rules_max) break;  // the configuration's own bound
      settings.access_rules[settings.access_rule_count++] = rule;
    }
  }
  store_text(settings.siv_tier, dataplane.siv_tier);
  return settings;
}

void keep_drained(const shm::Settings& before, shm::Settings& after) noexcept {
  after.drained_instance = before.drained_instance;
  after.drained_workers = before.drained_workers;
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
