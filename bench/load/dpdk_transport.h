// The load over any DPDK port: frames from many source addresses and UDP ports, over IPv4, IPv6 or both.
//
// Nobody resolves addresses here: the server's MAC address is given, and the server answers to the one that
// asked. UDP checksums are right on the way out and verified on the way in, unless the device vouches for
// them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "bench/load/route.h"
#include "bench/load/transport.h"
#include "dataplane/port/port.h"

namespace bench::load {

struct DpdkPlan {
  dataplane::MacAddress server_mac;
  dataplane::MacAddress client_mac;  // zero: the port's own
  std::vector<Route> routes;         // taken in turn; each with a client
  std::uint16_t sources = 256;       // client addresses by route
  std::uint16_t server_port = 123;
  std::uint16_t client_port = 40000;  // the first; each source has its own
};

class DpdkTransport final : public Transport {
 public:
  // Port and pool outlive this. Throws TransportError for a plan that cannot be.
  DpdkTransport(const dataplane::Port& port, const dataplane::BufferPool& buffers, const DpdkPlan& plan);
  ~DpdkTransport() override;

  [[nodiscard]] std::size_t prepare(std::span<Datagram> requests, std::uint16_t payload_bytes) override;
  [[nodiscard]] std::size_t send(std::size_t count) override;
  [[nodiscard]] std::size_t receive(std::span<Datagram> answers) override;
  void release() override;
  [[nodiscard]] std::uint64_t bad_checksums() const override { return bad_checksums_; }

 private:
  static constexpr std::size_t header_bytes_max = 14 + 40 + 8;
  // One client: all of its frame in front of the payload, for the length that was asked for last.
  struct Flow {
    std::array<std::uint8_t, header_bytes_max> header{};
    std::array<std::uint8_t, 32> answer_addresses{};  // the server's and the client's, as in an answer
    std::uint8_t ip_bytes = 20;
    std::uint64_t sum = 0;  // of pseudo-header and UDP header, checksum field zero
    [[nodiscard]] std::uint16_t header_bytes() const noexcept {
      return static_cast<std::uint16_t>(14 + ip_bytes + 8);
    }
  };
  void set_lengths(std::uint16_t payload_bytes);
  [[nodiscard]] bool read_frame(rte_mbuf* mbuf, Datagram& answer) noexcept;
  [[nodiscard]] std::optional<std::uint32_t> flow_between(const std::uint8_t* ip, bool is_ipv6,
                                                          std::size_t source) const noexcept;

  dataplane::Queue queue_;
  rte_mempool* pool_;
  DpdkPlan plan_;
  std::vector<Flow> flows_;
  std::size_t next_flow_ = 0;
  std::uint16_t payload_bytes_ = 0;
  std::size_t prepared_ = 0;
  std::array<rte_mbuf*, burst_max> sending_{};
  std::array<const Flow*, burst_max> flow_of_{};
  dataplane::Frames received_;
  std::uint64_t bad_checksums_ = 0;
};

}  // namespace bench::load
