#include "nts/cookie.h"

#include <cstring>

#include "nts/wire.h"

namespace nts {
namespace {

constexpr std::uint32_t nonce_offset = cookie_key_id_bytes;
constexpr std::uint32_t sealed_offset = cookie_key_id_bytes + cookie_nonce_bytes;

// Zero octets of associated data still need an address.
constexpr std::uint8_t nothing[1] = {};

siv::Job job_of(std::uint8_t* cookie, std::uint8_t* keys) noexcept {
  return {.associated_data = nothing,
          .nonce = cookie + nonce_offset,
          .plaintext = keys,
          .sealed = cookie + sealed_offset,
          .associated_data_bytes = 0,
          .nonce_bytes = cookie_nonce_bytes,
          .plaintext_bytes = cookie_plaintext_bytes,
          .authentic = 0};
}

}  // namespace

void make_open_job(const std::uint8_t* cookie, std::uint8_t* keys, siv::Job& job) noexcept {
  job = job_of(const_cast<std::uint8_t*>(cookie), keys);  // open only reads what is sealed
}

void make_seal_job(std::uint8_t* cookie, std::uint32_t key_id,
                   std::span<const std::uint8_t, cookie_nonce_bytes> nonce, const std::uint8_t* keys,
                   siv::Job& job) noexcept {
  store_u32(cookie, key_id);
  std::memcpy(cookie + nonce_offset, nonce.data(), cookie_nonce_bytes);
  job = job_of(cookie, const_cast<std::uint8_t*>(keys));  // seal only reads the plaintext
}

std::uint32_t cookie_key_id(const std::uint8_t* cookie) noexcept { return load_u32(cookie); }

}  // namespace nts
