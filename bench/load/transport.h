// How the load generator's datagrams reach a server and come back: one interface, so that DPDK ports and the
// kernel's sockets are driven by the same generator and judged by the same eyes.
//
// A transport owns the buffers. Requests are written in place: prepare, fill, send. Answers are read in
// place: receive, judge, release. One thread; nothing here waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

namespace bench::load {

// Most datagrams in one call. The crypto tiers take no more than 64 messages at once.
inline constexpr std::size_t burst_max = 64;

// One UDP payload in the transport's memory.
struct Datagram {
  std::uint8_t* octets = nullptr;
  std::uint16_t bytes = 0;
  std::uint32_t client = 0;  // of the transport's clients the one that asks, or that was answered
};

// A transport that cannot be made: one sentence with the reason and the way out.
class TransportError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Transport {
 public:
  Transport() = default;
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Room for `requests.size()` <= burst_max payloads of `payload_bytes` octets each, from source addresses
  // and ports that differ as far as the transport can. Sets all of each Datagram; returns for how many there
  // is room.
  [[nodiscard]] virtual std::size_t prepare(std::span<Datagram> requests, std::uint16_t payload_bytes) = 0;

  // Sends the first `count` that the last prepare gave, and takes all of them back. Returns how many were
  // handed over, in order from the first; the rest never left (the generator counts them as not sent).
  [[nodiscard]] virtual std::size_t send(std::size_t count) = 0;

  // Takes what has arrived for us, at most `answers.size()` <= burst_max; zero when there is nothing.
  [[nodiscard]] virtual std::size_t receive(std::span<Datagram> answers) = 0;

  // Gives back all that the last receive gave. To be called before the next receive.
  virtual void release() = 0;

  // Datagrams to us whose UDP checksum was wrong; those are not handed out by receive.
  [[nodiscard]] virtual std::uint64_t bad_checksums() const { return 0; }
};

}  // namespace bench::load
