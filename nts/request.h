// Reading one client request: a single pass over the octets, no copy, no allocation.
//
// Rules: RFC 5905 section 7.3, RFC 7822, RFC 8915 section 5. A Request holds offsets into the packet, never
// pointers, so it stays true while the buffer does and a test may move the buffer.
#pragma once

#include <cstdint>
#include <span>

#include "nts/verdict.h"

namespace nts {

inline constexpr std::uint32_t extension_fields_max = 32;  // eight cookies' worth of NTS needs ten
inline constexpr std::uint32_t cookies_max = 8;  // RFC 8915 section 5.7: one, and seven placeholders

struct Request {
  Verdict verdict = Verdict::drop_short;
  std::uint8_t version = 0;
  std::uint8_t cookies_wanted = 0;       // the one sent plus its valid placeholders, at most cookies_max
  bool asks_mono_root = false;           // mono_root.h
  std::uint16_t answer_clear_bytes = 0;  // of the fields that an answer carries in the clear
  std::uint16_t unique_identifier_offset = 0;  // of the field, header included; 0 = none
  std::uint16_t unique_identifier_bytes = 0;   // of the whole field
  std::uint16_t cookie_offset = 0;             // of the cookie itself
  std::uint16_t cookie_bytes = 0;
  std::uint16_t authenticator_offset = 0;  // of the field: all before it is associated data
  std::uint16_t nonce_offset = 0;
  std::uint16_t nonce_bytes = 0;
  std::uint16_t sealed_offset = 0;  // tag | ciphertext of the encrypted fields
  std::uint16_t sealed_bytes = 0;
};

// Reads the request in `packet`, the UDP payload.
// Ensures: on answer_nts, each offset plus its length lies inside `packet`, and answer_nts means "well
// formed": cookie and tag are not yet verified. On answer_plain, only version, the unique identifier and what
// else the answer carries in the clear are set.
[[nodiscard]] Request read_request(std::span<const std::uint8_t> packet) noexcept;

// Reads the decrypted fields of an authentic request: counts placeholders among them into `request`, and
// finds a question for mono_root.h (the answer's stands in the clear, where chrony looks for it).
// Sets drop_encrypted or drop_placeholder when they are malformed (RFC 8915 section 5.6: they may be shorter
// than 16 octets here, but are multiples of 4).
void read_encrypted_fields(std::span<const std::uint8_t> plaintext, Request& request) noexcept;

}  // namespace nts
