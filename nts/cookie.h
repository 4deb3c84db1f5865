// Cookies: key id (4, network order) | nonce (16) | AES-SIV(C2S | S2C) under a key of the ring.
//
// Nobody but the keeper and the dataplane can make or open one. The ring's keys are AES-SIV whatever AEAD the
// session is under; the two keys inside are as long as that AEAD's, so that a cookie of AEAD 15 has 100
// octets, one of 16 has 132, of 17 164 and of 30 68, for ever: clients reject a change of length. The key id
// is the only octets two cookies have in common (RFC 8915 section 6). The associated data of the inner SIV is
// empty.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "nts/aead.h"
#include "nts/key_ring.h"
#include "nts/siv/siv.h"
#include "nts/wire.h"

namespace nts {

inline constexpr std::uint16_t aead_aes_siv_cmac_256 = 15;  // IANA AEAD registry, RFC 8915 mandatory

inline constexpr std::uint32_t cookie_key_id_bytes = 4;
inline constexpr std::uint32_t cookie_nonce_bytes = 16;
inline constexpr std::uint32_t session_key_bytes = 32;  // of C2S and of S2C under AEAD 15
inline constexpr std::uint32_t cookie_plaintext_bytes = 2 * session_key_bytes;  // C2S | S2C
inline constexpr std::uint32_t cookie_bytes =
    cookie_key_id_bytes + cookie_nonce_bytes + siv::tag_bytes + cookie_plaintext_bytes;
static_assert(cookie_bytes == 100 && cookie_bytes == aead_at(AeadRow::siv_256).cookie_bytes());

// The job of the cookie at `cookie` and the `keys` in it (`keys_bytes`: C2S | S2C).
[[nodiscard]] inline siv::Job cookie_job(std::uint8_t* cookie, std::uint8_t* keys,
                                         std::uint32_t keys_bytes) noexcept {
  static constexpr std::uint8_t nothing[1] = {};  // zero octets of associated data still need an address
  return {.associated_data = nothing,
          .nonce = cookie + cookie_key_id_bytes,
          .plaintext = keys,
          .sealed = cookie + cookie_key_id_bytes + cookie_nonce_bytes,
          .associated_data_bytes = 0,
          .nonce_bytes = cookie_nonce_bytes,
          .plaintext_bytes = keys_bytes,
          .authentic = 0};
}

// Fills the job that opens the cookie at `cookie` into `keys` (`keys_bytes`: C2S | S2C).
inline void make_open_job(const std::uint8_t* cookie, std::uint8_t* keys, siv::Job& job,
                          std::uint32_t keys_bytes = cookie_plaintext_bytes) noexcept {
  job = cookie_job(const_cast<std::uint8_t*>(cookie), keys, keys_bytes);  // open only reads what is sealed
}

// Writes key id and nonce at `cookie` and fills the job that seals `keys` (`keys_bytes`: C2S | S2C) into it.
inline void make_seal_job(std::uint8_t* cookie, std::uint32_t key_id,
                          std::span<const std::uint8_t, cookie_nonce_bytes> nonce, const std::uint8_t* keys,
                          siv::Job& job, std::uint32_t keys_bytes = cookie_plaintext_bytes) noexcept {
  store_u32(cookie, key_id);
  std::memcpy(cookie + cookie_key_id_bytes, nonce.data(), cookie_nonce_bytes);
  job = cookie_job(cookie, const_cast<std::uint8_t*>(keys), keys_bytes);  // seal only reads the plaintext
}

[[nodiscard]] inline std::uint32_t cookie_key_id(const std::uint8_t* cookie) noexcept {
  return load_u32(cookie);
}

}  // namespace nts
