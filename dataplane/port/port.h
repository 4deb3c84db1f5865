// A network device and its queues. One Queue belongs to one worker; nothing in it is shared.
//
// A device is opened by name (port.cc lists the kinds), started with one queue per worker if it has so many,
// and probed: what it can do is used when it is there and printed for people, never assumed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/frame.h"
#include "dataplane/port/twin.h"
#include "dataplane/shm/port_report.h"
#include "nts/batch.h"
#include "nts/check.h"

namespace dataplane {

// A device that cannot be used: one sentence with the reason and the way out.
class PortError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the packet path asks of a port for each frame. All that a device can do: shm::PortReport.
struct PortCapabilities {
  bool transmit_checksums = false;  // the device writes UDP checksums, both families
  // The kernel may hand over frames whose checksum nobody has finished (frame.h, ReceivedChecksum).
  bool unfinished_checksums = false;
};

// One burst of frames as the device gave them.
struct Frames {
  std::uint16_t count = 0;
  std::array<rte_mbuf*, nts::burst_max> mbuf;
};

class Queue {
 public:
  Queue(std::uint16_t port_id, std::uint16_t queue_id, MacAddress mac,
        const PortCapabilities& capabilities) noexcept
      : port_id_(port_id), queue_id_(queue_id), mac_(mac), capabilities_(capabilities) {}

  // Takes what has arrived, at most a burst. The frames are the caller's until transmit or release.
  void receive(Frames& frames) const noexcept {
    frames.count = rte_eth_rx_burst(port_id_, queue_id_, frames.mbuf.data(), nts::burst_max);
  }

  // Hands over as many frames as the device has room for, in order, and returns how many: the rest is still
  // the caller's. Never waits.
  [[nodiscard]] std::uint16_t transmit(std::span<rte_mbuf*> frames) const noexcept {
    return rte_eth_tx_burst(port_id_, queue_id_, frames.data(), static_cast<std::uint16_t>(frames.size()));
  }

  static void release(std::span<rte_mbuf*> frames) noexcept {
    rte_pktmbuf_free_bulk(frames.data(), static_cast<unsigned>(frames.size()));
  }

  // The frame's octets when they lie in one buffer that is nobody else's; empty when they do not.
  [[nodiscard]] static std::span<std::uint8_t> octets(rte_mbuf* mbuf) noexcept {
    // The word that drivers write with one store: data offset, reference count, segments, port.
    std::uint64_t rearm;
    std::memcpy(&rearm, reinterpret_cast<const std::uint8_t*>(mbuf) + offsetof(rte_mbuf, rearm_data),
                sizeof rearm);
    static_assert(offsetof(rte_mbuf, refcnt) == offsetof(rte_mbuf, rearm_data) + 2);
    static_assert(offsetof(rte_mbuf, nb_segs) == offsetof(rte_mbuf, rearm_data) + 4);
    constexpr std::uint64_t counts = 0xffff'ffff'0000;
    constexpr std::uint64_t one_reference_one_segment = 0x0001'0001'0000;
    const std::uint64_t differs = ((rearm & counts) ^ one_reference_one_segment) |
                                  (mbuf->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) |
                                  (mbuf->pkt_len ^ mbuf->data_len);
    if (differs != 0) [[unlikely]]
      return {};
    return {rte_pktmbuf_mtod(mbuf, std::uint8_t*), mbuf->data_len};
  }

  [[nodiscard]] ReceivedChecksum received_checksum(const rte_mbuf* mbuf) const noexcept {
    const std::uint64_t flags = mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    // NONE: the field is not filled in, but the device vouches for the octets.
    if (flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD || flags == RTE_MBUF_F_RX_L4_CKSUM_NONE) {
      return ReceivedChecksum::good;
    }
    if (flags == RTE_MBUF_F_RX_L4_CKSUM_BAD) return ReceivedChecksum::bad;
    return capabilities_.unfinished_checksums ? ReceivedChecksum::unknown_or_unfinished
                                              : ReceivedChecksum::unknown;
  }

  [[nodiscard]] SentChecksum sent_checksum() const noexcept {
    return capabilities_.transmit_checksums ? SentChecksum::offload : SentChecksum::software;
  }

  // Makes the mbuf an outgoing frame of `frame_bytes` octets, with what an offloading device must know.
  void finish(rte_mbuf* mbuf, const Envelope& envelope, std::uint16_t frame_bytes) const noexcept {
    mbuf->data_len = frame_bytes;
    mbuf->pkt_len = frame_bytes;
    mbuf->ol_flags = 0;  // received flags mean nothing on the way out; a tag stays in the data
    if (capabilities_.transmit_checksums) {
      mbuf->tx_offload = rte_mbuf_tx_offload(envelope.ip_offset, envelope.is_ipv6 ? 40 : 20, 0, 0, 0, 0, 0);
      mbuf->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | (envelope.is_ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
    }
  }

  [[nodiscard]] MacAddress mac() const noexcept { return mac_; }

  // --- the kernel's share, where the port has a twin

  void set_twin(std::uint16_t twin_port_id, std::uint16_t frame_bytes_max) noexcept {
    twin_port_id_ = twin_port_id;
    frame_bytes_max_ = frame_bytes_max;
  }
  [[nodiscard]] bool has_twin() const noexcept { return twin_port_id_ != RTE_MAX_ETHPORTS; }

  // Hands received frames to the kernel, as they are, and returns how many it took; the rest is still the
  // caller's. Never waits. Requires: each has at most frame_bytes_max() octets.
  [[nodiscard]] std::uint16_t give_to_kernel(std::span<rte_mbuf*> frames) const noexcept {
    for (rte_mbuf* frame : frames) {
      // Received flags mean nothing on the way on; what says whose memory it is stays.
      frame->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    }
    return rte_eth_tx_burst(twin_port_id_, queue_id_, frames.data(),
                            static_cast<std::uint16_t>(frames.size()));
  }

  // Takes what the kernel wants sent, at most `limit` and at most a burst. They are the caller's then.
  void take_from_kernel(Frames& frames, std::uint16_t limit) const noexcept {
    constexpr std::uint16_t burst = nts::burst_max;
    frames.count =
        rte_eth_rx_burst(twin_port_id_, queue_id_, frames.mbuf.data(), limit < burst ? limit : burst);
    for (std::uint16_t i = 0; i < frames.count; ++i) {
      frames.mbuf[i]->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
    }
  }
  // The longest frame that both ways carry, two tags included.
  [[nodiscard]] std::uint16_t frame_bytes_max() const noexcept { return frame_bytes_max_; }

 private:
  std::uint16_t port_id_;
  std::uint16_t queue_id_;
  MacAddress mac_;
  PortCapabilities capabilities_;
  std::uint16_t twin_port_id_ = RTE_MAX_ETHPORTS;  // none
  std::uint16_t frame_bytes_max_ = 0;
};

// Buffers for every queue of every port; larger than all rings together, so receiving never starves.
class BufferPool {
 public:
  // Throws PortError when the memory is not there.
  BufferPool(const std::string& name, std::uint32_t queues);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  [[nodiscard]] rte_mempool* get() const noexcept { return pool_; }
  // What `queues` queue pairs need, for EAL's memory.
  [[nodiscard]] static std::uint64_t bytes_for(std::uint32_t queues) noexcept;

 private:
  rte_mempool* pool_;
};

// A device in the config's words, split: "af_packet:eth0" is kind "af_packet", rest "eth0".
struct DeviceName {
  std::string_view kind;
  std::string_view rest;
};
// Throws PortError for what is no device of this version.
[[nodiscard]] DeviceName parse_device(std::string_view text);

// What the settings say of a port beside its device.
struct PortPlan {
  bool has_twin = false;         // shm::has_twin
  std::uint16_t ntp_port = 123;  // for a card that brings us only what a rule names
};

// A started device. Stops and closes it when it goes; BufferPool must live longer.
class Port {
 public:
  // Opens `device` as the config names it, number `index` of them. Throws PortError.
  Port(std::string_view device, std::uint32_t index, std::uint16_t workers, const BufferPool& buffers,
       const PortPlan& plan = {});
  // Takes over a port DPDK already has: tests and benchmarks with rings. `twin_port_id` is another such port
  // that plays its twin.
  Port(std::uint16_t port_id, std::string name, std::uint16_t workers, const BufferPool& buffers,
       std::optional<std::uint16_t> twin_port_id = {});
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  [[nodiscard]] std::uint16_t queue_count() const noexcept { return report_.queues; }
  [[nodiscard]] Queue queue(std::uint16_t number) const noexcept;
  [[nodiscard]] MacAddress mac() const noexcept { return mac_; }
  // Name and probed capabilities, for the stats page.
  [[nodiscard]] const shm::PortReport& report() const noexcept { return report_; }
  // The same in one line for people.
  [[nodiscard]] std::string description() const { return shm::summary_of(report_); }
  [[nodiscard]] std::uint16_t port_id() const noexcept { return port_id_; }
  // The interface through which the kernel gets its share; empty when there is none.
  [[nodiscard]] std::string twin() const { return twin_ == nullptr ? std::string() : twin_->interface(); }
  // The kernel's interface under the port; empty when there is none.
  [[nodiscard]] const std::string& interface() const noexcept { return interface_; }
  // True when the kernel sees our requests too, and must be kept from answering them.
  [[nodiscard]] bool kernel_sees_requests() const noexcept { return kernel_sees_requests_; }

 private:
  void start(std::uint16_t workers, const BufferPool& buffers, const PortPlan& plan);
  // The receive and transmit configuration that uses what the device offers, written into the report.
  rte_eth_conf choose_features(const rte_eth_dev_info& info);
  [[nodiscard]] TwinPlan twin_plan(std::string interface) const;
  void adopt(std::unique_ptr<Twin> twin);

  std::uint16_t port_id_ = 0;
  std::string name_;
  std::string interface_;
  bool kernel_sees_requests_ = false;
  bool is_bifurcated_ = false;
  PortCapabilities capabilities_;
  MacAddress mac_;
  shm::PortReport report_{};
  std::unique_ptr<Twin> twin_;
};

// One kind of device: its word in the config, and how it becomes a DPDK port.
struct OpenedDevice {
  std::uint16_t port_id = 0;
  bool unfinished_checksums = false;
  std::string interface;  // the kernel's, if it stands on one
  bool kernel_sees_requests = false;
  bool spreads_by_source = false;  // without being asked
  bool is_bifurcated = false;      // the kernel keeps the card, and we get what a rule brings (flow_rules.h)
};
// `rest` is what stands behind the colon. Each throws PortError.
[[nodiscard]] OpenedDevice open_af_packet(std::string_view rest, std::uint32_t index, std::uint16_t workers);
[[nodiscard]] OpenedDevice open_af_xdp(std::string_view rest, std::uint32_t index, std::uint16_t workers);
[[nodiscard]] OpenedDevice open_pci(std::string_view rest, std::uint32_t index, std::uint16_t workers);
[[nodiscard]] OpenedDevice open_vdev(std::string_view rest, std::uint32_t index, std::uint16_t workers);

// Before EAL starts, for each pci: device: what EAL must be told of it ("0000:3b:00.0,options"). Throws
// PortError when it cannot be used, with the way out.
[[nodiscard]] std::string require_pci_device(std::string_view rest);

}  // namespace dataplane
