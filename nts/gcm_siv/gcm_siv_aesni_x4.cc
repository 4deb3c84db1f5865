// AES-GCM-SIV for four packets side by side with AES-NI and PCLMULQDQ. No instruction of AVX.

#include "nts/gcm_siv/xmm.h"

namespace nts::gcm_siv {
namespace {

struct FourLanes : RegisterLanes<Xmm, 4> {
  using Narrower = OneLane;
  static constexpr bool has_narrower = true;
};

int cpu_can_run() {
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
         __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
}

}  // namespace

extern const Kernels gcm_siv_aesni_x4;
const Kernels gcm_siv_aesni_x4 =
    make_kernels<FourLanes>("gcm_siv_aesni_x4", "AES, PCLMULQDQ, SSSE3, SSE4.1", cpu_can_run);

}  // namespace nts::gcm_siv
