// A server's addresses, and what the frame layer says of a frame sent to them.
#pragma once

#include <array>
#include <gtest/gtest.h>

#include "dataplane/frame.h"
#include "tests/support/frame_builder.h"

namespace tests {

inline constexpr Ipv6 server_link_local = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

inline dataplane::Local serving() {
  const std::array<shm::Address, 3> addresses = {address_of(server_ipv4, 24), address_of(server_ipv6, 64),
                                                 address_of(server_link_local, 64)};
  dataplane::Local local;
  local.addresses.assign(addresses);
  local.ntp_port = 123;
  return local;
}

// A copy of exactly the frame's size on the heap, so that AddressSanitizer sees any read beyond it.
inline dataplane::Envelope unwrap(
    const Octets& frame, dataplane::ReceivedChecksum checksum = dataplane::ReceivedChecksum::unknown) {
  static const dataplane::Local local = serving();
  const Octets exact(frame.begin(), frame.end());
  dataplane::Envelope envelope;
  dataplane::unwrap(exact, local, dataplane::MacAddress(server_mac), checksum, envelope);
  return envelope;
}

inline dataplane::Envelope unwrap(
    const FrameSpec& spec, dataplane::ReceivedChecksum checksum = dataplane::ReceivedChecksum::unknown) {
  return unwrap(spec.build(), checksum);
}

inline ::testing::AssertionResult Refused(const dataplane::Envelope& envelope, shm::FrameVerdict expected) {
  if (envelope.is_request) return ::testing::AssertionFailure() << "was taken as a request";
  if (envelope.verdict == expected) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "is " << shm::frame_verdict_names[static_cast<std::size_t>(envelope.verdict)];
}

inline FrameSpec spec_of(bool is_ipv6) {
  FrameSpec spec;
  spec.is_ipv6 = is_ipv6;
  return spec;
}

}  // namespace tests
