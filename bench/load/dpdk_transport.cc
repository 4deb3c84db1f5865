#include "bench/load/dpdk_transport.h"

#include <algorithm>
#include <cstring>
#include <rte_prefetch.h>

#include "dataplane/checksum.h"
#include "nts/wire.h"

namespace bench::load {
namespace {

using dataplane::plus;
using dataplane::sum_octets;
using dataplane::sum_of_value;

constexpr std::size_t ethernet_bytes = 14;
constexpr std::size_t udp_bytes = 8;
constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint8_t hops = 64;
constexpr std::uint16_t fetched_ahead = 6;

void fetch(const rte_mbuf* mbuf) noexcept {
  const auto* frame = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
  for (std::uint16_t at = 0; at < mbuf->data_len; at = static_cast<std::uint16_t>(at + RTE_CACHE_LINE_SIZE)) {
    rte_prefetch0(frame + at);
  }
}

}  // namespace

DpdkTransport::DpdkTransport(const dataplane::Port& port, const dataplane::BufferPool& buffers,
                             const DpdkPlan& plan)
    : queue_(port.queue(0)), pool_(buffers.get()), plan_(plan) {
  if (plan.routes.empty()) throw TransportError("no address of the server is given");
  for (const Route& route : plan.routes) {
    if (!route.has_client())
      throw TransportError("a DPDK port needs a client address for each of the server's");
  }
  if (plan.sources == 0 || plan.client_port == 0 || plan.client_port + plan.sources > 65536)
    throw TransportError(
        "the client's ports would not end below 65536; give fewer sources or a lower first port");
  for (std::uint16_t source = 0; source < plan.sources; ++source) {
    for (const Route& route : plan.routes) {
      Flow flow;
      std::uint8_t* octets = flow.header.data();
      plan.server_mac.store(octets);
      (plan.client_mac.is_zero() ? port.mac() : plan.client_mac).store(octets + 6);
      nts::store_u16(octets + 12, route.is_ipv6 ? 0x86dd : 0x0800);
      std::uint8_t* ip = octets + ethernet_bytes;
      const std::array<std::uint8_t, 16> client = route.client_address(source);
      if (route.is_ipv6) {
        flow.ip_bytes = 40;
        ip[0] = 0x60;
        ip[6] = protocol_udp;
        ip[7] = hops;
        std::memcpy(ip + 8, client.data(), 16);
        std::memcpy(ip + 24, route.server.data(), 16);
        std::memcpy(flow.answer_addresses.data(), route.server.data(), 16);
        std::memcpy(flow.answer_addresses.data() + 16, client.data(), 16);
      } else {
        ip[0] = 0x45;
        ip[6] = 0x40;  // do not fragment
        ip[8] = hops;
        ip[9] = protocol_udp;
        std::memcpy(ip + 12, client.data(), 4);
        std::memcpy(ip + 16, route.server.data(), 4);
        std::memcpy(flow.answer_addresses.data(), route.server.data(), 4);
        std::memcpy(flow.answer_addresses.data() + 4, client.data(), 4);
      }
      std::uint8_t* udp = ip + flow.ip_bytes;
      nts::store_u16(udp, static_cast<std::uint16_t>(plan.client_port + source));
      nts::store_u16(udp + 2, plan.server_port);
      flows_.push_back(flow);
    }
  }
}

DpdkTransport::~DpdkTransport() {
  if (prepared_ != 0) static_cast<void>(send(0));
}

void DpdkTransport::set_lengths(std::uint16_t payload_bytes) {
  payload_bytes_ = payload_bytes;
  const auto udp_length = static_cast<std::uint16_t>(udp_bytes + payload_bytes);
  for (Flow& flow : flows_) {
    std::uint8_t* ip = flow.header.data() + ethernet_bytes;
    std::uint8_t* udp = ip + flow.ip_bytes;
    nts::store_u16(udp + 4, udp_length);
    if (flow.ip_bytes == 40) {
      nts::store_u16(ip + 4, udp_length);
      flow.sum = sum_octets(ip + 8, 32);
    } else {
      nts::store_u16(ip + 2, static_cast<std::uint16_t>(20 + udp_length));
      nts::store_u16(ip + 10, 0);
      dataplane::store_folded(ip + 10, dataplane::checksum_of(sum_octets(ip, 20)));
      flow.sum = sum_octets(ip + 12, 8);
    }
    flow.sum = plus(flow.sum, plus(sum_of_value(protocol_udp), sum_of_value(udp_length)));
    flow.sum = plus(flow.sum, sum_octets(udp, udp_bytes));
  }
}

std::size_t DpdkTransport::prepare(std::span<Datagram> requests, std::uint16_t payload_bytes) {
  if (payload_bytes != payload_bytes_) set_lengths(payload_bytes);
  prepared_ = 0;
  if (rte_pktmbuf_alloc_bulk(pool_, sending_.data(), static_cast<unsigned>(requests.size())) != 0) return 0;
  prepared_ = requests.size();
  for (std::size_t i = 0; i < prepared_; ++i) {
    const Flow& flow = flows_[next_flow_];
    const auto client = static_cast<std::uint32_t>(next_flow_);
    if (++next_flow_ == flows_.size()) next_flow_ = 0;
    flow_of_[i] = &flow;
    rte_mbuf* mbuf = sending_[i];
    mbuf->data_len = static_cast<std::uint16_t>(flow.header_bytes() + payload_bytes);
    mbuf->pkt_len = mbuf->data_len;
    auto* frame = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    std::memcpy(frame, flow.header.data(), header_bytes_max);  // what is too much, the payload overwrites
    requests[i] = {frame + flow.header_bytes(), payload_bytes, client};
  }
  return prepared_;
}

std::size_t DpdkTransport::send(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto* payload = rte_pktmbuf_mtod(sending_[i], std::uint8_t*) + flow_of_[i]->header_bytes();
    std::uint16_t checksum =
        dataplane::checksum_of(plus(flow_of_[i]->sum, sum_octets(payload, payload_bytes_)));
    if (checksum == 0) checksum = 0xffff;  // RFC 768: zero would say "none"
    dataplane::store_folded(payload - 2, checksum);
  }
  const std::size_t sent = count == 0 ? 0 : queue_.transmit(std::span(sending_).first(count));
  dataplane::Queue::release(std::span(sending_).subspan(sent, prepared_ - sent));
  prepared_ = 0;
  return sent;
}

// The flow that leads to the server from our `source` by those addresses, turned round.
std::optional<std::uint32_t> DpdkTransport::flow_between(const std::uint8_t* ip, bool is_ipv6,
                                                         std::size_t source) const noexcept {
  const std::size_t first = source * plan_.routes.size();
  for (std::size_t number = first; number < first + plan_.routes.size(); ++number) {
    const Flow& flow = flows_[number];
    if ((flow.ip_bytes == 40) != is_ipv6) continue;
    const std::uint8_t* answered = flow.answer_addresses.data();
    if (is_ipv6 ? std::memcmp(ip + 8, answered, 32) == 0 : std::memcmp(ip + 12, answered, 8) == 0)
      return static_cast<std::uint32_t>(number);
  }
  return std::nullopt;
}

// False for what is no datagram from the server's address and port to one of ours.
bool DpdkTransport::read_frame(rte_mbuf* mbuf, Datagram& answer) noexcept {
  const std::span<std::uint8_t> frame = dataplane::Queue::octets(mbuf);
  if (frame.size() < ethernet_bytes + 20 + udp_bytes) return false;
  const std::uint16_t ethertype = nts::load_u16(frame.data() + 12);
  const bool is_ipv6 = ethertype == 0x86dd;
  if (!is_ipv6 && ethertype != 0x0800) return false;
  std::uint8_t* ip = frame.data() + ethernet_bytes;
  const std::size_t ip_bytes = is_ipv6 ? 40 : 20;
  if (frame.size() < ethernet_bytes + ip_bytes + udp_bytes) return false;
  if (is_ipv6 ? ip[6] != protocol_udp : (ip[0] != 0x45 || ip[9] != protocol_udp)) return false;
  std::uint8_t* udp = ip + ip_bytes;
  const std::uint16_t length = nts::load_u16(udp + 4);
  const int source = nts::load_u16(udp + 2) - plan_.client_port;
  if (nts::load_u16(udp) != plan_.server_port || source < 0 || source >= plan_.sources) return false;
  if (length < udp_bytes || length > frame.size() - ethernet_bytes - ip_bytes) return false;
  const std::optional<std::uint32_t> flow = flow_between(ip, is_ipv6, static_cast<std::size_t>(source));
  if (!flow) return false;
  if (!is_ipv6 && !dataplane::is_right_checksum(sum_octets(ip, 20))) {
    ++bad_checksums_;
    return false;
  }
  const bool has_checksum =
      is_ipv6 || udp[6] != 0 || udp[7] != 0;  // RFC 8200 section 8.1: IPv6 always has one
  const dataplane::ReceivedChecksum known = queue_.received_checksum(mbuf);
  if (has_checksum && known != dataplane::ReceivedChecksum::good) {
    const std::uint64_t addresses = is_ipv6 ? sum_octets(ip + 8, 32) : sum_octets(ip + 12, 8);
    const std::uint64_t sum = plus(plus(addresses, plus(sum_of_value(protocol_udp), sum_of_value(length))),
                                   sum_octets(udp, length));
    if (known == dataplane::ReceivedChecksum::bad || !dataplane::is_right_checksum(sum)) {
      ++bad_checksums_;
      return false;
    }
  }
  answer = {udp + udp_bytes, static_cast<std::uint16_t>(length - udp_bytes), *flow};
  return true;
}

std::size_t DpdkTransport::receive(std::span<Datagram> answers) {
  queue_.receive(received_);
  std::size_t count = 0;
  // Another core has just written them: the lines are on their way while those before are read.
  for (std::uint16_t i = 0; i < received_.count && i < fetched_ahead; ++i) fetch(received_.mbuf[i]);
  for (std::uint16_t i = 0; i < received_.count; ++i) {
    if (i + fetched_ahead < received_.count) fetch(received_.mbuf[i + fetched_ahead]);
    if (read_frame(received_.mbuf[i], answers[count])) ++count;
  }
  if (count == 0) release();
  return count;
}

void DpdkTransport::release() {
  dataplane::Queue::release(std::span(received_.mbuf).first(received_.count));
  received_.count = 0;
}

}  // namespace bench::load
