// What must hold of every frame that is taken for a request, read from the frame a second time, step by step.
#pragma once

#include <algorithm>

#include "dataplane/frame.h"
#include "tests/fuzz/target.h"
#include "tests/support/frame_builder.h"

namespace fuzz {

// Where the IP header stands behind at most one tag; 0 when there is none.
[[nodiscard]] inline std::size_t ip_offset_of(std::span<const std::uint8_t> frame) {
  const bool is_tagged = frame.size() >= 18 && frame[12] == 0x81 && frame[13] == 0x00;
  const std::size_t offset = is_tagged ? 18 : 14;
  if (frame.size() < offset) return 0;
  const int ethertype = frame[offset - 2] << 8 | frame[offset - 1];
  return ethertype == 0x0800 || ethertype == 0x86dd ? offset : 0;
}

inline void store16(std::uint8_t* octets, unsigned value) {
  octets[0] = static_cast<std::uint8_t>(value >> 8);
  octets[1] = static_cast<std::uint8_t>(value);
}

// Writes the right checksums over those of an IP header without options and a UDP datagram at `udp_offset`
// (0: straight behind the IP header).
inline void mend_checksums(Octets& frame, std::size_t udp_offset = 0) {
  const std::size_t ip = ip_offset_of(frame);
  if (ip == 0 || frame.size() < ip + 20) return;
  const bool is_ipv6 = frame[ip - 2] == 0x86;
  if (!is_ipv6) {
    store16(&frame[ip + 10], 0);
    store16(&frame[ip + 10], 0xffffU ^ tests::rfc1071_sum(std::span(frame).subspan(ip, 20)));
  }
  if (udp_offset == 0) udp_offset = ip + (is_ipv6 ? 40 : 20);
  if (frame.size() < udp_offset + 8) return;
  const std::size_t bytes = static_cast<std::size_t>(frame[udp_offset + 4] << 8 | frame[udp_offset + 5]);
  if (bytes < 8 || bytes > frame.size() - udp_offset) return;
  store16(&frame[udp_offset + 6], 0);
  const auto addresses =
      is_ipv6 ? std::span(frame).subspan(ip + 8, 32) : std::span(frame).subspan(ip + 12, 8);
  const std::uint32_t start = tests::rfc1071_sum(addresses, 17U + static_cast<std::uint32_t>(bytes));
  const unsigned sum = 0xffffU ^ tests::rfc1071_sum(std::span(frame).subspan(udp_offset, bytes), start);
  store16(&frame[udp_offset + 6], sum == 0 ? 0xffff : sum);
}

// Unwraps `frame` as a server with tests::server_* addresses would and requires that a request is a request.
[[nodiscard]] inline dataplane::Envelope unwrap_and_check(const Octets& frame,
                                                          dataplane::ReceivedChecksum received) {
  static const dataplane::Local local = [] {
    dataplane::Local made;
    const std::array served = {tests::address_of(tests::server_ipv4), tests::address_of(tests::server_ipv6)};
    made.addresses.assign(served);
    made.ntp_port = 123;
    return made;
  }();
  dataplane::Envelope envelope;
  dataplane::unwrap(frame, local, dataplane::MacAddress(tests::server_mac), received, envelope);
  require(envelope.verdict < shm::FrameVerdict::count, "every frame has a verdict");
  if (!envelope.is_request) return envelope;

  const std::size_t ip = ip_offset_of(frame);
  require(ip != 0 && ip == envelope.ip_offset, "a request stands behind at most one tag");
  const bool is_ipv6 = frame[ip - 2] == 0x86;
  const std::size_t udp = ip + (is_ipv6 ? 40 : 20);
  require(std::size_t{envelope.payload_offset} == udp + 8 && envelope.is_ipv6 == is_ipv6,
          "UDP straight behind the IP header");
  require(std::size_t{envelope.payload_offset} + envelope.payload_bytes <= frame.size(), "payload inside");
  require(frame[ip + (is_ipv6 ? 6 : 9)] == 17, "protocol UDP");
  require(std::equal(tests::server_mac.begin(), tests::server_mac.end(), frame.begin()), "to our MAC");
  require(is_ipv6 ? std::equal(tests::server_ipv6.begin(), tests::server_ipv6.end(), &frame[ip + 24])
                  : std::equal(tests::server_ipv4.begin(), tests::server_ipv4.end(), &frame[ip + 16]),
          "to our address");
  require((frame[udp + 2] << 8 | frame[udp + 3]) == 123, "to our port");
  require((frame[udp] << 8 | frame[udp + 1]) != 0, "a port to answer to");
  require(is_ipv6 || (frame[ip] == 0x45 && ((frame[ip + 6] << 8 | frame[ip + 7]) & 0x3fff) == 0),
          "no options, no fragment");
  const std::uint8_t first = frame[ip + (is_ipv6 ? 8 : 12)];
  require(is_ipv6 ? first != 0xff : first != 0 && first != 127 && first < 224, "from a single foreign host");
  return envelope;
}

}  // namespace fuzz
