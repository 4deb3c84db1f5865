#include "tests/support/ring_device.h"

#include <algorithm>
#include <rte_eth_ring.h>
#include <string>

#include "tests/support/ring_port.h"

namespace tests {

RingDevice::RingDevice(std::uint16_t queues, unsigned transmit_frames) {
  static int number = 0;
  const std::string name = "device" + std::to_string(number++);
  for (std::uint16_t i = 0; i < queues; ++i) {
    const std::string queue = name + "q" + std::to_string(i);
    receive_.push_back(rte_ring_create((queue + "r").c_str(), 1024, SOCKET_ID_ANY, 0));
    transmit_.push_back(rte_ring_create((queue + "t").c_str(), transmit_frames, SOCKET_ID_ANY, 0));
    if (receive_.back() == nullptr || transmit_.back() == nullptr) throw dataplane::PortError("no ring");
  }
  const int id = rte_eth_from_rings(name.c_str(), receive_.data(), queues, transmit_.data(), queues, 0);
  if (id < 0) throw dataplane::PortError("no ring device");
  port_id_ = static_cast<std::uint16_t>(id);
}

RingDevice::~RingDevice() {
  for (std::size_t i = 0; i < receive_.size(); ++i) {
    for (rte_ring* ring : {receive_[i], transmit_[i]}) {
      rte_mbuf* left = nullptr;
      while (rte_ring_dequeue(ring, reinterpret_cast<void**>(&left)) == 0) rte_pktmbuf_free(left);
      rte_ring_free(ring);
    }
  }
}

void RingDevice::arrive(std::uint16_t queue, rte_mbuf* mbuf) {
  if (rte_ring_enqueue(receive_.at(queue), mbuf) != 0) throw dataplane::PortError("the ring is full");
}

void RingDevice::arrive(std::uint16_t queue, const Octets& frame) { arrive(queue, make_mbuf(frame)); }

rte_mbuf* RingDevice::take_mbuf(std::uint16_t queue) {
  rte_mbuf* mbuf = nullptr;
  return rte_ring_dequeue(transmit_.at(queue), reinterpret_cast<void**>(&mbuf)) == 0 ? mbuf : nullptr;
}

std::vector<Octets> RingDevice::take(std::uint16_t queue) {
  std::vector<Octets> frames;
  while (rte_mbuf* mbuf = take_mbuf(queue)) {
    Octets& frame = frames.emplace_back();
    for (const rte_mbuf* part = mbuf; part != nullptr; part = part->next) {
      const auto* octets = rte_pktmbuf_mtod(part, const std::uint8_t*);
      frame.insert(frame.end(), octets, octets + part->data_len);
    }
    rte_pktmbuf_free(mbuf);
  }
  return frames;
}

rte_mbuf* make_mbuf(const Octets& octets) {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(shared_buffers().get());
  if (mbuf == nullptr) throw dataplane::PortError("the test has used up its buffers");
  void* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(octets.size()));
  if (room == nullptr) throw dataplane::PortError("the frame is longer than a buffer");
  std::copy(octets.begin(), octets.end(), static_cast<std::uint8_t*>(room));
  return mbuf;
}

}  // namespace tests
