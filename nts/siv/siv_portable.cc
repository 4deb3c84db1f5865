// AES-SIV for four packets side by side on any CPU: the tier for machines without AES instructions, and the
// last resort.

#include "nts/siv/expansion.h"
#include "nts/siv/portable_lane.h"

namespace nts::siv {
namespace {

int cpu_can_run() { return 1; }

}  // namespace

extern const Kernels portable_x4;
const Kernels portable_x4 =
    make_kernels<PortableLane>("portable_x4", "none beyond the baseline", cpu_can_run);

}  // namespace nts::siv
