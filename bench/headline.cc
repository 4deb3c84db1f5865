// The figures that matter, one `name=value` a line. bench/headline --help says what each means.
//
// All of them come from the same rounds, so that what slows this machine for a second slows all of them, and
// a ratio compares like with like.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <list>
#include <rte_cycles.h>
#include <sched.h>
#include <stdexcept>
#include <string>

#include "bench/dataplane/worker_rig.h"
#include "bench/nts/server_rig.h"
#include "bench/nts/siv_work.h"
#include "tests/support/nettle_kernels.h"

namespace {

constexpr const char* help = R"(usage: bench/headline

Builds what is missing and prints figures of this machine, name=value, in under 50 s (the first build takes
longer). All cycles are TSC cycles per request, medians over bursts of rounds that take turns;
the crypto alone is timed when it runs for the second time in its turn.

  tier                 the AES-SIV tier in use: the best one this CPU runs
  plain_cycles         one plain NTP request, frame to frame: DPDK ring, receive, unwrap, packet core, wrap
                       with software checksums, transmit; bursts of 32
  nts_cycles           the same for one NTS request (one cookie out, one back, 228 octets each way)
  siv_cycles           the crypto of one NTS request by `tier`, 32 at a time: open the cookie, expand C2S,
                       verify, seal a fresh cookie, expand S2C, seal the answer
  nettle_cycles        the same by nettle, as chrony uses it: one message after another
  nettle_ratio         nettle_cycles / siv_cycles
  vaes512_ratio, vaes256_ratio, aesni_ratio
                       nettle_cycles / the same by that tier; "none" where this CPU cannot run it
  plain_cycles_burst1, plain_cycles_burst8, nts_cycles_burst1, nts_cycles_burst8
                       as above, in smaller bursts
  core_plain_cycles, core_nts_cycles
                       the packet core alone (nts::Server, no frames), bursts of 32
  memory               hugepages or ordinary: where the frames lay
  tsc_hz               TSC cycles in a second
)";

constexpr int rounds = 300;  // about 2 s; the samples of each figure are rounds * 1024 / burst

// One CPU for all rounds; the last one allowed, as the first ones serve interrupts on most machines.
void stay_on_one_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return;
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) last = cpu;
  }
  CPU_ZERO(&set);
  if (last < 0) return;
  CPU_SET(last, &set);
  static_cast<void>(sched_setaffinity(0, sizeof set, &set));  // noisier without, not wrong
}

struct Figure {
  const char* name;
  bench::Load load;
  std::uint32_t burst;
  std::vector<double> cycles = {};
};

void print(const char* name, double cycles) { std::printf("%s=%.1f\n", name, cycles); }

// The crypto alone, by one tier.
struct Crypto {
  explicit Crypto(const nts::siv::Kernels& tier) : kernels(tier), work(tier, nts::burst_max) {}
  // Run twice and timed once: a server runs one tier all day, and finds its code and branches where it left
  // them; here another tier ran before.
  void time(bench::Stopwatch& watch) {
    work.run();
    watch.start();
    work.run();
    cycles.push_back(watch.stop() / nts::burst_max);
  }
  const nts::siv::Kernels& kernels;
  bench::SivWork work;
  std::vector<double> cycles;
};

// "vaes512" of "vaes512_x16".
std::string family_of(const nts::siv::Kernels& tier) {
  const std::string name = tier.name;
  return name.substr(0, name.find('_'));
}

void measure(const nts::siv::Kernels& tier, const dataplane::EalOptions& options) {
  using bench::Load;
  const dataplane::Eal eal(options);
  bench::WorkerRig worker(tier);
  bench::ServerRig core(tier);
  Crypto nettle(tests::nettle_kernels());
  std::list<Crypto> tiers;  // all but the last, which is for machines without AES instructions
  for (const nts::siv::Kernels* one : nts::siv::all_tiers().first(nts::siv::all_tiers().size() - 1)) {
    if (one->cpu_can_run() != 0) tiers.emplace_back(*one);
  }
  if (tiers.empty()) tiers.emplace_back(tier);
  bench::Stopwatch watch;
  Figure frames[] = {{"plain_cycles", Load::plain, 32},       {"nts_cycles", Load::nts, 32},
                     {"plain_cycles_burst1", Load::plain, 1}, {"plain_cycles_burst8", Load::plain, 8},
                     {"nts_cycles_burst1", Load::nts, 1},     {"nts_cycles_burst8", Load::nts, 8}};
  Figure cores[] = {{"core_plain_cycles", Load::plain, 32}, {"core_nts_cycles", Load::nts, 32}};
  for (int round = 0; round < rounds; ++round) {
    for (int turn = 0; turn < 8; ++turn) {
      for (Crypto& one : tiers) one.time(watch);
      nettle.time(watch);
    }
    for (Figure& figure : frames) worker.serve(figure.load, figure.burst, figure.cycles);
    for (Figure& figure : cores) core.serve(figure.load, figure.burst, figure.cycles);
  }
  bool is_right = nettle.work.was_right();
  for (const Crypto& one : tiers) is_right = is_right && one.work.was_right();
  if (!is_right) throw std::runtime_error("the crypto gave a wrong answer");

  std::printf("tier=%s\n", tier.name);
  for (const Figure& figure : frames) print(figure.name, bench::median_of(figure.cycles));
  for (const Figure& figure : cores) print(figure.name, bench::median_of(figure.cycles));
  const double nettle_cycles = bench::median_of(nettle.cycles);
  for (const Crypto& one : tiers) {
    if (&one.kernels != &tier) continue;
    const double siv_cycles = bench::median_of(one.cycles);
    print("siv_cycles", siv_cycles);
    print("nettle_cycles", nettle_cycles);
    std::printf("nettle_ratio=%.2f\n", nettle_cycles / siv_cycles);
  }
  for (const nts::siv::Kernels* one : nts::siv::all_tiers().first(nts::siv::all_tiers().size() - 1)) {
    const auto run = std::find_if(tiers.begin(), tiers.end(),
                                  [one](const Crypto& crypto) { return &crypto.kernels == one; });
    const std::string name = family_of(*one) + "_ratio";
    if (run == tiers.end()) {
      std::printf("%s=none\n", name.c_str());
    } else {
      std::printf("%s=%.2f\n", name.c_str(), nettle_cycles / bench::median_of(run->cycles));
    }
  }
  std::printf("memory=%s\n", options.hugepages ? "hugepages" : "ordinary");
  std::printf("tsc_hz=%llu\n", static_cast<unsigned long long>(rte_get_tsc_hz()));
}

}  // namespace

int main(int count, char** words) {
  if (count > 1) {
    const bool asks = std::strcmp(words[1], "--help") == 0 || std::strcmp(words[1], "-h") == 0;
    std::fputs(help, asks ? stdout : stderr);
    return asks ? 0 : 2;
  }
  try {
    stay_on_one_cpu();
    const nts::siv::Kernels* tier = nts::siv::choose_tier();
    if (tier == nullptr) throw std::runtime_error("no AES-SIV tier gives the known answers on this machine");
    measure(*tier, bench::eal_options());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headline: %s\n", error.what());
    return 1;
  }
  return 0;
}
