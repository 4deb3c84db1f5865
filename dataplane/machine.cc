#include "dataplane/machine.h"

#include <cpuid.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace dataplane {

void require_invariant_tsc() {
  constexpr unsigned power_leaf = 0x80000007;
  constexpr unsigned invariant_tsc_bit = 1U << 8;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(power_leaf, &eax, &ebx, &ecx, &edx) != 0 && (edx & invariant_tsc_bit) != 0) return;
  throw MachineError(
      "this CPU has no invariant TSC, so time cannot be served from it; in a virtual machine, let the "
      "hypervisor pass the invtsc flag");
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
