// What a port is and what it can do, as the dataplane found it when it opened it: in the stats page, for
// `noonmark ports` and the log.
//
// Probed, never assumed: a bit is offered when the driver said so or did it when asked. What is used of it is
// said as well, because a device may offer what this version does not use yet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shm {

inline constexpr std::uint32_t device_name_bytes = 256;

enum class PortFeature : std::uint8_t {
  receive_ipv4_checksum,   // the device says whether an IPv4 header checksum is right
  receive_udp_checksum,    // the same for UDP, both families
  receive_tcp_checksum,    // the same for TCP
  transmit_ipv4_checksum,  // the device writes them
  transmit_udp_checksum,
  transmit_tcp_checksum,
  receive_stamps,   // every received frame carries the device's time
  launch_time,      // a frame leaves at a given time of the device's clock
  device_clock,     // that clock can be read
  timesync_clock,   // a PTP clock that can be read, with stamps of PTP frames at least
  rss_ipv4,         // spreads frames over queues by IPv4 addresses
  rss_ipv6,         // by IPv6 addresses
  rss_source_only,  // by the source address alone
  flow_rules,       // takes a rule that sends UDP port 123 to a queue
  link_events,      // tells of its link by interrupt
  count
};

inline constexpr std::size_t port_feature_count = static_cast<std::size_t>(PortFeature::count);

inline constexpr std::array<std::string_view, port_feature_count> port_feature_names = {
    "receive_ipv4_checksum",
    "receive_udp_checksum",
    "receive_tcp_checksum",
    "transmit_ipv4_checksum",
    "transmit_udp_checksum",
    "transmit_tcp_checksum",
    "receive_stamps",
    "launch_time",
    "device_clock",
    "timesync_clock",
    "rss_ipv4",
    "rss_ipv6",
    "rss_source_only",
    "flow_rules",
    "link_events"};

// One bit for each PortFeature.
class PortFeatures {
 public:
  void set(PortFeature feature, bool is_there = true) noexcept {
    if (is_there) bits_ |= bit_of(feature);
  }
  [[nodiscard]] bool has(PortFeature feature) const noexcept { return (bits_ & bit_of(feature)) != 0; }

 private:
  static std::uint32_t bit_of(PortFeature feature) noexcept {
    return std::uint32_t{1} << static_cast<unsigned>(feature);
  }
  std::uint32_t bits_ = 0;
};
static_assert(sizeof(PortFeatures) == 4 && port_feature_count <= 32);

struct PortReport {
  char device[device_name_bytes];  // as in the config; empty: there is no such port
  char driver[32];                 // DPDK's name for it: "net_ice", "net_af_packet"
  char interface[16];              // the kernel's interface that it stands on; empty: none
  char twin[16];                   // the interface that gives the kernel its share; empty: none
  std::uint8_t mac[6];
  std::uint16_t queues;              // receive and transmit pairs in use
  std::uint16_t receive_queues_max;  // of the device
  std::uint16_t transmit_queues_max;
  std::uint16_t mtu_bytes;
  std::uint16_t reserved;
  PortFeatures offered;
  PortFeatures used;
};
static_assert(offsetof(PortReport, mac) == 320 && offsetof(PortReport, offered) == 336);
static_assert(sizeof(PortReport) == 344);

// One line for people: device, driver, queues, what stamps, who reads and writes checksums, what spreads.
// Believes nothing beyond its bounds.
[[nodiscard]] std::string summary_of(const PortReport& report);

}  // namespace shm
