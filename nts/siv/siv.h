// AES-SIV for many messages at once: the crypto interface of the packet core.
//
// Callers get a tier from choose_tier() once, at start, and hand it arrays of jobs. Which CPU instructions
// run is nobody's business but the tier's. Rules: RFC 5297; why lanes across packets: README.md beside this.
#pragma once

#include <span>
#include <string_view>

#include "nts/siv/kernel.h"

namespace nts::siv {

inline constexpr uint32_t tag_bytes = 16;
inline constexpr uint32_t key_bytes_256 = 32;         // AEAD_AES_SIV_CMAC_256
inline constexpr uint32_t key_bytes_384 = 48;         // AEAD_AES_SIV_CMAC_384
inline constexpr uint32_t key_bytes_512 = 64;         // AEAD_AES_SIV_CMAC_512
inline constexpr uint32_t key_bytes = key_bytes_256;  // where nothing else is said

// Every tier in this binary for keys of that length, best first; the last one runs on any CPU. None for a
// length that no AES-SIV has.
[[nodiscard]] std::span<const Kernels* const> all_tiers(uint32_t bytes_of_key = key_bytes_256) noexcept;

// True when the tier gives the known answers on this machine: RFC 5297 A.1 and the three shapes of NTS (a
// request's empty plaintext, a cookie, an answer), and refuses a zero tag, at every fill of its lanes, with
// one shape in all of them and with unlike ones side by side.
[[nodiscard]] bool gives_known_answers(const Kernels& tier) noexcept;

// The best tier that this CPU runs and that gives the known answers; with `forced` (a tier's name) that tier
// or nullptr. nullptr means: do not serve. The caller says so and stops.
[[nodiscard]] const Kernels* choose_tier(std::string_view forced = {},
                                         uint32_t bytes_of_key = key_bytes_256) noexcept;

// The same among `candidates`, best first: how a test shows that a broken tier is passed over.
[[nodiscard]] const Kernels* choose_tier_of(std::span<const Kernels* const> candidates,
                                            std::string_view forced = {}) noexcept;

}  // namespace nts::siv
