#include "dataplane/stats.h"

#include <atomic>
#include <numeric>

namespace dataplane {

std::uint64_t Counters::verdicts() const noexcept {
  return std::accumulate(frame.begin(), frame.end(), std::uint64_t{0}) +
         std::accumulate(verdict.begin(), verdict.end(), std::uint64_t{0});
}

void claim(shm::CoreStats& line, std::uint64_t instance_id, std::uint32_t cpu) noexcept {
  // Nobody may read the last process's acknowledgement under the new instance id, nor its own under the old
  // one: the line belongs to nobody while it is cleared.
  line.instance_id.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  commit(Counters{}, 0, 0, line);
  line.cpu.store(cpu, std::memory_order_relaxed);
  line.is_drained.store(0, std::memory_order_relaxed);
  line.queues.store(0, std::memory_order_relaxed);
  line.instance_id.store(instance_id, std::memory_order_release);
}

void commit(const Counters& counters, std::uint64_t acknowledged_keys, std::uint64_t now_tsc,
            shm::CoreStats& line) noexcept {
  const auto store = [](std::atomic<std::uint64_t>& cell, std::uint64_t value) {
    cell.store(value, std::memory_order_relaxed);
  };
  store(line.bursts, counters.bursts);
  store(line.received_packets, counters.received_packets);
  store(line.received_octets, counters.received_octets);
  store(line.sent_packets, counters.sent_packets);
  store(line.sent_octets, counters.sent_octets);
  store(line.cookies_issued, counters.cookies_issued);
  store(line.kernel_sent_packets, counters.kernel_sent_packets);
  store(line.kernel_sent_octets, counters.kernel_sent_octets);
  store(line.kernel_unsent_packets, counters.kernel_unsent_packets);
  for (std::size_t i = 0; i < counters.frame.size(); ++i) store(line.frame[i], counters.frame[i]);
  for (std::size_t i = 0; i < counters.verdict.size(); ++i) store(line.verdict[i], counters.verdict[i]);
  // The keys really are loaded before anybody is told so.
  line.acknowledged_keys.store(acknowledged_keys, std::memory_order_release);
  line.heartbeat_tsc.store(now_tsc, std::memory_order_release);
}

}  // namespace dataplane
