// K09 on the machine code itself: a tier goes instruction by instruction, several times with different
// secrets, and must take the same way and touch the same addresses each time.
//
//   stepped-tiers TIER PLACES WALKED WHAT   exits as watched-tiers does; 6 when two ways differ
//
// TIER may end in /48 or /64, for the longer keys. WHAT is "short" or "long", or a planted leak of what the
// tier made: "branch" or "lookup".
//
// PLACES has a line for each instruction of this program that touches memory, as objdump shows it: address in
// this file, base and index (register numbers of the instruction set, -1 for none), scale and displacement;
// stepped_test.py writes it. Into WALKED go the addresses of all instructions that were met.
//
// Secret, and different each time: keys, what is sealed, and whether tags are good. The CPU's trap flag stops
// it after every instruction; the handler notes where it is and which address the next one will touch.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <string_view>
#include <ucontext.h>
#include <vector>

#include "tests/secrets/messages.h"

extern "C" const char __executable_start;  // the linker's

namespace {

using secrets::Job;
using secrets::messages_max;

constexpr std::uint32_t runs = 2;  // all tags good; every second forged

// ---- The stepper ----

struct Place {
  int base = -1, index = -1, scale = 1, displacement = 0;
};
struct Step {
  std::uint64_t at, touched;
  bool operator==(const Step&) const = default;
};
constexpr std::size_t steps_max = 2'000'000;

std::vector<Place> places;  // by the distance from the start of the program
std::vector<std::uint8_t> walked;
std::vector<Step> steps(steps_max);
std::size_t taken = 0;

std::uint64_t register_of(const mcontext_t& context, int number) {
  static constexpr std::array order = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                       REG_R12, REG_R13, REG_R14, REG_R15};
  if (number < 0) return 0;
  return static_cast<std::uint64_t>(context.gregs[order[static_cast<std::size_t>(number)]]);
}

void note(int, siginfo_t*, void* given) {
  const mcontext_t& context = static_cast<ucontext_t*>(given)->uc_mcontext;
  Step step{static_cast<std::uint64_t>(context.gregs[REG_RIP]), 0};
  step.at -= reinterpret_cast<std::uint64_t>(&__executable_start);
  if (step.at < places.size()) {
    const Place& place = places[step.at];
    step.touched = register_of(context, place.base) +
                   register_of(context, place.index) * static_cast<std::uint64_t>(place.scale) +
                   static_cast<std::uint64_t>(std::int64_t{place.displacement});
    walked[step.at] = 1;
  }
  if (taken < steps_max) steps[taken] = step;
  ++taken;
}

template <class Call>
[[gnu::noinline]] void step_through(const Call& call) {
  taken = 0;
  __asm__ __volatile__("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
  call();
  __asm__ __volatile__("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
}

// ---- What is stepped through ----

secrets::Messages messages;
std::array<Job, messages_max>& jobs = messages.jobs;
std::string_view leak;
int wrong = 0;
bool ways_differ = false;

bool is_forged(std::uint32_t run, std::uint32_t i) { return run == 1 && i % 2 == 0; }

void forge(std::uint32_t run, std::uint32_t count, bool is_tag_first) {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (is_forged(run, i)) messages.forge(i, run + count, is_tag_first);
  }
}

// What nobody may write, behind a tier's work.
[[gnu::noinline]] void plant() {
  [[maybe_unused]] static volatile std::uint8_t sink;
  static volatile std::uint8_t table[256];
  for (std::uint32_t i = 0; i < nts::siv::tag_bytes; ++i) {
    const std::uint8_t octet = jobs[0].sealed[i];
    if (leak == "lookup") sink = table[octet];
    if (leak == "branch" && octet % 2 == 1) sink = 1;
  }
}

// `prepare(run)` makes the secrets in the same buffers each time, and is not stepped; `call` is. All that is
// public is the same: lengths, counts, addresses.
template <class Prepare, class Call>
void compare_runs(const char* what, std::uint32_t count, const Prepare& prepare, const Call& call) {
  static std::vector<Step> before;
  prepare(0);
  call();  // so that what happens once only, as the binding of a function, has happened
  for (std::uint32_t run = 0; run < runs; ++run) {
    messages.octets_seed = 7919 * (run + 1);
    prepare(run);
    step_through([&] {
      call();
      if (!leak.empty()) plant();
    });
    if (taken > steps_max) ++wrong, std::printf("%s of %u: %zu steps are too many\n", what, count, taken);
    const std::vector<Step> way(steps.begin(),
                                steps.begin() + static_cast<std::ptrdiff_t>(std::min(taken, steps_max)));
    if (run != 0 && way != before) {
      ways_differ = true;
      const auto [now, then] = std::mismatch(way.begin(), way.end(), before.begin(), before.end());
      std::printf("%s of %u: %zu steps, %zu before; step %td is the first that differs", what, count,
                  way.size(), before.size(), now - way.begin());
      if (now != way.end() && then != before.end()) {
        std::printf(": at %zx touching %zx, before at %zx touching %zx", std::size_t{now->at},
                    std::size_t{now->touched}, std::size_t{then->at}, std::size_t{then->touched});
      }
      std::printf("\n");
    }
    before = way;
  }
}

template <class Seal, class Open>
void compare_opening(const char* what, std::uint32_t count, bool is_tag_first, const Seal& seal,
                     const Open& open) {
  std::uint32_t now = 0;
  const auto judge = [&] {  // of the run before
    for (std::uint32_t i = 0; i < count; ++i) wrong += jobs[i].authentic != (is_forged(now, i) ? 0U : 1U);
  };
  const auto prepare = [&](std::uint32_t run) {
    if (run != 0) judge();
    now = run;
    seal();
    forge(run, count, is_tag_first);
  };
  compare_runs(what, count, prepare, open);
  judge();
}

// Messages of shape `first`, or of all from there on (messages.h).
struct Case {
  std::uint32_t first, step, count;
};

// As in the server, cookies go under ring keys and all else under keys of a table; mixed messages under both.
void run_siv(const nts::siv::Kernels& tier, const Case& of) {
  const std::uint32_t first = of.first;
  const std::uint32_t step = of.step;
  const std::uint32_t count = of.count;
  const std::uint8_t* const* keys = messages.keys.data();
  if (first != 0 || step != 0) {
    static nts::siv::KeyTable table;
    const bool has_texts = step != 0 || secrets::shapes[first].plaintext_bytes != 0;
    const auto expand = has_texts ? tier.expand_keys : tier.expand_keys_to_verify;
    const auto make = [&](std::uint32_t = 0) { messages.make(first, step, count, 0); };
    const auto make_table = [&](std::uint32_t = 0) {
      make();
      expand(keys, count, &table);
    };
    const auto seal = [&] { tier.seal(&table, jobs.data(), count); };
    compare_runs("expand_keys", count, make, [&] { expand(keys, count, &table); });
    compare_runs("seal", count, make_table, seal);
    compare_opening(
        "open", count, true, [&] { make_table(), seal(); }, [&] { tier.open(&table, jobs.data(), count); });
  }
  if (first == 0 || step != 0) {
    static std::array<nts::siv::RingKeySchedule, 2> ring;
    static std::array<const nts::siv::RingKeySchedule*, messages_max> schedules;
    const auto make = [&](std::uint32_t = 0) { messages.make(first, step, count, 0); };
    const auto make_ring = [&](std::uint32_t = 0) {
      make();
      for (nts::siv::RingKeySchedule& schedule : ring) tier.expand_ring_key(keys[0], &schedule);
      for (std::uint32_t i = 0; i < count; ++i) schedules[i] = &ring[step == 0 ? 0 : i % 2];
    };
    const auto seal = [&] { tier.seal_with_ring_key(ring.data(), jobs.data(), count); };
    compare_runs("expand_ring_key", count, make, [&] { tier.expand_ring_key(keys[0], ring.data()); });
    compare_runs("seal_with_ring_key", count, make_ring, seal);
    compare_opening(
        "open_with_ring_keys", count, true, [&] { make_ring(), seal(); },
        [&] { tier.open_with_ring_keys(schedules.data(), jobs.data(), count); });
    static std::array<nts::siv::CookieMac, messages_max> macs;
    const auto open_cookies = [&] {
      return tier.open_cookies(schedules.data(), jobs.data(), count, macs.data()) != 0;
    };
    compare_opening(
        "open_cookies", count, true, [&] { make_ring(), seal(); }, open_cookies);
    make_ring();
    seal();
    if (open_cookies()) {
      compare_runs(
          "seal_cookies", count, [&](std::uint32_t) { make_ring(), seal(), open_cookies(); },
          [&] { tier.seal_cookies(ring.data(), jobs.data(), count, macs.data()); });
    }
  }
}

void run_gcm_siv(const nts::gcm_siv::Kernels& tier, const Case& of) {
  const std::uint32_t first = of.first;
  const std::uint32_t step = of.step;
  const std::uint32_t count = of.count;
  if (first == 0 && step == 0 && leak.empty()) return;  // no cookie is under this AEAD
  static nts::gcm_siv::KeyTable table;
  const auto derive = [&] { tier.derive_keys(messages.keys.data(), messages.nonces.data(), count, &table); };
  const auto make = [&](std::uint32_t = 0) { messages.make(first, step, count, nts::gcm_siv::nonce_bytes); };
  const auto make_table = [&](std::uint32_t = 0) {
    make();
    derive();
  };
  compare_runs("derive_keys", count, make, derive);
  compare_runs("seal", count, make_table, [&] { tier.seal(&table, jobs.data(), count); });
  compare_opening(
      "open", count, false,
      [&] {
        make_table();
        tier.seal(&table, jobs.data(), count);
      },
      [&] { tier.open(&table, jobs.data(), count); });
}

std::vector<Case> cases_of(std::string_view what) {
  if (!leak.empty()) return {{0, 0, 1}};
  if (what == "short")
    return {{0, 0, 17}, {1, 0, 17}, {2, 0, 9}, {4, 0, 1}, {4, 1, 3}, {5, 0, 7}, {6, 0, 7}, {7, 0, 7}};
  std::vector<Case> cases;
  for (const std::uint32_t count : {1U, 2U, 4U, 7U, 8U, 17U, 33U}) {
    for (std::uint32_t first = 0; first < secrets::shapes.size(); ++first) cases.push_back({first, 0, count});
    cases.push_back({count, 1, count});
  }
  return cases;
}

template <class Tiers, class Run>
int step_tier(const Tiers& tiers, std::string_view name, std::string_view what, const Run& run) {
  for (const auto* tier : tiers) {
    if (name != tier->name) continue;
    if (tier->cpu_can_run() == 0) return 3;
    for (const Case& of : cases_of(what)) run(*tier, of);
    if (ways_differ) return 6;
    return wrong == 0 ? 0 : 5;
  }
  return -1;
}

bool read_places(const char* path) {
  std::FILE* file = std::fopen(path, "r");
  if (file == nullptr) return false;
  std::size_t at = 0;
  Place place;
  while (std::fscanf(file, "%zx %d %d %d %d", &at, &place.base, &place.index, &place.scale,
                     &place.displacement) == 5) {
    if (at >= places.size()) places.resize(at + 1);
    places[at] = place;
  }
  std::fclose(file);
  walked.resize(places.size());
  return !places.empty();
}

void write_walked(const char* path) {
  std::FILE* file = std::fopen(path, "w");
  if (file == nullptr) return;
  for (std::size_t at = 0; at < walked.size(); ++at) {
    if (walked[at] != 0) std::fprintf(file, "%zx\n", at);
  }
  std::fclose(file);
}

void catch_steps() {
  static std::array<std::uint8_t, 256 * 1024> stack;  // of its own: the tier's stays as it is
  const stack_t other{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&other, nullptr);
  struct sigaction action {};
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGTRAP, &action, nullptr);
}

}  // namespace

int main(int count, char** words) {
  if (count != 5 || !read_places(words[2])) return 2;
  const std::string_view tier = words[1];
  const std::string_view what = words[4];
  const std::string_view name = tier.substr(0, tier.find('/'));
  const std::uint32_t key_bytes = tier.ends_with("/48")   ? nts::siv::key_bytes_384
                                  : tier.ends_with("/64") ? nts::siv::key_bytes_512
                                                          : nts::siv::key_bytes_256;
  if (what != "short" && what != "long") leak = what;
  catch_steps();
  int result = step_tier(nts::siv::all_tiers(key_bytes), name, what, run_siv);
  if (result == -1) result = step_tier(nts::gcm_siv::all_tiers(), name, what, run_gcm_siv);
  write_walked(words[3]);
  return result == -1 ? 2 : result;
}
