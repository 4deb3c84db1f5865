#include "dataplane/machine.h"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "hwclock/tsc.h"

namespace dataplane {

void require_invariant_tsc() {
  if (!hwclock::has_invariant_tsc()) throw MachineError(hwclock::no_invariant_tsc);
}

const nts::siv::Kernels& require_tier(const shm::Settings& settings) {
  const std::string forced = settings.siv_tier;
  if (const nts::siv::Kernels* tier = nts::siv::choose_tier(forced)) return *tier;
  if (forced.empty()) {
    throw MachineError(
        "no AES-SIV implementation gives the published answers on this machine; this binary or "
        "this CPU is broken, do not serve with it");
  }
  throw MachineError(
      "the AES-SIV tier \"" + forced +
      "\" is not in this binary, or this CPU cannot run it; leave dataplane.siv_tier empty for "
      "the best one");
}

const nts::siv::Kernels& require_long_key_tier(const shm::Settings& settings, std::uint32_t key_bytes) {
  const std::span<const nts::siv::Kernels* const> tiers = nts::siv::all_tiers(key_bytes);
  const std::string_view forced = settings.siv_tier;
  const bool is_there =
      std::any_of(tiers.begin(), tiers.end(), [&](const auto* tier) { return forced == tier->name; });
  const auto* const tier = nts::siv::choose_tier(is_there ? forced : std::string_view{}, key_bytes);
  if (tier != nullptr) return *tier;
  throw MachineError(
      "no AES-SIV implementation" + (is_there ? " \"" + std::string(forced) + "\"" : std::string{}) +
      " for keys of " + std::to_string(8 * key_bytes) +
      " bits gives the published answers on this machine; leave dataplane.siv_tier empty for the "
      "best one, and if it is, this binary or this CPU is broken");
}

const nts::gcm_siv::Kernels& require_gcm_siv_tier(const shm::Settings& settings) {
  const std::string forced = settings.siv_tier;
  const std::string name = forced.empty() ? forced : "gcm_siv_" + forced;
  if (const nts::gcm_siv::Kernels* tier = nts::gcm_siv::choose_tier(name)) return *tier;
  throw MachineError(
      "no AES-GCM-SIV implementation" + (forced.empty() ? forced : " like \"" + forced + "\"") +
      " gives the published answers on this machine; leave dataplane.siv_tier empty for the best "
      "one, and if it is, this binary or this CPU is broken");
}

void forbid_dumps() {
  const rlimit none{0, 0};
  if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
    throw MachineError(
        "core dumps cannot be forbidden, and one would hold keys; see what sandbox this runs in");
  }
}

}  // namespace dataplane
