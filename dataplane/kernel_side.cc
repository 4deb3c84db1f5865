#include "dataplane/kernel_side.h"

#include <iterator>
#include <net/if.h>
#include <span>

namespace dataplane {
namespace {

// Of an af_xdp device; empty for the others.
std::string xdp_interface_of(std::string_view device) {
  const DeviceName name = parse_device(device);
  return std::string(name.kind == "af_xdp" ? name.rest.substr(0, name.rest.find(',')) : "");
}

void append(std::vector<std::string>& sentences, std::vector<std::string> more) {
  sentences.insert(sentences.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
}

void require_unchanged(const KernelInterface& interface) {
  if (const std::string fault = interface.fault(); !fault.empty()) {
    throw PortError(fault + "; ending, so that the next start opens it as it is");
  }
}

}  // namespace

void KernelSide::make_room(std::string_view device) {
  if (const std::string interface = xdp_interface_of(device); !interface.empty())
    redirects_.make_room(interface);
}

std::vector<std::string> KernelSide::adopt(const Port& port, std::string_view device, std::uint32_t number) {
  std::vector<std::string> told;
  if (const std::string interface = xdp_interface_of(device); !interface.empty()) {
    redirects_.adopt(interface);
    if (takes_tags_off(interface)) {
      told.push_back(
          "interface " + interface + " takes VLAN tags off before we see them, so requests behind " +
          "tags are answered without; if VLANs reach it, `ethtool -K " + interface + " rxvlan off`");
    }
  }
  if (!port.twin().empty()) twins_.emplace_back(port.twin(), port.mac());
  if (port.interface().empty()) return told;
  watched_.push_back({number, KernelInterface(port.interface(), port.mac()), true});
  if (!port.kernel_sees_requests()) return told;
  guarded_.push_back(if_nametoindex(port.interface().c_str()));
  append(told, packet_sockets_.adopt(port.interface()));
  return told;
}

KernelSide::Outcome KernelSide::follow(const shm::Settings& settings) {
  const auto addresses = std::span(settings.addresses).first(settings.address_count);
  Outcome outcome;
  outcome.failures = redirects_.follow(addresses, settings.ntp_port);
  if (guarded_.empty()) return outcome;
  if (!guard_) guard_.emplace(guarded_);
  append(outcome.failures, guard_->follow(addresses, settings.ntp_port));
  outcome.troubles = packet_sockets_.follow(addresses, settings.ntp_port);
  return outcome;
}

std::vector<std::string> KernelSide::look(std::span<shm::PortState> states) {
  std::vector<std::string> news;
  for (const KernelInterface& twin : twins_) require_unchanged(twin);
  for (Watched& watched : watched_) {
    require_unchanged(watched.interface);
    const bool has_link = watched.interface.has_link();
    states[watched.number].link_is_up.store(has_link ? 1 : 0, std::memory_order_relaxed);
    if (has_link != watched.has_link) {
      news.push_back(
          "interface " + watched.interface.name() +
          (has_link ? " has a link again" : " has no link, so nobody is heard there until it has"));
    }
    watched.has_link = has_link;
  }
  return news;
}

}  // namespace dataplane
