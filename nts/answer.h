// Building the response in place of the request (RFC 5905 section 7.3, RFC 8915 section 5).
//
// Everything but the transmit stamp and the seal is written by prepare; the order of the whole is in
// server.h.
#pragma once

#include <cstdint>

#include "nts/ntp_time.h"

namespace nts {

// What the header says of the clock, read once per burst so that all its answers agree (TESTS.md B13).
// Unsynchronised is leap 3, stratum 0 and a refid that says why.
struct ClockReading {
  std::uint8_t leap = 3;
  std::uint8_t stratum = 0;
  std::int8_t precision = -20;                 // log2 seconds
  std::uint32_t root_delay = 0;                // 16.16 s, rounded up
  std::uint32_t root_dispersion = 0xffffffff;  // 16.16 s, rounded up, at the moment of the reading
  std::uint32_t reference_id = 0x494e4954;     // "INIT", first octet in the high bits
  NtpTime reference{};  // when the clock was last corrected; never after a receive stamp
};

}  // namespace nts
