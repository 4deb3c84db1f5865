#include "control/port_status.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "control/printable.h"
#include "control/status.h"

namespace control {
namespace {

using nlohmann::json;

template <std::size_t Bytes>
std::string text_from(const char (&place)[Bytes]) {
  return printable({place, Bytes});
}

template <std::size_t Bytes>
json text_or_null(const char (&place)[Bytes]) {
  std::string text = text_from(place);
  return text.empty() ? json(nullptr) : json(std::move(text));
}

// A copy: the page may change while we look for the end of a text.
shm::PortReport copy_of(const shm::PortReport& report) {
  shm::PortReport copy;
  std::memcpy(&copy, &report, sizeof copy);
  return copy;
}

std::string mac_text(const std::uint8_t (&mac)[6]) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                mac[4], mac[5]);
  return text.data();
}

json features_of(const shm::PortReport& report) {
  json features = json::object();
  for (std::size_t i = 0; i < shm::port_feature_count; ++i) {
    const auto feature = static_cast<shm::PortFeature>(i);
    features[std::string(shm::port_feature_names[i])] = report.used.has(feature)      ? "used"
                                                        : report.offered.has(feature) ? "offered"
                                                                                      : "none";
  }
  return features;
}

json report_of(const shm::PortState& state) {
  const shm::PortReport report = copy_of(state.report);
  const std::uint32_t mbps = state.link_mbps.load(std::memory_order_relaxed);
  const bool is_up = state.link_is_up.load(std::memory_order_relaxed) != 0;
  return {{"device", text_from(report.device)},
          {"driver", text_from(report.driver)},
          {"interface", text_or_null(report.interface)},
          {"twin", text_or_null(report.twin)},
          {"mac", mac_text(report.mac)},
          {"mtu", report.mtu_bytes},
          {"queues", report.queues},
          {"queues_max", {{"receive", report.receive_queues_max}, {"transmit", report.transmit_queues_max}}},
          {"link", {{"up", is_up}, {"mbps", mbps == 0 ? json(nullptr) : json(mbps)}}},
          {"features", features_of(report)}};
}

}  // namespace

json ports_status(const shm::StatsPage* page, uid_t writer) {
  json ports = json::array();
  if (page == nullptr || !is_serving(*page, writer)) return {{"running", false}, {"ports", std::move(ports)}};
  for (const shm::PortState& state : page->ports) {
    if (copy_of(state.report).device[0] != '\0') ports.push_back(report_of(state));
  }
  return {{"running", true}, {"ports", std::move(ports)}};
}

std::vector<std::string> port_lines(const shm::StatsPage& page) {
  std::vector<std::string> lines;
  for (const shm::PortState& state : page.ports) {
    const shm::PortReport report = copy_of(state.report);
    if (report.device[0] == '\0') continue;
    const bool is_up = state.link_is_up.load(std::memory_order_relaxed) != 0;
    lines.push_back(printable(shm::summary_of(report)) + (is_up ? "" : ", NO LINK"));
  }
  return lines;
}

}  // namespace control
