// The AEAD algorithms that a session may be under (RFC 8915 section 5.1), and what differs between them on
// the wire. Everything else of a packet is the same for all.
//
// A client's cookies have one length for ever, and the length says which AEAD the session is under: nothing
// in a cookie needs to.
#pragma once

#include <array>
#include <cstdint>

#include "nts/gcm_siv/gcm_siv.h"
#include "nts/siv/siv.h"

namespace nts {

struct Aead {
  std::uint16_t number;  // IANA AEAD registry
  const char* name;
  std::uint32_t key_bytes;     // of C2S and of S2C
  std::uint32_t nonce_bytes;   // of our answers
  std::uint32_t nonce_needed;  // RFC 8915 section 5.6: what a request must leave room for
  bool takes_any_nonce;        // false: nonce_bytes and no other length
  bool is_tag_first;           // sealed is tag | ciphertext; false: ciphertext | tag

  // Key id, nonce and tag around the two keys: nts/cookie.h.
  [[nodiscard]] constexpr std::uint32_t cookie_bytes() const noexcept { return 4 + 16 + 16 + 2 * key_bytes; }
  [[nodiscard]] constexpr std::uint32_t cookie_field_bytes() const noexcept { return 4 + cookie_bytes(); }
};

// By row; the one that every client must know comes first.
enum class AeadRow : std::uint8_t { siv_256, gcm_siv_128, siv_384, siv_512, none };
inline constexpr std::uint32_t aeads_count = static_cast<std::uint32_t>(AeadRow::none);
inline constexpr std::array<Aead, aeads_count> aeads = {{
    {15, "AEAD_AES_SIV_CMAC_256", siv::key_bytes_256, 16, 16, true, true},
    {30, "AEAD_AES_128_GCM_SIV", 16, gcm_siv::nonce_bytes, gcm_siv::nonce_bytes, false, false},
    {16, "AEAD_AES_SIV_CMAC_384", siv::key_bytes_384, 16, 16, true, true},
    {17, "AEAD_AES_SIV_CMAC_512", siv::key_bytes_512, 16, 16, true, true},
}};
inline constexpr std::uint32_t aead_key_bytes_max = 64;
inline constexpr std::uint32_t aead_tag_bytes = 16;  // of all

[[nodiscard]] constexpr const Aead& aead_at(AeadRow row) noexcept {
  return aeads[static_cast<std::uint32_t>(row)];
}

// The AEAD whose cookies have `bytes` octets.
[[nodiscard]] constexpr AeadRow aead_of_cookie(std::uint32_t bytes) noexcept {
  for (std::uint32_t row = 0; row < aeads_count; ++row) {
    if (aeads[row].cookie_bytes() == bytes) return static_cast<AeadRow>(row);
  }
  return AeadRow::none;
}

// The AEAD with this IANA number; nullptr when it is none of ours.
[[nodiscard]] constexpr const Aead* find_aead(std::uint32_t number) noexcept {
  for (const Aead& aead : aeads) {
    if (aead.number == number) return &aead;
  }
  return nullptr;
}

// Who computes them: tiers that gave the known answers on this machine. An AEAD without kernels is not
// served.
struct AeadKernels {
  const siv::Kernels* siv = nullptr;  // 15, and every cookie: never nullptr
  const gcm_siv::Kernels* gcm_siv = nullptr;
  const siv::Kernels* siv_384 = nullptr;
  const siv::Kernels* siv_512 = nullptr;

  AeadKernels(const siv::Kernels& siv_tier, const gcm_siv::Kernels* gcm_siv_tier = nullptr,
              const siv::Kernels* siv_384_tier = nullptr, const siv::Kernels* siv_512_tier = nullptr) noexcept
      : siv(&siv_tier), gcm_siv(gcm_siv_tier), siv_384(siv_384_tier), siv_512(siv_512_tier) {}

  // Of an AEAD that is AES-SIV; nullptr for the others.
  [[nodiscard]] const siv::Kernels* siv_of(AeadRow row) const noexcept {
    if (row == AeadRow::siv_256) return siv;
    if (row == AeadRow::siv_384) return siv_384;
    return row == AeadRow::siv_512 ? siv_512 : nullptr;
  }
  [[nodiscard]] bool has(AeadRow row) const noexcept {
    return row == AeadRow::gcm_siv_128 ? gcm_siv != nullptr : siv_of(row) != nullptr;
  }
  [[nodiscard]] bool has_all() const noexcept {
    return gcm_siv != nullptr && siv_384 != nullptr && siv_512 != nullptr;
  }
};

// `tier`, and beside it the best kernels of every other AEAD on this machine; an AEAD whose kernels all give
// wrong answers has none.
[[nodiscard]] inline AeadKernels all_kernels_beside(const siv::Kernels& tier) noexcept {
  return {tier, gcm_siv::choose_tier(), siv::choose_tier({}, siv::key_bytes_384),
          siv::choose_tier({}, siv::key_bytes_512)};
}

}  // namespace nts
