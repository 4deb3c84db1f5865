// AES-128-GCM-SIV for many messages at once (RFC 8452), the AEAD with number 30.
//
// Used as nts/siv/siv.h is: choose_tier() once, at start, then arrays of jobs.
#pragma once

#include <span>
#include <string_view>

#include "nts/gcm_siv/kernel.h"

namespace nts::gcm_siv {

// Every tier in this binary, best first; the last one runs on any CPU.
[[nodiscard]] std::span<const Kernels* const> all_tiers() noexcept;

// True when the tier gives the known answers on this machine: RFC 8452 appendices C.1 and C.3 (a counter that
// wraps) and the shapes of NTS, and refuses a zero tag, at every fill of its lanes, with one shape in all of
// them and with unlike ones side by side.
[[nodiscard]] bool gives_known_answers(const Kernels& tier) noexcept;

// The best tier that this CPU runs and that gives the known answers; with `forced` (a tier's name) that tier
// or nullptr. nullptr means: do not serve.
[[nodiscard]] const Kernels* choose_tier(std::string_view forced = {}) noexcept;

// The same among `candidates`, best first: how a test shows that a broken tier is passed over.
[[nodiscard]] const Kernels* choose_tier_of(std::span<const Kernels* const> candidates,
                                            std::string_view forced = {}) noexcept;

}  // namespace nts::gcm_siv
