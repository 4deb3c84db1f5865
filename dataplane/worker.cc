#include "dataplane/worker.h"

#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include "nts/answer.h"

namespace dataplane {
namespace {

// Often enough for a key rotation not to wait for an idle core, seldom enough to cost nothing.
constexpr std::uint64_t house_intervals_per_second = 1000;

}  // namespace

Worker::Worker(const WorkerSetup& setup)
    : clock_(setup.tsc_hz, rte_rdtsc()),
      keys_(*setup.tier),
      server_(*setup.tier, random_),
      pages_(*setup.pages),
      line_(*setup.line),
      house_interval_tsc_(setup.tsc_hz / house_intervals_per_second),
      queues_(setup.queues) {
  claim(line_, setup.instance_id, setup.cpu);
  keep_house(rte_rdtsc());
}

void Worker::run(const std::atomic<bool>& stop) noexcept {
  while (!stop.load(std::memory_order_relaxed)) {
    if (!serve_once()) rte_pause();
  }
  keep_house(rte_rdtsc());
}

bool Worker::serve_once() noexcept {
  bool has_worked = false;
  for (const Queue& queue : queues_) has_worked |= serve_burst(queue);
  const std::uint64_t now_tsc = rte_rdtsc();
  // Unsigned: a TSC that was put back makes it due at once.
  if (now_tsc - house_kept_tsc_ >= house_interval_tsc_) keep_house(now_tsc);
  return has_worked;
}

void Worker::keep_house(std::uint64_t now_tsc) noexcept {
  refresh();
  static_cast<void>(clock_.reading(now_tsc));  // notices a TSC that was put back, with traffic or without
  commit(counters_, keys_.ring().generation(), now_tsc, line_);
  house_kept_tsc_ = now_tsc;
}

// One burst, from wire to wire. These lines are the whole packet path, in order.
bool Worker::serve_burst(const Queue& queue) noexcept {
  queue.receive(frames_);
  if (frames_.count == 0) return false;
  const std::uint64_t received_tsc = rte_rdtsc();  // one for the burst: it is when we looked
  refresh();

  unwrap_all(queue, clock_.at(received_tsc));                      // Ethernet, IP, UDP
  server_.open_requests(batch_, keys_.ring(), service_.policy());  // read, open cookies, verify
  server_.prepare_answers(batch_, keys_.ring(),
                          clock_.reading(received_tsc));  // all that does not depend on when
  server_.seal_answers(batch_, departure_.predict(clock_.at(rte_rdtsc())));  // promise a departure ...
  wrap_all(queue);
  transmit(queue);  // ... and keep it

  Queue::release(std::span(refused_).first(refused_count_));
  return true;
}

void Worker::refresh() noexcept {
  const PageSet* pages = pages_.load(std::memory_order_acquire);
  clock_.refresh(pages->clock);
  if (service_.refresh(pages->settings)) departure_.set_delay_ns(service_.departure_ns());
  if (keys_.refresh(pages->keys)) {
    line_.acknowledged_keys.store(keys_.ring().generation(), std::memory_order_release);
  }
  if (pages != in_use_.load(std::memory_order_relaxed)) in_use_.store(pages, std::memory_order_release);
}

void Worker::unwrap_all(const Queue& queue, nts::NtpTime received) noexcept {
  ++counters_.bursts;
  counters_.received_packets += frames_.count;
  batch_.count = 0;
  refused_count_ = 0;
  for (std::uint16_t i = 0; i < frames_.count; ++i) {
    const auto* frame = rte_pktmbuf_mtod(frames_.mbuf[i], const std::uint8_t*);
    rte_prefetch0(frame);  // Two lines hold a plain request; the rest follows while these are read.
    rte_prefetch0(frame + RTE_CACHE_LINE_SIZE);
  }
  for (std::uint16_t i = 0; i < frames_.count; ++i) {
    rte_mbuf* mbuf = frames_.mbuf[i];
    counters_.received_octets += mbuf->pkt_len;
    const std::span<std::uint8_t> octets = Queue::octets(mbuf);
    if (octets.data() == nullptr) [[unlikely]] {
      counters_.count(shm::FrameVerdict::drop_segmented);
      refuse(mbuf);
      continue;
    }
    const std::uint32_t row = batch_.count;
    Envelope& envelope = envelope_[row];
    unwrap(octets, service_.local(), queue.mac(), queue.received_checksum(mbuf), envelope);
    if (!envelope.is_request) {
      counters_.count(envelope.verdict);
      refuse(mbuf);
      continue;
    }
    ++batch_.count;
    request_mbuf_[row] = mbuf;
    batch_.packet[row] = octets.data() + envelope.payload_offset;
    batch_.packet_bytes[row] = envelope.payload_bytes;
    batch_.received[row] = received;
  }
}

void Worker::wrap_all(const Queue& queue) noexcept {
  answer_count_ = 0;
  for (std::uint32_t row = 0; row < batch_.count; ++row) {
    rte_mbuf* mbuf = request_mbuf_[row];
    const std::uint16_t answer_bytes = batch_.answer_bytes[row];
    if (answer_bytes == 0) {
      counters_.count(batch_.request[row].verdict);
      refuse(mbuf);
      continue;
    }
    const std::uint16_t frame_bytes =
        wrap(rte_pktmbuf_mtod(mbuf, std::uint8_t*), envelope_[row], answer_bytes, queue.sent_checksum());
    queue.finish(mbuf, envelope_[row], frame_bytes);
    answer_mbuf_[answer_count_] = mbuf;
    answer_row_[answer_count_++] = static_cast<std::uint8_t>(row);
  }
}

// A full transmit ring means that the promised departure cannot be kept: what does not fit is dropped and
// said to be, never tried again later with a stale stamp.
void Worker::transmit(const Queue& queue) noexcept {
  if (answer_count_ == 0) return;
  for (std::uint16_t i = 0; i < answer_count_; ++i) counters_.sent_octets += answer_mbuf_[i]->pkt_len;
  const std::uint16_t sent = queue.transmit(std::span(answer_mbuf_).first(answer_count_));
  counters_.sent_packets += sent;
  for (std::uint16_t i = 0; i < sent; ++i) {
    const nts::Request& request = batch_.request[answer_row_[i]];
    counters_.count(request.verdict);
    if (request.verdict == nts::Verdict::answer_nts) {
      // As many as fitted: the plan depends on nothing that has changed since it was made.
      counters_.cookies_issued += nts::plan_nts_answer(request, batch_.packet_bytes[answer_row_[i]]).cookies;
    }
  }
  for (std::uint16_t i = sent; i < answer_count_; ++i) {
    counters_.sent_octets -= answer_mbuf_[i]->pkt_len;
    counters_.count(shm::FrameVerdict::drop_transmit_full);
    refuse(answer_mbuf_[i]);
  }
}

}  // namespace dataplane
