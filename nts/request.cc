#include "nts/request.h"

#include <algorithm>

#include "nts/aead.h"
#include "nts/extension.h"
#include "nts/mono_root.h"
#include "nts/wire.h"

namespace nts {
namespace {

// What is left behind the header or the last field, when it cannot be one more field.
Verdict verdict_of_tail(std::uint32_t bytes) noexcept {
  // A crypto-NAK, or key id and MAC of MD5/AES-CMAC, or of SHA-1 (RFC 7822 section 3).
  return bytes == 4 || bytes == 20 || bytes == 24 ? Verdict::drop_mac : Verdict::drop_trailing;
}

// RFC 8915 section 5.6: nonce length, ciphertext length, nonce, ciphertext, each padded to 4, then padding
// enough that a server may answer with a nonce of 16 octets, or the longest that the AEAD takes. Which AEAD
// it is the cookie's length says: the cookie stands in front (section 5.7).
bool read_authenticator(const std::uint8_t* packet, const Field& field, Request& request) noexcept {
  const std::uint32_t nonce_bytes = load_u16(packet + field.body_offset());
  const std::uint32_t sealed_bytes = load_u16(packet + field.body_offset() + 2);
  if (nonce_bytes == 0 || sealed_bytes < 16) return false;  // no nonce, or no room for a tag
  const AeadRow aead = aead_of_cookie(request.cookie_bytes);
  const std::uint32_t nonce_needed = aead_at(aead == AeadRow::none ? AeadRow::siv_256 : aead).nonce_needed;
  const std::uint32_t nonce_room = std::max(padded_to_4(nonce_bytes), nonce_needed);
  const std::uint32_t needed = authenticator_lengths_bytes + nonce_room + padded_to_4(sealed_bytes);
  if (needed > field.body_bytes()) return false;
  request.authenticator_offset = static_cast<std::uint16_t>(field.offset);
  request.nonce_offset = static_cast<std::uint16_t>(field.body_offset() + authenticator_lengths_bytes);
  request.nonce_bytes = static_cast<std::uint16_t>(nonce_bytes);
  request.sealed_offset = static_cast<std::uint16_t>(request.nonce_offset + padded_to_4(nonce_bytes));
  request.sealed_bytes = static_cast<std::uint16_t>(sealed_bytes);
  return true;
}

// Asked once or twice, it is answered once.
void ask_mono_root(Request& request) noexcept {
  if (request.asks_mono_root) return;
  request.asks_mono_root = true;
  request.answer_clear_bytes = static_cast<std::uint16_t>(request.answer_clear_bytes + mono_root_field_bytes);
}

// What the walk over the fields has met so far.
struct Met {
  std::uint32_t unique_identifiers = 0;
  std::uint32_t unique_identifier_body = 0;
  std::uint32_t cookies = 0;
  std::uint32_t placeholders = 0;
  std::uint32_t placeholder_body = 0;  // of the first
  bool placeholders_differ = false;
};

// Judges a walk that ended well. Shape only: nothing is opened yet.
Verdict judge(const Met& met, bool has_authenticator, Request& request) noexcept {
  request.answer_clear_bytes =
      static_cast<std::uint16_t>(request.answer_clear_bytes + request.unique_identifier_bytes);
  const bool is_nts = met.cookies != 0 || met.placeholders != 0 || has_authenticator;
  if (!is_nts) {
    return met.unique_identifiers > 1 ? Verdict::drop_unique_identifier : Verdict::answer_plain;
  }
  if (met.unique_identifiers != 1 || met.unique_identifier_body < unique_identifier_body_min) {
    return Verdict::drop_unique_identifier;
  }
  if (met.cookies != 1) return Verdict::drop_cookie;
  if (!has_authenticator) return Verdict::drop_authenticator;
  if (met.placeholders != 0 && (met.placeholders_differ || met.placeholder_body != request.cookie_bytes)) {
    return Verdict::drop_placeholder;
  }
  request.cookies_wanted = static_cast<std::uint8_t>(std::min(1 + met.placeholders, cookies_max));
  return Verdict::answer_nts;
}

// Everything behind the header of a version 4 request.
Verdict read_fields(const std::uint8_t* packet, std::uint32_t end, Request& request) noexcept {
  Met met;
  std::uint32_t offset = header_bytes;
  for (std::uint32_t fields = 0; offset < end; ++fields) {
    if (end - offset < last_field_bytes_min) return verdict_of_tail(end - offset);
    if (fields == extension_fields_max) return Verdict::drop_extension_count;
    Field field;
    if (!read_field(packet, offset, end, field_bytes_min, field)) return Verdict::drop_extension;
    switch (field.type) {
      case FieldType::unique_identifier:
        ++met.unique_identifiers;
        met.unique_identifier_body = field.body_bytes();
        request.unique_identifier_offset = static_cast<std::uint16_t>(field.offset);
        request.unique_identifier_bytes = static_cast<std::uint16_t>(field.bytes);
        break;
      case FieldType::cookie:
        ++met.cookies;
        request.cookie_offset = static_cast<std::uint16_t>(field.body_offset());
        request.cookie_bytes = static_cast<std::uint16_t>(field.body_bytes());
        break;
      case FieldType::cookie_placeholder:
        if (met.placeholders++ == 0) met.placeholder_body = field.body_bytes();
        met.placeholders_differ |= met.placeholder_body != field.body_bytes();
        break;
      case FieldType::authenticator:
        if (!read_authenticator(packet, field, request)) return Verdict::drop_authenticator;
        // RFC 8915 section 5.7: what follows is not authenticated, so it is as if it were not there.
        return judge(met, true, request);
      case FieldType::mono_root:
        if (is_mono_root(packet, field)) ask_mono_root(request);
        break;
      default:
        break;  // RFC 7822 section 3: a type nobody knows is passed over
    }
    offset += field.bytes;
  }
  return judge(met, false, request);
}

// What nearly all NTS clients send: header, a Unique Identifier of 32 octets, a cookie of ours, and an
// authenticator with a nonce as long as our answer's and nothing encrypted; one such shape for each AEAD.
// Told by its length and four words; what read_fields would find is then known.
constexpr std::uint8_t common_first_octet_mask = 0x3f;  // version and mode; any leap indicator
constexpr std::uint8_t common_first_octet = 4 << 3 | mode_client;
struct CommonWord {
  std::uint32_t offset, value;  // a field's type and length, or the two lengths in an authenticator
};
struct CommonShape {
  std::uint32_t bytes;
  CommonWord words[4];
  Request request;
};

constexpr CommonShape common_shape_of(const Aead& aead) {
  constexpr std::uint32_t identifier = header_bytes;
  constexpr std::uint32_t identifier_bytes = field_header_bytes + unique_identifier_body_min;
  constexpr std::uint32_t cookie = identifier + identifier_bytes;
  const std::uint32_t authenticator = cookie + aead.cookie_field_bytes();
  const std::uint32_t lengths = authenticator + field_header_bytes;
  const std::uint32_t nonce = lengths + authenticator_lengths_bytes;
  const std::uint32_t sealed = nonce + aead.nonce_bytes;
  const std::uint32_t end = sealed + aead_tag_bytes;
  const auto field = [](FieldType type, std::uint32_t bytes) {
    return static_cast<std::uint32_t>(type) << 16 | bytes;
  };
  const auto place = [](std::uint32_t offset) { return static_cast<std::uint16_t>(offset); };
  return {.bytes = end,
          .words = {{identifier, field(FieldType::unique_identifier, identifier_bytes)},
                    {cookie, field(FieldType::cookie, aead.cookie_field_bytes())},
                    {authenticator, field(FieldType::authenticator, end - authenticator)},
                    {lengths, aead.nonce_bytes << 16 | aead_tag_bytes}},
          .request = {.verdict = Verdict::answer_nts,
                      .version = 4,
                      .cookies_wanted = 1,
                      .answer_clear_bytes = identifier_bytes,
                      .unique_identifier_offset = identifier,
                      .unique_identifier_bytes = identifier_bytes,
                      .cookie_offset = cookie + field_header_bytes,
                      .cookie_bytes = place(aead.cookie_bytes()),
                      .authenticator_offset = place(authenticator),
                      .nonce_offset = place(nonce),
                      .nonce_bytes = place(aead.nonce_bytes),
                      .sealed_offset = place(sealed),
                      .sealed_bytes = aead_tag_bytes}};
}

template <AeadRow row>
[[gnu::always_inline]] inline bool is_common(std::span<const std::uint8_t> packet,
                                             Request& request) noexcept {
  static constexpr CommonShape shape = common_shape_of(aead_at(row));
  if (packet.size() != shape.bytes) return false;
  std::uint32_t differs = (packet[0] ^ common_first_octet) & common_first_octet_mask;
  for (const CommonWord& word : shape.words) differs |= load_u32(packet.data() + word.offset) ^ word.value;
  if (differs != 0) return false;
  request = shape.request;
  return true;
}

}  // namespace

Request read_request(std::span<const std::uint8_t> packet) noexcept {
  Request request;  // the one object that every path returns, so that it is written where the caller wants it
  if (is_common<AeadRow::siv_256>(packet, request) || is_common<AeadRow::gcm_siv_128>(packet, request)) {
    return request;
  }
  if (packet.size() < header_bytes || packet.size() > 0xffff) return request;  // drop_short
  const std::uint8_t first = packet[header::leap_version_mode];
  request.version = static_cast<std::uint8_t>(first >> 3 & 7);
  if (request.version != 3 && request.version != 4) {
    request.verdict = Verdict::drop_version;
  } else if ((first & 7) != mode_client) {
    request.verdict = Verdict::drop_mode;
  } else if (packet.size() == header_bytes) {
    request.verdict = Verdict::answer_plain;
  } else if (request.version ==
             3) {  // extension fields and NTS are version 4's; here only a MAC could follow
    request.verdict = verdict_of_tail(static_cast<std::uint32_t>(packet.size()) - header_bytes);
  } else {
    request.verdict = read_fields(packet.data(), static_cast<std::uint32_t>(packet.size()), request);
  }
  return request;
}

void read_encrypted_fields(std::span<const std::uint8_t> plaintext, Request& request) noexcept {
  const auto end = static_cast<std::uint32_t>(plaintext.size());
  std::uint32_t wanted = request.cookies_wanted;
  std::uint32_t offset = 0;
  for (std::uint32_t fields = 0; offset < end; ++fields) {
    Field field;
    if (fields == extension_fields_max ||
        !read_field(plaintext.data(), offset, end, field_header_bytes, field)) {
      request.verdict = Verdict::drop_encrypted;
      return;
    }
    if (field.type == FieldType::cookie_placeholder) {
      if (field.body_bytes() != request.cookie_bytes) {
        request.verdict = Verdict::drop_placeholder;
        return;
      }
      ++wanted;
    }
    if (is_mono_root(plaintext.data(), field)) ask_mono_root(request);
    offset += field.bytes;
  }
  request.cookies_wanted = static_cast<std::uint8_t>(std::min(wanted, cookies_max));
}

}  // namespace nts
