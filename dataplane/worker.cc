#include "dataplane/worker.h"

#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <time.h>

#include "dataplane/shm/failpoint.h"
#include "dataplane/usual_frame.h"
#include "nts/secret.h"
#include "nts/wire.h"

namespace dataplane {

namespace failpoint = shm::failpoint;

namespace {

// Often enough for a key rotation not to wait for an idle core, seldom enough to cost nothing.
constexpr std::uint64_t house_intervals_per_second = 1000;

// Of a drained core: short enough for the operator to notice nothing when it is wanted again.
constexpr timespec nap{0, 10'000'000};

// Frames whose octets are on their way while one is read: a burst at once would fill every buffer that the
// first-level cache has for lines under way, and wait. What says where they lie is fetched twice as far
// ahead.
constexpr std::uint16_t fetched_ahead = 6;

[[gnu::always_inline]] inline void fetch(const rte_mbuf* mbuf) noexcept {
  const auto* frame = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
  rte_prefetch0(frame);  // Two lines hold a plain request, and five an NTS request.
  rte_prefetch0(frame + RTE_CACHE_LINE_SIZE);
  if (mbuf->data_len <= 2 * RTE_CACHE_LINE_SIZE) return;
  rte_prefetch0(frame + 2 * RTE_CACHE_LINE_SIZE);
  rte_prefetch0(frame + 3 * RTE_CACHE_LINE_SIZE);
  rte_prefetch0(frame + 4 * RTE_CACHE_LINE_SIZE);
}

}  // namespace

Worker::Worker(const WorkerSetup& setup)
    : clock_(setup.tsc_hz, rte_rdtsc()),
      keys_(*setup.tier),
      random_(*setup.tier),
      server_({*setup.tier, setup.gcm_siv_tier, setup.siv_384_tier, setup.siv_512_tier}, random_),
      admission_(setup.limited_sources, setup.limit_seed, setup.tsc_hz),
      pages_(*setup.pages),
      line_(*setup.line),
      house_interval_tsc_(setup.tsc_hz / house_intervals_per_second),
      queues_(setup.queues),
      devices_(setup.devices),
      duties_(setup.duties),
      number_(setup.number) {
  std::size_t queues = queues_.size();
  if (duties_ != nullptr) {
    for (const Share& share : duties_->shares()) queues += share.queues.size();
  }
  queues_.reserve(queues);  // all there are, should it be the last in service
  devices_.reserve(queues);
  devices_.resize(queues_.size());
  owners_.reserve(queues);
  owners_.resize(queues_.size());
  claim(line_, setup.instance_id, setup.cpu);
  line_.queues.store(queues_.size(), std::memory_order_relaxed);
  if (duties_ != nullptr) attend_duties();
  keep_house(rte_rdtsc());
}

void Worker::run(const std::atomic<bool>& stop) noexcept {
  while (!stop.load(std::memory_order_relaxed)) {
    if (serve_once()) continue;
    if (is_resting_) [[unlikely]] {
      ::nanosleep(&nap, nullptr);
    } else {
      rte_pause();
    }
  }
  keep_house(rte_rdtsc());
  nts::wipe_stack_below();  // of this core's thread: what the lanes spilled of session keys
}

bool Worker::serve_once() noexcept {
  if (duties_ != nullptr && (is_resting_ || duties_->version() != duties_seen_)) [[unlikely]]
    attend_duties();
  bool has_worked = false;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    KernelShare& share = kernel_shares_[owners_[i]];
    has_worked |= serve_burst(queues_[i], devices_[i], share);
    if (queues_[i].has_twin()) has_worked |= send_for_kernel(queues_[i], share);
  }
  const std::uint64_t now_tsc = rte_rdtsc();
  // Unsigned: a TSC that was put back makes it due at once.
  if (now_tsc - house_kept_tsc_ >= house_interval_tsc_) keep_house(now_tsc);
  return has_worked;
}

// Between bursts: every frame received has left or is released.
void Worker::attend_duties() noexcept {
  if (is_resting_) {
    if (duties_->may_rest(number_)) return;
    if (!wake_up()) return;
  }
  duties_seen_ = duties_->version();
  duties_->hand_on(number_);
  queues_.clear();
  devices_.clear();
  owners_.clear();
  const std::vector<Share>& shares = duties_->shares();
  for (std::size_t owner = 0; owner < shares.size(); ++owner) {
    if (!duties_->holds(number_, owner)) continue;
    queues_.insert(queues_.end(), shares[owner].queues.begin(), shares[owner].queues.end());
    devices_.insert(devices_.end(), shares[owner].devices.begin(), shares[owner].devices.end());
    owners_.resize(queues_.size(), static_cast<std::uint32_t>(owner));
  }
  line_.queues.store(queues_.size(), std::memory_order_relaxed);
  if (!queues_.empty() || !duties_->begin_rest(number_)) return;
  is_resting_ = true;
  line_.is_drained.store(1, std::memory_order_release);
}

// The keeper does not wait for a drained core. From the moment it says otherwise it does; so either the
// keeper sees that, or what it has published before is read here, before the first packet. Keys that are just
// being written cannot be read, so then it sleeps on, and others serve, until the next look.
bool Worker::wake_up() noexcept {
  line_.is_drained.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  keep_house(rte_rdtsc());
  if (!keys_.has_seen_all()) {
    line_.is_drained.store(1, std::memory_order_release);
    return false;
  }
  is_resting_ = false;
  duties_->end_rest(number_);
  return true;
}

void Worker::keep_house(std::uint64_t now_tsc) noexcept {
  refresh();
  static_cast<void>(clock_.reading(now_tsc));  // notices a TSC that was put back, with traffic or without
  commit(counters_, keys_.ring().generation(), now_tsc, line_);
  house_kept_tsc_ = now_tsc;
  kernel_shares_.fill({});
}

// One burst, from wire to wire. These lines are the whole packet path, in order.
bool Worker::serve_burst(const Queue& queue, std::uint32_t device, KernelShare& share) noexcept {
  queue.receive(frames_);
  if (frames_.count == 0) return false;
  const std::uint64_t received_tsc = rte_rdtsc();  // one for the burst: it is when we looked
  failpoint::reach("worker.received");
  refresh();

  unwrap_all(queue, clock_.at(received_tsc), received_tsc);        // Ethernet, IP, UDP; who is served
  server_.open_requests(batch_, keys_.ring(), service_.policy());  // read, open cookies, verify
  if (batch_.has_kisses) [[unlikely]]
    limit_kisses(received_tsc);
  server_.prepare_answers(batch_, keys_.ring(),
                          clock_.reading(received_tsc));  // all that does not depend on when
  if (batch_.asks_mono_root) [[unlikely]] {
    nts::Server::tell_mono_root(batch_, clock_.mono_root(received_tsc),
                                clock_.smeared_mono_root(received_tsc));
  }
  if (batch_.smeared == 0) [[likely]] {
    server_.seal_answers(batch_, departure_.predict(clock_.at(rte_rdtsc())));  // promise a departure ...
  } else {
    nts::Server::smear_headers(batch_, clock_.smeared(clock_.reading(received_tsc), received_tsc));
    const std::uint64_t now_tsc = rte_rdtsc();
    server_.seal_answers(batch_, departure_.predict(clock_.at(now_tsc)),
                         smeared_departure_.predict(clock_.smeared_at(now_tsc)));
  }
  wrap_all(queue, service_.reply_gateway(device));
  transmit(queue);  // ... and keep it
  failpoint::reach("worker.transmitted");

  if (for_kernel_count_ != 0) give_to_kernel(queue, share);
  Queue::release(std::span(refused_).first(refused_count_));
  return true;
}

void Worker::refresh() noexcept {
  const PageSet* pages = pages_.load(std::memory_order_acquire);
  clock_.refresh(pages->clock);
  if (service_.refresh(pages->settings)) {
    departure_.set_delay_ns(service_.departure_ns());
    smeared_departure_.set_delay_ns(service_.departure_ns());
    admission_.set(service_);
  }
  failpoint::reach("worker.about_to_load_keys");
  if (keys_.refresh(pages->keys)) {
    failpoint::reach("worker.keys_loaded");
    line_.acknowledged_keys.store(keys_.ring().generation(), std::memory_order_release);
  }
  if (pages != in_use_.load(std::memory_order_relaxed)) in_use_.store(pages, std::memory_order_release);
}

void Worker::unwrap_all(const Queue& queue, nts::NtpTime received, std::uint64_t received_tsc) noexcept {
  ++counters_.bursts;
  counters_.received_packets += frames_.count;
  batch_.smeared = 0;
  refused_count_ = 0;
  for_kernel_count_ = 0;
  const std::uint16_t count = frames_.count;
  for (std::uint16_t i = 0; i < count && i < fetched_ahead; ++i) fetch(frames_.mbuf[i]);
  const MacAddress mac = queue.mac();
  const bool is_open = admission_.is_open();
  const bool has_smeared = service_.has_smeared();
  std::uint64_t octets_received = 0;
  std::uint32_t row = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    if (i + 2 * fetched_ahead < count) rte_prefetch0(frames_.mbuf[i + 2 * fetched_ahead]);
    if (i + fetched_ahead < count) fetch(frames_.mbuf[i + fetched_ahead]);
    rte_mbuf* mbuf = frames_.mbuf[i];
    octets_received += mbuf->pkt_len;
    const std::span<std::uint8_t> octets = Queue::octets(mbuf);
    if (octets.data() == nullptr) [[unlikely]] {
      set_aside(queue, mbuf, shm::FrameVerdict::drop_segmented);
      continue;
    }
    Envelope& envelope = envelope_[row];
    const ReceivedChecksum checksum = queue.received_checksum(mbuf);
    if (!unwrap_usual(octets, service_.local(), mac, checksum, envelope)) [[unlikely]] {
      unwrap_carefully(octets, service_.local(), mac, checksum, envelope);
      if (!envelope.is_request) {
        set_aside(queue, mbuf, envelope.verdict);
        continue;
      }
    }
    // What is no client's request is refused further on at no cost, or may be the kernel's (wrap_all).
    const std::uint8_t* payload = octets.data() + envelope.payload_offset;
    if (!is_open && envelope.payload_bytes != 0 && (*payload & 7) == nts::mode_client) {
      const Admission::Decision decision = admission_.judge(
          octets.data() + source_offset(envelope), envelope.is_ipv6, envelope.payload_bytes, received_tsc);
      if (!decision.is_admitted) {
        set_aside(queue, mbuf, decision.refused);
        continue;
      }
      batch_.treatment[row] = decision.treatment;
    } else {
      batch_.treatment[row] = nts::Treatment::serve;
    }
    request_mbuf_[row] = mbuf;
    batch_.packet[row] = octets.data() + envelope.payload_offset;
    batch_.packet_bytes[row] = envelope.payload_bytes;
    batch_.received[row] = received;
    if (has_smeared && service_.is_smeared(octets.data(), envelope)) [[unlikely]] {
      batch_.smeared |= std::uint32_t{1} << row;
      batch_.received[row] = clock_.smeared_at(received_tsc);
    }
    ++row;
  }
  batch_.count = row;
  counters_.received_octets += octets_received;
}

// A kiss of death is answered like a request and says nothing new the thousandth time: a core sends so many a
// second.
void Worker::limit_kisses(std::uint64_t now_tsc) noexcept {
  for (std::uint32_t row = 0; row < batch_.count; ++row) {
    nts::Verdict& verdict = batch_.request[row].verdict;
    if (nts::is_kiss(verdict) && !admission_.may_kiss(now_tsc)) [[unlikely]]
      verdict = nts::Verdict::drop_kiss_limited;
  }
}

// A frame that is no request of ours: the kernel's where it has a share, else counted and done with.
void Worker::set_aside(const Queue& queue, rte_mbuf* mbuf, shm::FrameVerdict why) noexcept {
  if (queue.has_twin() && shm::is_kernels(why)) {
    keep_for_kernel(mbuf);
  } else {
    counters_.count(why);
    refuse(mbuf);
  }
}

// With a `gateway` all answers go to it, whoever sent the request.
void Worker::wrap_all(const Queue& queue, MacAddress gateway) noexcept {
  std::uint16_t answers = 0;  // in a register: a counter in memory would wait for itself
  std::uint64_t octets = 0;
  const std::uint32_t count = batch_.count;
  const bool in_software = queue.sent_checksum() == SentChecksum::software;
  for (std::uint32_t row = 0; row < count; ++row) {
    rte_mbuf* mbuf = request_mbuf_[row];
    const std::uint16_t answer_bytes = batch_.answer_bytes[row];
    if (answer_bytes == 0) {
      const nts::Verdict verdict = batch_.request[row].verdict;
      // Not mode 3: an answer to the host's own client, say. Untouched so far, and the kernel knows whose.
      if (verdict == nts::Verdict::drop_mode && queue.has_twin()) {
        keep_for_kernel(mbuf);
      } else {
        counters_.count(verdict);
        refuse(mbuf);
      }
      continue;
    }
    auto* frame = rte_pktmbuf_mtod(mbuf, std::uint8_t*);
    const std::uint16_t frame_bytes = in_software && is_usual(envelope_[row])
                                          ? wrap_usual(frame, envelope_[row], answer_bytes)
                                          : wrap(frame, envelope_[row], answer_bytes, queue.sent_checksum());
    if (!gateway.is_zero()) [[unlikely]]
      gateway.store(frame);
    queue.finish(mbuf, envelope_[row], frame_bytes);
    octets += frame_bytes;
    answer_mbuf_[answers] = mbuf;
    answer_row_[answers++] = static_cast<std::uint8_t>(row);
  }
  answer_count_ = answers;
  answer_octets_ = octets;
}

// A full transmit ring means that the promised departure cannot be kept: what does not fit is dropped and
// said to be, never tried again later with a stale stamp.
void Worker::transmit(const Queue& queue) noexcept {
  if (answer_count_ == 0) return;
  failpoint::reach("worker.answers_built");
  const std::uint16_t sent = queue.transmit(std::span(answer_mbuf_).first(answer_count_));
  counters_.sent_packets += sent;
  std::uint32_t plain = 0;  // the two that are many: a counter in memory would wait for itself
  std::uint32_t authenticated = 0;
  std::uint64_t cookies = 0;
  for (std::uint16_t i = 0; i < sent; ++i) {
    const std::uint8_t row = answer_row_[i];
    const nts::Verdict verdict = batch_.request[row].verdict;
    if (verdict == nts::Verdict::answer_plain) {
      ++plain;
    } else if (verdict == nts::Verdict::answer_nts) {
      ++authenticated;
      cookies += batch_.cookies[row];
    } else {
      counters_.count(verdict);
    }
  }
  counters_.cookies_issued += cookies;
  counters_.verdict[static_cast<std::size_t>(nts::Verdict::answer_plain)] += plain;
  counters_.verdict[static_cast<std::size_t>(nts::Verdict::answer_nts)] += authenticated;
  for (std::uint16_t i = sent; i < answer_count_; ++i) {
    answer_octets_ -= answer_mbuf_[i]->pkt_len;
    counters_.count(shm::FrameVerdict::drop_transmit_full);
    refuse(answer_mbuf_[i]);
  }
  counters_.sent_octets += answer_octets_;
}

// Within its share, and no frame that would stop the driver at it: what is left over is dropped and counted,
// as a full queue of the card would.
void Worker::give_to_kernel(const Queue& queue, KernelShare& share) noexcept {
  std::uint16_t fitting = 0;
  for (std::uint16_t i = 0; i < for_kernel_count_; ++i) {
    rte_mbuf* mbuf = for_kernel_[i];
    if (fitting < share.to_left && mbuf->pkt_len <= queue.frame_bytes_max()) {
      for_kernel_[fitting++] = mbuf;
    } else {
      counters_.count(shm::FrameVerdict::drop_kernel_full);
      refuse(mbuf);
    }
  }
  const std::uint16_t given = queue.give_to_kernel(std::span(for_kernel_).first(fitting));
  for (std::uint16_t i = 0; i < given; ++i) counters_.count(shm::FrameVerdict::pass_kernel);
  for (std::uint16_t i = given; i < fitting; ++i) {
    counters_.count(shm::FrameVerdict::drop_kernel_full);
    refuse(for_kernel_[i]);
  }
  share.to_left = static_cast<std::uint16_t>(share.to_left - fitting);
}

bool Worker::send_for_kernel(const Queue& queue, KernelShare& share) noexcept {
  if (share.from_left == 0) return false;
  queue.take_from_kernel(frames_, share.from_left);
  if (frames_.count == 0) return false;
  share.from_left = static_cast<std::uint16_t>(share.from_left - frames_.count);
  std::uint16_t fitting = 0;
  refused_count_ = 0;
  for (std::uint16_t i = 0; i < frames_.count; ++i) {
    rte_mbuf* mbuf = frames_.mbuf[i];
    if (mbuf->nb_segs == 1 && mbuf->pkt_len <= queue.frame_bytes_max()) {
      counters_.kernel_sent_octets += mbuf->pkt_len;
      frames_.mbuf[fitting++] = mbuf;
    } else {
      refuse(mbuf);
    }
  }
  const std::uint16_t sent = queue.transmit(std::span(frames_.mbuf).first(fitting));
  for (std::uint16_t i = sent; i < fitting; ++i) {
    counters_.kernel_sent_octets -= frames_.mbuf[i]->pkt_len;
    refuse(frames_.mbuf[i]);
  }
  counters_.kernel_sent_packets += sent;
  counters_.kernel_unsent_packets += refused_count_;
  Queue::release(std::span(refused_).first(refused_count_));
  return true;
}

}  // namespace dataplane
