// The crypto of NTS requests by tier and number of requests in the burst, nettle beside them: cycles per
// request. A tier of four lanes is at its best when the burst fills them.
#include <benchmark/benchmark.h>
#include <string>

#include "bench/measure.h"
#include "bench/nts/siv_work.h"
#include "tests/support/nettle_kernels.h"

namespace {

void work(benchmark::State& state, const nts::siv::Kernels* tier) {
  const auto requests = static_cast<std::uint32_t>(state.range(0));
  bench::SivWork work(*tier, requests);
  bench::Stopwatch watch;
  std::vector<double> cycles;
  for (auto _ : state) {
    watch.start();
    work.run();
    cycles.push_back(watch.stop() / requests);
  }
  if (!work.was_right()) state.SkipWithError("the answers are wrong");
  state.counters["cycles_per_request"] = bench::median_of(cycles);
  state.SetItemsProcessed(static_cast<std::int64_t>(cycles.size() * requests));
}

void add(const nts::siv::Kernels* tier) {
  auto* entry = benchmark::RegisterBenchmark((std::string("siv/") + tier->name).c_str(), work, tier);
  for (const int requests : {1, 2, 3, 4, 5, 8, 16, 31, 32}) entry->Arg(requests);
}

}  // namespace

int main(int count, char** words) {
  benchmark::Initialize(&count, words);
  for (const nts::siv::Kernels* tier : nts::siv::all_tiers()) {
    if (tier->cpu_can_run() != 0) add(tier);
  }
  add(&tests::nettle_kernels());
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
