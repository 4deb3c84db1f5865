// What `ke` asks the keeper and what a dataplane with a ring finds in the reply.
#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include "control/messages.h"
#include "nts/cookie.h"
#include "tests/support/packet_builder.h"

namespace tests {

// For a session whose keys are made of `fill`.
[[nodiscard]] inline control::SealRequest seal_request(std::uint8_t fill, std::uint64_t request_id = 1) {
  control::SealRequest request{};
  request.header = {control::message_magic, control::MessageKind::seal_request, request_id};
  request.aead = nts::aead_aes_siv_cmac_256;
  request.key_bytes = nts::session_key_bytes;
  std::fill_n(request.c2s.begin(), nts::session_key_bytes, fill);
  std::fill_n(request.s2c.begin(), nts::session_key_bytes, static_cast<std::uint8_t>(fill ^ 0x80));
  return request;
}

// C2S | S2C as they stand in a cookie.
[[nodiscard]] inline Octets session_keys_of(const control::SealRequest& request) {
  Octets keys(nts::cookie_plaintext_bytes);
  std::copy_n(request.c2s.begin(), nts::session_key_bytes, keys.begin());
  std::copy_n(request.s2c.begin(), nts::session_key_bytes, keys.begin() + nts::session_key_bytes);
  return keys;
}

// Opens a cookie as the dataplane would, only with nettle. Nothing when `ring` does not open it.
[[nodiscard]] inline std::optional<Octets> session_keys_in(
    std::span<const std::uint8_t, control::cookie_bytes_max> cookie, const nts::KeyRing& ring) {
  const std::uint32_t id = nts::cookie_key_id(cookie.data());
  const nts::RingKey& key = ring.slot_of(id);
  const bool opens = key.state == nts::KeyState::accepting || key.state == nts::KeyState::current;
  if (key.id != id || !opens) return {};
  const auto nonce = cookie.subspan(nts::cookie_key_id_bytes, nts::cookie_nonce_bytes);
  const auto sealed =
      cookie.first(nts::cookie_bytes).subspan(nts::cookie_key_id_bytes + nts::cookie_nonce_bytes);
  Octets keys;
  if (!nettle_open(key.key, {}, nonce, sealed, keys)) return {};
  return keys;
}

}  // namespace tests
