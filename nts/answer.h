// Building the response in place of the request (RFC 5905 section 7.3, RFC 8915 section 5.7).
//
// Everything but the transmit stamp and the seal is written here; the order of the whole is in server.h.
// Layout of an authenticated answer: header 48 | Unique Identifier | authenticator {lengths 4, nonce 16,
// tag 16, encrypted cookie fields}. Nothing else of the request survives, and no octet is left unwritten.
#pragma once

#include <cstdint>

#include "nts/cookie.h"
#include "nts/ntp_time.h"
#include "nts/request.h"
#include "nts/wire.h"

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
  NtpTime reference{};                         // when the clock was last corrected
};

// Where things stand in an authenticated answer.
struct NtsAnswer {
  std::uint32_t bytes = 0;                 // of the whole; 0 when not even one cookie fits
  std::uint32_t cookies = 0;               // that fit, at most what the request wanted
  std::uint32_t authenticator_offset = 0;  // all before it is associated data
  std::uint32_t nonce_offset = 0;
  std::uint32_t sealed_offset = 0;     // tag, then the encrypted fields
  std::uint32_t plaintext_offset = 0;  // the encrypted fields: cookie fields of cookie_field_bytes each
};
inline constexpr std::uint32_t cookie_field_bytes = field_header_bytes + cookie_bytes;

// Plans the answer to `request`, never longer than the `packet_bytes` it had.
[[nodiscard]] NtsAnswer plan_nts_answer(const Request& request, std::uint32_t packet_bytes) noexcept;

// Writes all of the header but the transmit stamp over the request's. Ensures reference <= receive (P41).
void write_header(std::uint8_t* packet, std::uint8_t version, NtpTime received,
                  const ClockReading& clock) noexcept;

// The same for the NTSN kiss: leap 3, stratum 0, refid NTSN, no clock (RFC 8915 section 5.7, RFC 5905 7.4).
void write_nak_header(std::uint8_t* packet, std::uint8_t version, NtpTime received) noexcept;

// Moves the Unique Identifier field to its place behind the header. Returns the octets up to its end.
std::uint32_t place_unique_identifier(std::uint8_t* packet, const Request& request) noexcept;

// Writes the authenticator's headers and those of the cookie fields; nonce, tag and cookies are the caller's.
void write_authenticator_frame(std::uint8_t* packet, const NtsAnswer& answer) noexcept;

}  // namespace nts
