// AES-SIV for four packets side by side with AES-NI: one 128-bit register a packet. The AES unit is pipelined
// about four deep, so four independent chains keep it busy where one would wait.

#include "nts/siv/expansion.h"
#include "nts/siv/xmm.h"

namespace nts::siv {
namespace {

struct AesniLane : RegisterLanes<Xmm, 1> {
  using Narrower = void;
};
struct AesniLanes : RegisterLanes<Xmm, 4> {
  using Narrower = AesniLane;
};

int cpu_can_run() {
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

}  // namespace

extern const Kernels aesni_x4;
const Kernels aesni_x4 = make_kernels<AesniLanes>("aesni_x4", "AES, SSSE3, SSE4.1", cpu_can_run);

}  // namespace nts::siv
