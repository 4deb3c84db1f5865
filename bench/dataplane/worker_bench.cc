// The worker frame to frame, by load and burst: cycles per request.
#include <benchmark/benchmark.h>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>

#include "bench/dataplane/worker_rig.h"
#include "nts/siv/siv.h"

namespace {

std::unique_ptr<bench::WorkerRig> rig;

void serve(benchmark::State& state, bench::Load load) {
  const auto burst = static_cast<std::uint32_t>(state.range(0));
  std::vector<double> cycles;
  for (auto _ : state) rig->serve(load, burst, cycles);
  state.counters["cycles_per_request"] = bench::median_of(cycles);
  state.SetItemsProcessed(static_cast<std::int64_t>(cycles.size() * burst));
}

BENCHMARK_CAPTURE(serve, plain, bench::Load::plain)->Arg(1)->Arg(8)->Arg(32);
BENCHMARK_CAPTURE(serve, nts, bench::Load::nts)->Arg(1)->Arg(8)->Arg(32);
BENCHMARK_CAPTURE(serve, aead30, bench::Load::nts_aead30)->Arg(1)->Arg(8)->Arg(32);
// What mixed_ratio is made of, beside plain and nts.
BENCHMARK_CAPTURE(serve, long_identifier, bench::Load::nts_long_identifier)->Arg(32);
BENCHMARK_CAPTURE(serve, garbage, bench::Load::garbage)->Arg(32);
BENCHMARK_CAPTURE(serve, mixed, bench::Load::mixed)->Arg(32);

}  // namespace

int main(int count, char** words) {
  benchmark::Initialize(&count, words);
  try {
    const nts::siv::Kernels* tier = nts::siv::choose_tier();
    if (tier == nullptr) throw std::runtime_error("no AES-SIV tier gives the known answers on this machine");
    const dataplane::Eal eal(bench::eal_options());
    rig = std::make_unique<bench::WorkerRig>(*tier);
    benchmark::RunSpecifiedBenchmarks();
    rig.reset();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "worker-bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
