#include "tests/support/ring_port.h"

#include <algorithm>
#include <rte_eth_ring.h>
#include <rte_mempool.h>
#include <rte_ring.h>

namespace tests {

std::string eal_trouble = "EAL was not started by this test program";

const dataplane::BufferPool& shared_buffers() {
  // Never freed: EAL, which owns the memory, ends before static objects would.
  static const auto* buffers = new dataplane::BufferPool("tests", 1);
  return *buffers;
}

RingPort::RingPort(unsigned transmit_frames) {
  static int number = 0;
  const std::string name = "rings" + std::to_string(number++);
  receive_ = rte_ring_create((name + "r").c_str(), 1024, SOCKET_ID_ANY, 0);
  transmit_ = rte_ring_create((name + "t").c_str(), transmit_frames, SOCKET_ID_ANY, 0);
  const int id = rte_eth_from_rings(name.c_str(), &receive_, 1, &transmit_, 1, 0);
  if (receive_ == nullptr || transmit_ == nullptr || id < 0) throw dataplane::PortError("no ring port");
  port_ = std::make_unique<dataplane::Port>(static_cast<std::uint16_t>(id), name, std::uint16_t{1},
                                            shared_buffers());
}

RingPort::~RingPort() {
  static_cast<void>(take_transmitted());
  rte_mbuf* left = nullptr;
  while (rte_ring_dequeue(receive_, reinterpret_cast<void**>(&left)) == 0) rte_pktmbuf_free(left);
  port_.reset();
  rte_ring_free(receive_);
  rte_ring_free(transmit_);
}

rte_mbuf* RingPort::make_mbuf(const Octets& frame) const {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(shared_buffers().get());
  if (mbuf == nullptr) throw dataplane::PortError("the test has used up its buffers");
  void* room = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size()));
  if (room == nullptr) throw dataplane::PortError("the frame is longer than a buffer");
  std::copy(frame.begin(), frame.end(), static_cast<std::uint8_t*>(room));
  return mbuf;
}

void RingPort::arrive(rte_mbuf* mbuf) {
  if (rte_ring_enqueue(receive_, mbuf) != 0) throw dataplane::PortError("the receive ring is full");
}

void RingPort::arrive(Octets frame) {
  if (frame.size() >= 6) port_->mac().store(frame.data());
  arrive(make_mbuf(frame));
}

void RingPort::arrive(FrameSpec spec) { arrive(spec.build()); }

unsigned RingPort::waiting() const { return rte_ring_count(receive_); }
bool RingPort::has_room() const { return rte_ring_full(receive_) == 0; }

std::vector<Octets> RingPort::take_transmitted() {
  std::vector<Octets> frames;
  rte_mbuf* mbuf = nullptr;
  while (rte_ring_dequeue(transmit_, reinterpret_cast<void**>(&mbuf)) == 0) {
    const auto* octets = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
    frames.emplace_back(octets, octets + mbuf->data_len);
    rte_pktmbuf_free(mbuf);
  }
  return frames;
}

}  // namespace tests
