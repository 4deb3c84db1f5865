#include "dataplane/port/port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <utility>

#include "dataplane/port/capabilities.h"
#include "dataplane/port/flow_rules.h"
#include "dataplane/shm/host_twin.h"

namespace dataplane {
namespace {

// Room for a burst of bursts: at 10 million requests a second 1024 frames are 100 us of not looking.
constexpr std::uint16_t ring_frames = 1024;
constexpr std::uint32_t mempool_cache_frames = 256;
constexpr std::uint32_t twin_frames = 64;  // what it reads into, and a burst in hand
// Headroom 128 + 2048. With its headers an element takes 37 cache lines: an odd number, so that neighbours do
// not meet in the same cache sets, as they would at a stride of 2048.
constexpr std::uint16_t buffer_bytes = RTE_MBUF_DEFAULT_BUF_SIZE;
constexpr std::uint64_t element_bytes = buffer_bytes + sizeof(rte_mbuf) + 64;

using Open = OpenedDevice (*)(std::string_view rest, std::uint32_t index, std::uint16_t workers);

// Every kind of device, in one place.
struct Kind {
  std::string_view word;
  Open open;
};
constexpr std::array<Kind, 4> kinds = {{
    {"af_packet", open_af_packet},
    {"af_xdp", open_af_xdp},
    {"pci", open_pci},
    {"vdev", open_vdev},
}};

const Kind& kind_of(std::string_view word) {
  const auto* kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.word == word; });
  if (kind == kinds.end()) {
    throw PortError("device kind \"" + std::string(word) +
                    "\" is not known; use af_packet:INTERFACE, af_xdp:INTERFACE, pci:ADDRESS or vdev:DRIVER");
  }
  return *kind;
}

std::uint32_t frames_for(std::uint32_t queues) noexcept {
  // Both rings full, a burst in hand, what the mempool's per-core cache may hold back, and a twin's.
  return queues * (2U * ring_frames + nts::burst_max + 2U * mempool_cache_frames + twin_frames);
}

void free_zone(rte_mempool_memhdr*, void* zone) { rte_memzone_free(static_cast<const rte_memzone*>(zone)); }

// All elements side by side in one zone, at the zone's own IOVA. Returns how many, or a negative errno.
int populate_in_one_piece(rte_mempool* pool) {
  const std::size_t bytes =
      std::size_t{pool->size} * (pool->header_size + pool->elt_size + pool->trailer_size);
  const rte_memzone* zone = rte_memzone_reserve_aligned((std::string(pool->name) + "_frames").c_str(), bytes,
                                                        SOCKET_ID_ANY, 0, RTE_MEMPOOL_ALIGN);
  if (zone == nullptr) return -rte_errno;
  void* owned = const_cast<rte_memzone*>(zone);  // free_zone gets it back
  const int made = rte_mempool_populate_iova(pool, static_cast<char*>(zone->addr), zone->iova, zone->len,
                                             free_zone, owned);
  if (made <= 0) rte_memzone_free(zone);
  return made == static_cast<int>(pool->size) ? made : made < 0 ? made : -ENOMEM;
}

// What rte_pktmbuf_pool_create does, but for one thing. Without hugepages DPDK keeps each element inside one
// 4 KiB page, for devices that read physical memory; at one element a page all frames meet in the same cache
// sets. No device of ours reads such memory, so there the elements may lie side by side. The flag alone would
// make rte_mempool_populate_default give them no valid IOVA, which a device that reads memory by virtual
// addresses (virtio-user on vDPA) would take for one.
rte_mempool* make_pool(const std::string& name, std::uint32_t frames) {
  const bool has_hugepages = rte_eal_has_hugepages() != 0;
  const unsigned flags = has_hugepages ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
  rte_mempool* pool =
      rte_mempool_create_empty(name.c_str(), frames, sizeof(rte_mbuf) + buffer_bytes, mempool_cache_frames,
                               sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, flags);
  if (pool == nullptr) return nullptr;
  rte_pktmbuf_pool_private layout{};
  layout.mbuf_data_room_size = buffer_bytes;
  rte_pktmbuf_pool_init(pool, &layout);
  const int error = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr);
  const int made = error != 0      ? error
                   : has_hugepages ? rte_mempool_populate_default(pool)
                                   : populate_in_one_piece(pool);
  if (made < 0) {
    rte_mempool_free(pool);
    rte_errno = -made;
    return nullptr;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

[[noreturn]] void fail(const std::string& name, const char* step, int code) {
  // Where a driver of the kernel's stays in between, what most likely was left there.
  const bool has_xdp = name.find("net_af_xdp") != std::string::npos;
  throw PortError("device " + name + " does not " + step + ": " + rte_strerror(-code) +
                  "; see that its driver fits this machine and no other program holds it" +
                  (has_xdp ? ", no XDP program either (`ip link set dev INTERFACE xdp off`)" : ""));
}

// Errors while stopping help nobody: the process ends, and the kernel takes the device back.
void close_device(std::uint16_t port_id) {
  static_cast<void>(rte_eth_dev_stop(port_id));
  static_cast<void>(rte_eth_dev_close(port_id));
}

template <std::size_t Bytes>
void store_text(char (&place)[Bytes], const std::string& text) {
  std::memcpy(place, text.data(), std::min(text.size(), Bytes - 1));
}

// Ethernet and two tags around it. A device that tells no MTU gets that of every Ethernet.
std::uint16_t frame_bytes_for(std::uint16_t mtu_bytes) noexcept {
  constexpr std::uint16_t usual_mtu_bytes = 1500;
  constexpr std::uint16_t around_bytes = 14 + 2 * 4;
  return static_cast<std::uint16_t>((mtu_bytes == 0 ? usual_mtu_bytes : mtu_bytes) + around_bytes);
}

}  // namespace

DeviceName parse_device(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) {
    throw PortError("device \"" + std::string(text) + "\" is not KIND:NAME, for example af_packet:eth0");
  }
  const DeviceName name{text.substr(0, colon), text.substr(colon + 1)};
  static_cast<void>(kind_of(name.kind));
  return name;
}

BufferPool::BufferPool(const std::string& name, std::uint32_t queues)
    : pool_(make_pool(name, frames_for(queues))) {
  if (pool_ == nullptr) {
    throw PortError("no memory for packet buffers (" + std::to_string(bytes_for(queues) >> 20) + " MiB): " +
                    rte_strerror(rte_errno) + "; reserve more hugepages or set memory = \"ordinary\"");
  }
}

BufferPool::~BufferPool() { rte_mempool_free(pool_); }

std::uint64_t BufferPool::bytes_for(std::uint32_t queues) noexcept {
  return frames_for(queues) * element_bytes;
}

Port::Port(std::string_view device, std::uint32_t index, std::uint16_t workers, const BufferPool& buffers,
           const PortPlan& plan)
    : name_(device) {
  const DeviceName name = parse_device(device);
  const OpenedDevice opened = kind_of(name.kind).open(name.rest, index, workers);
  port_id_ = opened.port_id;
  interface_ = opened.interface;
  kernel_sees_requests_ = opened.kernel_sees_requests;
  is_bifurcated_ = opened.is_bifurcated;
  capabilities_.unfinished_checksums = opened.unfinished_checksums;
  try {
    start(workers, buffers, plan);
    if (opened.spreads_by_source) {
      for (const auto feature :
           {shm::PortFeature::rss_ipv4, shm::PortFeature::rss_ipv6, shm::PortFeature::rss_source_only}) {
        report_.offered.set(feature);
        report_.used.set(feature, report_.queues > 1);
      }
    }
    if (plan.has_twin) {
      // Neighbour discovery asks groups that the card would filter away.
      static_cast<void>(rte_eth_allmulticast_enable(port_id_));
      adopt(std::make_unique<Twin>(twin_plan(shm::twin_name(index)), buffers.get()));
    }
  } catch (const PortError&) {
    close_device(port_id_);
    throw;
  }
}

Port::Port(std::uint16_t port_id, std::string name, std::uint16_t workers, const BufferPool& buffers,
           std::optional<std::uint16_t> twin_port_id)
    : port_id_(port_id), name_(std::move(name)) {
  start(workers, buffers, {});
  if (twin_port_id) {
    adopt(std::make_unique<Twin>(*twin_port_id, twin_plan(name_ + "-twin"), buffers.get()));
  }
}

Port::~Port() {
  twin_.reset();
  close_device(port_id_);
}

TwinPlan Port::twin_plan(std::string interface) const {
  return {std::move(interface), mac_, report_.mtu_bytes, report_.queues};
}

void Port::adopt(std::unique_ptr<Twin> twin) {
  twin_ = std::move(twin);
  store_text(report_.twin, twin_->interface());
}

rte_eth_conf Port::choose_features(const rte_eth_dev_info& info) {
  using shm::PortFeature;
  rte_eth_conf conf{};
  const auto use = [&](PortFeature feature) {
    const bool is_offered = report_.offered.has(feature);
    report_.used.set(feature, is_offered);
    return is_offered;
  };
  // Of no use one without the other: either the device vouches for a request's checksums or we look.
  if (report_.offered.has(PortFeature::receive_ipv4_checksum) &&
      report_.offered.has(PortFeature::receive_udp_checksum)) {
    use(PortFeature::receive_ipv4_checksum);
    use(PortFeature::receive_udp_checksum);
    conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
  }
  capabilities_.transmit_checksums = use(PortFeature::transmit_udp_checksum);
  if (capabilities_.transmit_checksums) conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
  conf.txmode.offloads |= info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;  // one pool, never shared
  if (report_.queues == 1) return conf;

  // By source address only: one client always meets the same core, whatever its port (RFC 9109). Where that
  // cannot be asked for, the words that would bring ports into it are left out.
  std::uint64_t hash = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;
  if (use(PortFeature::rss_source_only)) {
    hash |= RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;
  }
  hash &= info.flow_type_rss_offloads;
  if ((hash & ~RTE_ETH_RSS_L3_SRC_ONLY) == 0) return conf;
  use(PortFeature::rss_ipv4);
  use(PortFeature::rss_ipv6);
  conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
  conf.rx_adv_conf.rss_conf.rss_hf = hash;
  return conf;
}

void Port::start(std::uint16_t workers, const BufferPool& buffers, const PortPlan& plan) {
  report_ = probe(port_id_, name_);
  store_text(report_.interface, interface_);
  report_.queues = std::min({workers, report_.receive_queues_max, report_.transmit_queues_max});
  if (is_bifurcated_) isolate(port_id_, name_);

  rte_eth_dev_info info;
  if (const int code = rte_eth_dev_info_get(port_id_, &info)) fail(name_, "tell what it can do", code);
  const rte_eth_conf conf = choose_features(info);
  if (const int code = rte_eth_dev_configure(port_id_, report_.queues, report_.queues, &conf)) {
    fail(name_, "take its configuration", code);
  }
  std::uint16_t receive_frames = ring_frames;
  std::uint16_t transmit_frames = ring_frames;
  if (const int code = rte_eth_dev_adjust_nb_rx_tx_desc(port_id_, &receive_frames, &transmit_frames)) {
    fail(name_, "say how long its rings may be", code);
  }
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(port_id_));
  for (std::uint16_t i = 0; i < report_.queues; ++i) {
    if (const int code =
            rte_eth_rx_queue_setup(port_id_, i, receive_frames, socket, nullptr, buffers.get())) {
      fail(name_, "set up a receive queue", code);
    }
    if (const int code = rte_eth_tx_queue_setup(port_id_, i, transmit_frames, socket, nullptr)) {
      fail(name_, "set up a transmit queue", code);
    }
  }
  if (const int code = rte_eth_dev_start(port_id_); code != 0) fail(name_, "start", code);
  if (is_bifurcated_) {
    steer_ntp(port_id_, plan.ntp_port, report_.queues, name_);
    report_.used.set(shm::PortFeature::flow_rules);
  }

  rte_ether_addr mac;
  if (const int code = rte_eth_macaddr_get(port_id_, &mac); code != 0)
    fail(name_, "tell its MAC address", code);
  mac_ = MacAddress(std::to_array(mac.addr_bytes));
  probe_started(port_id_, plan.ntp_port, report_);
}

Queue Port::queue(std::uint16_t number) const noexcept {
  nts::check(number < report_.queues);
  Queue queue(port_id_, number, mac_, capabilities_);
  if (twin_ != nullptr) queue.set_twin(twin_->port_id(), frame_bytes_for(report_.mtu_bytes));
  return queue;
}

}  // namespace dataplane
