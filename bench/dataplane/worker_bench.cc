// The worker frame to frame, by load and burst: cycles per request, and requests per second of one core.
// Medians with fewer words: bench/headline.
#include <benchmark/benchmark.h>
#include <cstdio>
#include <exception>
#include <memory>

#include "bench/dataplane/worker_rig.h"
#include "nts/siv/siv.h"

namespace {

std::unique_ptr<bench::WorkerRig> rig;

void serve(benchmark::State& state, bench::Load load) {
  const auto burst = static_cast<std::uint32_t>(state.range(0));
  std::vector<double> cycles;
  std::size_t requests = 0;
  for (auto _ : state) {
    const std::size_t before = cycles.size();
    rig->serve(load, burst, cycles);
    requests += (cycles.size() - before) * burst;
  }
  state.counters["cycles_per_request"] = bench::median_of(cycles);
  state.SetItemsProcessed(static_cast<std::int64_t>(requests));
}

void plain(benchmark::State& state) { serve(state, bench::Load::plain); }
void nts_requests(benchmark::State& state) { serve(state, bench::Load::nts); }

BENCHMARK(plain)->Arg(1)->Arg(8)->Arg(32);
BENCHMARK(nts_requests)->Arg(1)->Arg(8)->Arg(32);

}  // namespace

int main(int count, char** words) {
  benchmark::Initialize(&count, words);
  try {
    const nts::siv::Kernels* tier = nts::siv::choose_tier();
    if (tier == nullptr) throw std::runtime_error("no AES-SIV tier gives the known answers on this machine");
    dataplane::EalOptions options;
    options.hugepages = dataplane::free_hugepage_bytes() >= std::uint64_t{64} << 20;
    const dataplane::Eal eal(options);
    rig = std::make_unique<bench::WorkerRig>(*tier);
    benchmark::RunSpecifiedBenchmarks();
    rig.reset();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "worker_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
