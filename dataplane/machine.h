// What this machine must be before it may serve time.
#pragma once

#include <stdexcept>

#include "dataplane/shm/pages.h"
#include "nts/gcm_siv/gcm_siv.h"
#include "nts/siv/siv.h"

namespace dataplane {

// One sentence that says what is missing and what to do.
class MachineError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws unless the TSC ticks at one rate in every power state (CPUID 0x80000007, EDX bit 8): served time is
// this counter times a number.
void require_invariant_tsc();

// The crypto the settings ask for, after it gave the published answers on this machine. Throws when none
// does.
[[nodiscard]] const nts::siv::Kernels& require_tier(const shm::Settings& settings);
// The same for the longer keys of AEADs 16 and 17: the forced tier where there is one for such keys, else the
// best.
[[nodiscard]] const nts::siv::Kernels& require_long_key_tier(const shm::Settings& settings,
                                                             std::uint32_t key_bytes);
// The same for AEAD 30; of a forced tier, the one that needs the same CPU.
[[nodiscard]] const nts::gcm_siv::Kernels& require_gcm_siv_tier(const shm::Settings& settings);

// Keeps keys in memory out of core dumps, and other users from looking into this process.
void forbid_dumps();

}  // namespace dataplane
