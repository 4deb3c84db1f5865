// AES-SIV by nettle behind our own job interface: the second opinion that nobody here wrote, and the tier
// that tests of the packet core run on, so that a mistake in our lanes cannot hide a mistake in the core.
#pragma once

#include <cstddef>

#include "nts/siv/siv.h"

namespace tests {

// For keys of 32, 48 or 64 octets.
[[nodiscard]] const nts::siv::Kernels& nettle_kernels(std::size_t key_bytes = 32) noexcept;

}  // namespace tests
