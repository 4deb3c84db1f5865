// Cookies: key id (4, network order) | nonce (16) | AES-SIV(C2S | S2C) under a key of the ring.
//
// Nobody but the keeper and the dataplane can make or open one. A cookie of AEAD 15 has 100 octets for ever:
// clients reject a change of length. The key id is the only octets two cookies have in common (RFC 8915
// section 6). The associated data of the inner SIV is empty.
#pragma once

#include <cstdint>
#include <span>

#include "nts/key_ring.h"
#include "nts/siv/siv.h"

namespace nts {

inline constexpr std::uint16_t aead_aes_siv_cmac_256 = 15;  // IANA AEAD registry, RFC 8915 mandatory

inline constexpr std::uint32_t cookie_key_id_bytes = 4;
inline constexpr std::uint32_t cookie_nonce_bytes = 16;
inline constexpr std::uint32_t session_key_bytes = 32;  // of C2S and of S2C under AEAD 15
inline constexpr std::uint32_t cookie_plaintext_bytes = 2 * session_key_bytes;  // C2S | S2C
inline constexpr std::uint32_t cookie_bytes =
    cookie_key_id_bytes + cookie_nonce_bytes + siv::tag_bytes + cookie_plaintext_bytes;
static_assert(cookie_bytes == 100);

// Fills the job that opens the cookie of `cookie_bytes` octets at `cookie` into `keys` (64 octets, C2S |
// S2C).
void make_open_job(const std::uint8_t* cookie, std::uint8_t* keys, siv::Job& job) noexcept;

// Writes key id and nonce at `cookie` and fills the job that seals `keys` (64 octets) into it.
void make_seal_job(std::uint8_t* cookie, std::uint32_t key_id,
                   std::span<const std::uint8_t, cookie_nonce_bytes> nonce, const std::uint8_t* keys,
                   siv::Job& job) noexcept;

[[nodiscard]] std::uint32_t cookie_key_id(const std::uint8_t* cookie) noexcept;

}  // namespace nts
