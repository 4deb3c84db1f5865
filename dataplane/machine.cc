#include "dataplane/machine.h"

#include <string>
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

void forbid_dumps() {
  const rlimit none{0, 0};
  if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
    throw MachineError(
        "core dumps cannot be forbidden, and one would hold keys; see what sandbox this runs in");
  }
}

}  // namespace dataplane
