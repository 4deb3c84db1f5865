// The load for the ports_* figures: one client that keeps a window of requests under way and counts what
// comes back, so that it can neither flood nor hide a loss.
//
//   ports-load DEVICE SERVER_MAC CLIENT_MAC SERVER_IPV4 CLIENT_IPV4 WINDOW MILLISECONDS
//
// First it asks once a millisecond until somebody answers, and prints the moment of the first answer
// (first_answer_us, since 1970); then it loads for MILLISECONDS and prints answered, lost, elapsed_ns and
// cpu_ns (what it had of its CPU: it never sleeps, so less than the time says that others took the rest).
// Exits 1 when nobody answers within 15 s. It speaks to the device itself (packet(7)), because a UDP socket
// on this side would take longer than the server that is measured. CLIENT_MAC is not the device's own: the
// kernel of this side sees the answers as somebody else's, drops them at once and sends no ICMP.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <immintrin.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include "tests/support/frame_builder.h"
#include "tests/support/packet_builder.h"

namespace {

using Clock = std::chrono::steady_clock;
using tests::Octets;

constexpr std::chrono::seconds first_answer_max{15};
constexpr std::chrono::milliseconds patience{
    100};  // a server that lost its CPU for a while is slow, not deaf
constexpr std::size_t batch_max = 32;
constexpr std::size_t ring_frame_bytes = 256;  // the ring's own header, and a frame of 90 octets
constexpr std::size_t ring_block_bytes = 64 << 10;
constexpr std::size_t ring_blocks = 16;
constexpr std::size_t ring_frames = ring_blocks * ring_block_bytes / ring_frame_bytes;
constexpr std::size_t udp_offset = 14 + 20;
constexpr std::size_t checksum_offset = udp_offset + 6;
constexpr std::size_t ntp_offset = udp_offset + 8;
constexpr std::size_t origin_offset = ntp_offset + 24;    // RFC 5905 figure 8
constexpr std::size_t transmit_offset = ntp_offset + 40;  // what comes back as origin
constexpr std::size_t frame_bytes = ntp_offset + 48;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

template <typename Value>
void set_option(int socket_fd, int name, const Value& value) {
  if (setsockopt(socket_fd, SOL_PACKET, name, &value, sizeof value) != 0)
    fail("the kernel refuses a packet socket");
}

tests::Mac mac_of(const char* text) {
  tests::Mac mac{};
  unsigned part[6];
  if (std::sscanf(text, "%x:%x:%x:%x:%x:%x", part, part + 1, part + 2, part + 3, part + 4, part + 5) != 6) {
    throw std::runtime_error(std::string(text) + " is no MAC address");
  }
  for (std::size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<std::uint8_t>(part[i]);
  return mac;
}

tests::Ipv4 ipv4_of(const char* text) {
  tests::Ipv4 address{};
  if (inet_pton(AF_INET, text, address.data()) != 1)
    throw std::runtime_error(std::string(text) + " is no IPv4 address");
  return address;
}

class Load {
 public:
  Load(const char* device, const tests::FrameSpec& spec) : frame_(spec.build()) {
    // Nothing is received before bind(): protocol 0.
    socket_fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (socket_fd_ < 0) fail("no packet socket");
    set_option(socket_fd_, PACKET_VERSION, int{TPACKET_V2});
    set_option(socket_fd_, PACKET_IGNORE_OUTGOING, 1);
    set_option(socket_fd_, PACKET_QDISC_BYPASS, 1);
    set_option(socket_fd_, PACKET_RX_RING,
               tpacket_req{ring_block_bytes, ring_blocks, ring_frame_bytes, ring_frames});
    void* memory = mmap(nullptr, ring_blocks * ring_block_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, socket_fd_, 0);
    if (memory == MAP_FAILED) fail("no memory for a packet ring");
    ring_ = static_cast<std::uint8_t*>(memory);
    sockaddr_ll here{};
    here.sll_family = AF_PACKET;
    here.sll_protocol = htons(ETH_P_IP);
    here.sll_ifindex = static_cast<int>(if_nametoindex(device));
    if (bind(socket_fd_, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) fail(device);

    // The sum with zeros where each request has its number.
    base_sum_ = static_cast<std::uint16_t>(~word_at(frame_, checksum_offset));
    for (std::size_t i = 0; i < batch_max; ++i) {
      frames_[i] = frame_;
      parts_[i] = {frames_[i].data(), frames_[i].size()};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  // Asks every millisecond until the first answer, whatever its leap; false when there is none.
  bool wait_for_first_answer() {
    const auto deadline = Clock::now() + first_answer_max;
    while (Clock::now() < deadline) {
      send(1);
      const auto next = Clock::now() + std::chrono::milliseconds(1);
      while (Clock::now() < next) {
        if (receive() > 0) return true;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
    return false;
  }

  // Keeps `window` requests under way until `span` is over, then waits for the last ones.
  void run(std::uint64_t window, Clock::duration span) {
    std::this_thread::sleep_for(patience);  // what was asked before is answered now or never
    while (receive() > 0) continue;
    floor_ = next_;
    const std::int64_t cpu_begin_ns = cpu_clock_ns();
    const auto begin = Clock::now();
    heard_ = begin;
    for (auto now = begin; now - begin < span; now = Clock::now()) {
      const std::uint64_t room = window - outstanding_;
      if (room >= batch_max || outstanding_ == 0)
        outstanding_ += send(std::min<std::uint64_t>(room, batch_max));
      answered_ += take_answers(now);
    }
    cpu_ns_ = cpu_clock_ns() - cpu_begin_ns;
    elapsed_ = Clock::now() - begin;
    while (outstanding_ > 0) static_cast<void>(take_answers(Clock::now()));  // only to know what is lost
  }

  void print() const {
    const auto elapsed_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed_).count();
    std::printf("answered=%llu\nlost=%llu\nelapsed_ns=%lld\ncpu_ns=%lld\n",
                static_cast<unsigned long long>(answered_), static_cast<unsigned long long>(lost_),
                static_cast<long long>(elapsed_ns), static_cast<long long>(cpu_ns_));
  }

 private:
  static std::int64_t cpu_clock_ns() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
  }

  // How many answers have come; after `patience` without one, all that is under way is given up as lost.
  std::uint64_t take_answers(Clock::time_point now) {
    const std::uint64_t came = receive();
    outstanding_ -= came;
    if (came > 0) {
      heard_ = now;
    } else if (now - heard_ > patience) {
      lost_ += outstanding_;
      outstanding_ = 0;
      floor_ = next_;
      heard_ = now;
    } else {
      _mm_pause();
    }
    return came;
  }

  static std::uint16_t word_at(const Octets& octets, std::size_t offset) {
    return static_cast<std::uint16_t>(octets[offset] << 8 | octets[offset + 1]);
  }

  // Writes a number that comes back as the origin timestamp, and the checksum with it. `frame` was built with
  // zeros there.
  void number(Octets& frame, std::uint64_t value) const {
    std::uint32_t sum = base_sum_;
    for (std::size_t i = 0; i < 8; ++i) {
      frame[transmit_offset + i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
    }
    for (std::size_t i = 0; i < 8; i += 2) sum += word_at(frame, transmit_offset + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    auto checksum = static_cast<std::uint16_t>(~sum);
    if (checksum == 0) checksum = 0xffff;  // RFC 768: zero would say "none"
    frame[checksum_offset] = static_cast<std::uint8_t>(checksum >> 8);
    frame[checksum_offset + 1] = static_cast<std::uint8_t>(checksum);
  }

  std::uint64_t send(std::uint64_t count) {
    for (std::size_t i = 0; i < count; ++i) number(frames_[i], next_ + i);
    const int sent = sendmmsg(socket_fd_, messages_.data(), static_cast<unsigned>(count), 0);
    if (sent <= 0) return 0;
    next_ += static_cast<std::uint64_t>(sent);
    return static_cast<std::uint64_t>(sent);
  }

  // How many answers to requests of this run have come since the last call. A duplicate would be counted as
  // an answer; neither server makes any.
  std::uint64_t receive() {
    std::uint64_t count = 0;
    for (;;) {
      auto* header = reinterpret_cast<tpacket2_hdr*>(ring_ + slot_ * ring_frame_bytes);
      std::atomic_ref<std::uint32_t> status(header->tp_status);
      if ((status.load(std::memory_order_acquire) & TP_STATUS_USER) == 0) return count;
      const std::uint8_t* frame = reinterpret_cast<const std::uint8_t*>(header) + header->tp_mac;
      if (header->tp_snaplen == frame_bytes && is_answer(frame)) ++count;
      status.store(TP_STATUS_KERNEL, std::memory_order_release);
      slot_ = (slot_ + 1) % ring_frames;
    }
  }

  // To a request of this run: mode 4, from the server's port to ours, and the number it brings back is out.
  bool is_answer(const std::uint8_t* frame) const {
    if (std::memcmp(frame, frame_.data() + 6, 6) != 0) return false;
    if (std::memcmp(frame + udp_offset, frame_.data() + udp_offset + 2, 2) != 0) return false;
    if ((frame[ntp_offset] & 7) != 4) return false;
    std::uint64_t origin = 0;
    for (std::size_t i = 0; i < 8; ++i) origin = origin << 8 | frame[origin_offset + i];
    return origin >= floor_ && origin < next_;
  }

  Octets frame_;
  std::uint32_t base_sum_ = 0;
  int socket_fd_ = -1;
  std::uint8_t* ring_ = nullptr;
  std::size_t slot_ = 0;
  std::array<Octets, batch_max> frames_;
  std::array<iovec, batch_max> parts_{};
  std::array<mmsghdr, batch_max> messages_{};
  std::uint64_t next_ = 1;   // the number of the next request; zero is no transmit timestamp
  std::uint64_t floor_ = 1;  // those below are given up
  std::uint64_t outstanding_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t lost_ = 0;
  std::int64_t cpu_ns_ = 0;
  Clock::duration elapsed_{1};
  Clock::time_point heard_;
};

}  // namespace

int main(int count, char** words) {
  if (count != 8) {
    std::fputs("usage: ports-load DEVICE SERVER_MAC CLIENT_MAC SERVER_IPV4 CLIENT_IPV4 WINDOW MILLISECONDS\n",
               stderr);
    return 2;
  }
  try {
    tests::FrameSpec spec;
    spec.to = mac_of(words[2]);
    spec.from = mac_of(words[3]);
    spec.destination = ipv4_of(words[4]);
    spec.source = ipv4_of(words[5]);
    spec.payload.assign(48, 0);
    spec.payload[0] = 4 << 3 | 3;  // version 4, a client
    Load load(words[1], spec);
    if (!load.wait_for_first_answer()) throw std::runtime_error("no answer within 15 s");
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    std::printf(
        "first_answer_us=%lld\n",
        static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count()));
    load.run(std::strtoull(words[6], nullptr, 10),
             std::chrono::milliseconds(std::strtoull(words[7], nullptr, 10)));
    load.print();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ports-load: %s\n", error.what());
    return 1;
  }
  return 0;
}
