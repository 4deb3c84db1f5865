// rte_eth_read_clock is on trial in 22.11 and the same in every release since.
#define ALLOW_EXPERIMENTAL_API
#include "dataplane/port/capabilities.h"

#include <algorithm>
#include <cstring>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/port/flow_rules.h"
#include "dataplane/port/port.h"

namespace dataplane {
namespace {

using shm::PortFeature;

template <std::size_t Bytes>
void store_text(char (&place)[Bytes], std::string_view text) {
  std::memcpy(place, text.data(), std::min(text.size(), Bytes - 1));
}

// By source address, whatever the transport: what DPDK calls the IP part of a flow.
constexpr std::uint64_t rss_any_ipv4 =
    RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV4_OTHER;
constexpr std::uint64_t rss_any_ipv6 =
    RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;

shm::PortFeatures features_of(const rte_eth_dev_info& info) {
  const auto receives = [&](std::uint64_t all) { return (info.rx_offload_capa & all) == all; };
  const auto transmits = [&](std::uint64_t all) { return (info.tx_offload_capa & all) == all; };
  const auto spreads = [&](std::uint64_t any) { return (info.flow_type_rss_offloads & any) != 0; };
  shm::PortFeatures offered;
  offered.set(PortFeature::receive_ipv4_checksum, receives(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM));
  offered.set(PortFeature::receive_udp_checksum, receives(RTE_ETH_RX_OFFLOAD_UDP_CKSUM));
  offered.set(PortFeature::receive_tcp_checksum, receives(RTE_ETH_RX_OFFLOAD_TCP_CKSUM));
  offered.set(PortFeature::transmit_ipv4_checksum, transmits(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM));
  offered.set(PortFeature::transmit_udp_checksum, transmits(RTE_ETH_TX_OFFLOAD_UDP_CKSUM));
  offered.set(PortFeature::transmit_tcp_checksum, transmits(RTE_ETH_TX_OFFLOAD_TCP_CKSUM));
  offered.set(PortFeature::receive_stamps, receives(RTE_ETH_RX_OFFLOAD_TIMESTAMP));
  offered.set(PortFeature::launch_time, transmits(RTE_ETH_TX_OFFLOAD_SEND_ON_TIMESTAMP));
  offered.set(PortFeature::rss_ipv4, spreads(rss_any_ipv4));
  offered.set(PortFeature::rss_ipv6, spreads(rss_any_ipv6));
  offered.set(PortFeature::rss_source_only, spreads(RTE_ETH_RSS_L3_SRC_ONLY));
  offered.set(PortFeature::link_events, (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0);
  return offered;
}

}  // namespace

shm::PortReport probe(std::uint16_t port_id, const std::string& device) {
  rte_eth_dev_info info;
  if (const int code = rte_eth_dev_info_get(port_id, &info); code != 0) {
    throw PortError("device " + device + " does not tell what it can do: " + rte_strerror(-code) +
                    "; this is a fault of its driver, choose another");
  }
  shm::PortReport report{};
  store_text(report.device, device);
  store_text(report.driver, info.driver_name);
  report.receive_queues_max = info.max_rx_queues;
  report.transmit_queues_max = info.max_tx_queues;
  report.offered = features_of(info);
  return report;
}

void probe_started(std::uint16_t port_id, std::uint16_t ntp_port, shm::PortReport& report) {
  std::uint64_t ticks = 0;
  report.offered.set(PortFeature::device_clock, rte_eth_read_clock(port_id, &ticks) == 0);
  timespec time{};
  report.offered.set(PortFeature::timesync_clock, rte_eth_timesync_read_time(port_id, &time) == 0);
  report.offered.set(PortFeature::flow_rules, can_steer_ntp(port_id, ntp_port));
  std::uint16_t mtu_bytes = 0;
  if (rte_eth_dev_get_mtu(port_id, &mtu_bytes) == 0) report.mtu_bytes = mtu_bytes;
  rte_ether_addr mac;
  if (rte_eth_macaddr_get(port_id, &mac) == 0) std::memcpy(report.mac, mac.addr_bytes, sizeof report.mac);
}

Link link_of(std::uint16_t port_id) noexcept {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(port_id, &link) != 0) return {};
  const bool is_known = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN && link.link_speed != 0;
  return {link.link_status == RTE_ETH_LINK_UP, is_known ? link.link_speed : 0};
}

}  // namespace dataplane
