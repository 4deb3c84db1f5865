// Choosing one of several implementations that say the same: what nts/siv and nts/gcm_siv have in common.
//
// A tier is a table of functions with a name and a `cpu_can_run`; it serves only after it gave the known
// answers on the machine that it is to run on.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nts {

// The first of `candidates`, best first, that this CPU runs and that `gives_known_answers`; with `forced` (a
// tier's name) that one or nullptr.
template <class Kernels>
[[nodiscard]] const Kernels* first_good_tier(std::span<const Kernels* const> candidates,
                                             std::string_view forced,
                                             bool (&gives_known_answers)(const Kernels&) noexcept) noexcept {
  for (const Kernels* tier : candidates) {
    if (!forced.empty() && forced != tier->name) continue;
    if (tier->cpu_can_run() != 0 && gives_known_answers(*tier)) return tier;
  }
  return nullptr;
}

inline constexpr std::uint32_t self_test_messages_max = 33;  // one more than two groups of the widest tier

// Calls `gives(first, step, count)` for every fill of the lanes from 1 to self_test_messages_max and each of
// `answers` to begin with; message i is answer (first + i * step) % answers, so that a step of 0 puts one
// shape into all lanes and a step of 1 unlike ones side by side, for which a tier has other code. True when
// all are; none is left out for another's sake.
template <class Gives>
[[nodiscard]] bool gives_at_every_fill(std::uint32_t answers, const Gives& gives) noexcept {
  bool good = true;
  for (std::uint32_t first = 0; first < answers; ++first) {
    for (std::uint32_t count = 1; count <= self_test_messages_max; ++count) {
      for (const std::uint32_t step : {0U, 1U}) good = gives(first, step, count) && good;
    }
  }
  return good;
}

}  // namespace nts
