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
#include <span>
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
  nts_aead30_cycles    the same under AEAD 30, AES-128-GCM-SIV (192 octets each way)
  siv_cycles           the crypto of one NTS request by `tier`, 32 at a time: open the cookie, expand C2S,
                       verify, seal a fresh cookie, expand S2C, seal the answer
  nettle_cycles        the same by nettle, as chrony uses it: one message after another
  nettle_ratio         nettle_cycles / siv_cycles
  vaes512_ratio, vaes256_ratio, aesni_ratio
                       nettle_cycles / the same by that tier; "none" where this CPU cannot run it
  plain_b1_cycles, plain_b8_cycles, nts_b1_cycles, nts_b8_cycles
                       as above, in bursts of 1 and of 8
  mixed_ratio          a burst of 32 that mixes 30 % plain, 30 % NTS, 30 % NTS of another shape (identifier of
                       64 octets) and 10 % garbage, over the same shares of bursts of one kind
  bad_tag_ratio, unknown_key_ratio, placeholders7_ratio
                       an NTS request whose tag is wrong, whose cookie is under a key that nobody knows, or that
                       asks for eight cookies (956 octets): cycles per octet of the request over the usual
                       request's, bursts of 32; more than 1 is what an attacker gains
  core_plain_cycles, core_nts_cycles
                       the packet core alone (nts::Server, no frames), bursts of 32
  memory               hugepages or ordinary: where the frames lay
  tsc_hz               TSC cycles in a second

How well the clock engine keeps simulated time (tests/sim; about 15 s on two CPUs): figures of the engine, not of
this machine, and the same on each. From a fixed subset; `bench/clock --seeds 1000` gives all of them.

  clock_s1_worst_ratio
                       locked: RMS error over that of chrony 4.3 at its best poll on the same oscillator and
                       pulses; the worst of 11 pairs (OCXO: median of 5 seeds, else 1 seed)
  clock_s1_ocxo100_ratio
                       the same, of the twelfth: an OCXO under pulses of 100 ns, where chrony is near the optimum
  clock_holdover_24h_us
                       an OCXO that ages by 0.5 ppb a day, 12 h locked, then none: RMS error after a day, us, 30
                       seeds (chrony: 21.5)
  clock_bound_violations
                       share of samples whose true error was beyond the advertised bound; the worst of nine
                       scenarios, 20 seeds each
  clock_bound_tightness
                       median bound over RMS error, the worst of the same

The rest is of whole running servers, between two network namespaces made for it and removed at the end (about
20 s; needs root and two CPUs, else these are "skipped"; touches nothing of this machine's networks). Medians of
three turns. Server and client share this machine, and a veth pair makes each sender do the receiver's kernel
work: these figures measure veth and the kernel more than us, and say nothing about a network card. Compare them
with each other only, and only within one run; bench/README.md says what limits each.

  ports_af_packet_pps, ports_af_xdp_pps, ports_socket_pps
                       plain NTP requests answered in a second by `noonmark run` on that port, and by a plain
                       UDP socket with recvmmsg and sendmmsg around the same packet core (bench/ports_server.cc);
                       one client with 128 requests under way, for 1 s
  ports_af_packet_lost, ports_af_xdp_lost, ports_socket_lost
                       requests without an answer within 100 ms, all turns together; with more than a few the
                       line above is not to be believed
  ports_cpu_percent    the share of its CPU that the client had, in the worst turn; below 90 the machine was
                       busy with something else and the figures above are too low
  start_first_answer_ms
                       from the exec of `noonmark run` to the first NTP answer, in milliseconds (af_packet)
  memory_launcher_kib, memory_keeper_kib, memory_ke_kib, memory_clock_kib, memory_admin_kib,
  memory_upstream_kib, memory_dataplane_kib
                       each process after its load: proportional set size (shared pages divided among those
                       that map them, so that the sum is the whole); "none": no such process
  memory_dataplane_hugepages_kib
                       the dataplane's hugepages, which no set size holds
)";

constexpr int others_every = 3;  // rounds: ratios need fewer
constexpr int rounds = 300;      // about 2 s; the samples of each figure are rounds * 1024 / burst

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

// What a mixture costs, and what an attacker gains. `others` holds every load that is named here.
void print_ratios(double plain, double nts, std::span<const Figure> others) {
  using bench::Load;
  const auto cycles_of = [&](Load load) {
    const auto one =
        std::find_if(others.begin(), others.end(), [load](const Figure& f) { return f.load == load; });
    return bench::median_of(one->cycles);
  };
  const double pure =
      0.3 * plain + 0.3 * nts + 0.3 * cycles_of(Load::nts_long_identifier) + 0.1 * cycles_of(Load::garbage);
  std::printf("mixed_ratio=%.2f\n", cycles_of(Load::mixed) / pure);
  const auto bytes_of = [](Load load) { return static_cast<double>(bench::request_of(load, 0).size()); };
  const double usual = nts / bytes_of(Load::nts);
  const auto print_per_octet = [&](const char* name, Load load) {
    std::printf("%s=%.2f\n", name, cycles_of(load) / bytes_of(load) / usual);
  };
  print_per_octet("bad_tag_ratio", Load::bad_tag);
  print_per_octet("unknown_key_ratio", Load::unknown_key);
  print_per_octet("placeholders7_ratio", Load::placeholders7);
}

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
  Figure frames[] = {{"plain_cycles", Load::plain, 32},
                     {"nts_cycles", Load::nts, 32},
                     {"plain_b1_cycles", Load::plain, 1},
                     {"plain_b8_cycles", Load::plain, 8},
                     {"nts_b1_cycles", Load::nts, 1},
                     {"nts_b8_cycles", Load::nts, 8},
                     {"nts_aead30_cycles", Load::nts_aead30, 32}};
  // For ratios only: not printed by themselves.
  Figure others[] = {{"", Load::nts_long_identifier, 32},
                     {"", Load::garbage, 32},
                     {"", Load::mixed, 32},
                     {"", Load::bad_tag, 32},
                     {"", Load::unknown_key, 32},
                     {"", Load::placeholders7, 32}};
  Figure cores[] = {{"core_plain_cycles", Load::plain, 32}, {"core_nts_cycles", Load::nts, 32}};
  for (int round = 0; round < rounds; ++round) {
    for (int turn = 0; turn < 8; ++turn) {
      for (Crypto& one : tiers) one.time(watch);
      nettle.time(watch);
    }
    for (Figure& figure : frames) worker.serve(figure.load, figure.burst, figure.cycles);
    if (round % others_every == 0) {
      for (Figure& figure : others) worker.serve(figure.load, figure.burst, figure.cycles);
    }
    for (Figure& figure : cores) core.serve(figure.load, figure.burst, figure.cycles);
  }
  bool is_right = nettle.work.was_right();
  for (const Crypto& one : tiers) is_right = is_right && one.work.was_right();
  if (!is_right) throw std::runtime_error("the crypto gave a wrong answer");

  std::printf("tier=%s\n", tier.name);
  for (const Figure& figure : frames) print(figure.name, bench::median_of(figure.cycles));
  print_ratios(bench::median_of(frames[0].cycles), bench::median_of(frames[1].cycles), others);
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
