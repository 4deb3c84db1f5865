// Building the response in place of the request (RFC 5905 section 7.3, RFC 8915 section 5.7).
//
// Everything but the transmit stamp and the seal is written here; the order of the whole is in server.h.
// Layout of an authenticated answer: header 48 | Unique Identifier | mono_root.h's field, for who asks |
// authenticator {lengths 4, nonce 16, tag 16, encrypted cookie fields}; under AEAD 30 the nonce has 12 octets
// and the tag comes last. Nothing else of the request survives, and no octet is left unwritten.
#pragma once

#include <algorithm>
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
  std::uint32_t nonce_bytes = 0;
  std::uint32_t sealed_offset = 0;     // tag and encrypted fields, to the end of the answer
  std::uint32_t plaintext_offset = 0;  // the encrypted fields: cookie fields of cookie_field_bytes each
  std::uint32_t cookie_field_bytes = 0;
};

// The plan under one AEAD, whose numbers are then constants: as a table's they cost some cycles a packet.
template <AeadRow row>
[[nodiscard, gnu::always_inline]] inline NtsAnswer plan_nts_answer_under(
    const Request& request, std::uint32_t packet_bytes) noexcept {
  constexpr const Aead& aead = aead_at(row);
  constexpr std::uint32_t field_bytes = aead.cookie_field_bytes();
  NtsAnswer answer;
  answer.authenticator_offset = header_bytes + request.answer_clear_bytes;
  answer.nonce_offset = answer.authenticator_offset + field_header_bytes + authenticator_lengths_bytes;
  answer.nonce_bytes = aead.nonce_bytes;
  answer.sealed_offset = answer.nonce_offset + aead.nonce_bytes;
  answer.plaintext_offset = answer.sealed_offset + (aead.is_tag_first ? aead_tag_bytes : 0);
  answer.cookie_field_bytes = field_bytes;
  const std::uint32_t fixed = answer.sealed_offset + aead_tag_bytes;
  if (packet_bytes < fixed + field_bytes) return answer;
  const std::uint32_t room = packet_bytes - fixed - field_bytes;
  // Nearly all want one; the division is for those who want more.
  answer.cookies = request.cookies_wanted == 1
                       ? 1
                       : std::min<std::uint32_t>(request.cookies_wanted, 1 + room / field_bytes);
  answer.bytes = fixed + answer.cookies * field_bytes;
  return answer;
}

// Plans the answer to `request`, whose cookie has the length of one of our AEADs; never longer than the
// `packet_bytes` it had.
[[nodiscard]] inline NtsAnswer plan_nts_answer(const Request& request, std::uint32_t packet_bytes) noexcept {
  switch (aead_of_cookie(request.cookie_bytes)) {
    case AeadRow::siv_256:
      return plan_nts_answer_under<AeadRow::siv_256>(request, packet_bytes);
    case AeadRow::gcm_siv_128:
      return plan_nts_answer_under<AeadRow::gcm_siv_128>(request, packet_bytes);
    case AeadRow::siv_384:
      return plan_nts_answer_under<AeadRow::siv_384>(request, packet_bytes);
    case AeadRow::siv_512:
      return plan_nts_answer_under<AeadRow::siv_512>(request, packet_bytes);
    case AeadRow::none:
      break;
  }
  return {};
}

// Writes all of the header but the transmit stamp over the request's. Ensures reference <= receive (P41).
void write_header(std::uint8_t* packet, std::uint8_t version, NtpTime received,
                  const ClockReading& clock) noexcept;

// The same for a kiss of death: leap 3, stratum 0, the code as reference id, no clock (RFC 5905 section 7.4;
// NTSN by RFC 8915 section 5.7).
void write_kiss_header(std::uint8_t* packet, std::uint8_t version, NtpTime received,
                       std::uint32_t code) noexcept;

// Moves the Unique Identifier field to its place behind the header.
void place_unique_identifier(std::uint8_t* packet, const Request& request) noexcept;

// Writes the authenticator's headers and those of the cookie fields; nonce, tag and cookies are the caller's.
[[gnu::always_inline]] inline void write_authenticator_frame(std::uint8_t* packet,
                                                             const NtsAnswer& answer) noexcept {
  // Type and length of the field, then the two lengths inside, in one store.
  const std::uint64_t field_bytes = answer.bytes - answer.authenticator_offset;
  const std::uint64_t sealed_bytes = answer.bytes - answer.sealed_offset;
  store_u64(packet + answer.authenticator_offset, static_cast<std::uint64_t>(FieldType::authenticator) << 48 |
                                                      field_bytes << 32 |
                                                      std::uint64_t{answer.nonce_bytes} << 16 | sealed_bytes);
  for (std::uint32_t i = 0; i < answer.cookies; ++i) {
    store_u32(packet + answer.plaintext_offset + i * answer.cookie_field_bytes,
              static_cast<std::uint32_t>(FieldType::cookie) << 16 | answer.cookie_field_bytes);
  }
}

}  // namespace nts
