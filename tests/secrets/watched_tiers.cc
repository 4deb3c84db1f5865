// K09: one tier's operations on marked secrets, at several fills and in the shapes of NTS. Run under valgrind
// or built with MemorySanitizer (marks.h): the checker reports every branch and address that depends on a
// secret.
//
//   watched-tiers TIER          exits 0; 3 when the CPU lacks it, 4 when nobody watches, 5 when a result is
//                               wrong or a secret was lost on the way
//   watched-tiers TIER PLANTED  one message through the tier, and a leak of it that must be reported: branch,
//                               lookup, compare
//
// TIER/48 and TIER/64 are those for longer keys, which have the same names.
//
// Secret are: ring keys, session keys, and what is sealed. From them every computed tag, key stream and
// schedule becomes secret by itself. Revealed are, and nothing else:
//   1. what seal wrote (tag and ciphertext): it goes out on the wire;
//   2. Job::authentic after open: the answer, or its absence, tells it to everybody;
//   3. plaintexts, by this program, after all calls, to see that they are right.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "tests/secrets/marks.h"
#include "tests/secrets/messages.h"

namespace {

using secrets::is_secret;
using secrets::Job;
using secrets::mark_secret;
using secrets::Message;
using secrets::messages_max;
using secrets::reveal;
using secrets::shape_of;

constexpr std::array<std::uint32_t, 12> fills = {1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64};

secrets::Messages messages;
std::array<Message, messages_max> originals;
std::array<Job, messages_max>& jobs = messages.jobs;

int wrong = 0;
void expect(bool right, const char* what, std::uint32_t fill) {
  if (right) return;
  ++wrong;
  if (wrong < 20) std::printf("wrong: %s at fill %u\n", what, fill);
}

void make_messages(std::uint32_t first, std::uint32_t step, std::uint32_t count,
                   std::uint32_t nonce_bytes = 0) {
  reveal(&messages.of, sizeof messages.of);  // of the round before
  messages.make(first, step, count, nonce_bytes);
  for (std::uint32_t i = 0; i < count; ++i) {
    Message& m = messages.of[i];
    originals[i] = m;
    mark_secret(m.key.data(), m.key.size());
    mark_secret(m.plaintext.data(), jobs[i].plaintext_bytes);
  }
}

// After seal: all that was written is secret still, and goes out.
void send(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bytes = jobs[i].plaintext_bytes + nts::siv::tag_bytes;
    expect(is_secret(jobs[i].sealed, bytes), "sealed octets the checker lost", count);
    reveal(jobs[i].sealed, bytes);  // list: 1
  }
}

bool is_forged(std::uint32_t i, std::uint32_t count) { return i % 3 == count % 3; }

// Spoils the tags of some, each in another octet, and puts garbage where the plaintext will come.
void forge(std::uint32_t count, bool is_tag_first) {
  for (std::uint32_t i = 0; i < count; ++i) {
    if (is_forged(i, count)) messages.forge(i, count, is_tag_first);
    std::memset(jobs[i].plaintext, 0xdd, jobs[i].plaintext_bytes);
  }
}

// After open: the verdict is secret until it is given, the plaintext for good; then both must be right.
void judge(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    Job& job = jobs[i];
    expect(is_secret(&job.authentic, 1), "a verdict the checker lost", count);
    reveal(&job.authentic, sizeof job.authentic);  // list: 2
    expect(job.authentic == (is_forged(i, count) ? 0U : 1U), "a verdict", count);
    // Of a forged one it is zeros, which the verdict tells.
    if (job.plaintext_bytes != 0 && !is_forged(i, count)) {
      expect(is_secret(job.plaintext, job.plaintext_bytes), "a plaintext the checker lost", count);
    }
    reveal(job.plaintext, job.plaintext_bytes);  // list: 3
    for (std::uint32_t at = 0; at < job.plaintext_bytes; ++at) {
      const std::uint8_t right = is_forged(i, count) ? std::uint8_t{0} : originals[i].plaintext[at];
      expect(job.plaintext[at] == right, "a plaintext", count);
    }
  }
}

void run_siv(const nts::siv::Kernels& tier, std::uint32_t first, std::uint32_t step, std::uint32_t count) {
  static nts::siv::KeyTable table;
  static std::array<nts::siv::RingKeySchedule, 2> ring;
  std::array<const nts::siv::RingKeySchedule*, messages_max> schedules;

  make_messages(first, step, count);
  tier.expand_keys(messages.keys.data(), count, &table);
  tier.seal(&table, jobs.data(), count);
  send(count);
  forge(count, true);
  tier.open(&table, jobs.data(), count);
  judge(count);

  if (step == 0 && shape_of(first, step, 0).plaintext_bytes == 0) {
    make_messages(first, step, count);
    tier.expand_keys_to_verify(messages.keys.data(), count, &table);
    tier.seal(&table, jobs.data(), count);
    send(count);
    forge(count, true);
    tier.open(&table, jobs.data(), count);
    judge(count);
  }

  make_messages(first, step, count);
  for (std::uint32_t i = 0; i < 2; ++i) tier.expand_ring_key(messages.keys[i % count], &ring[i]);
  tier.seal_with_ring_key(&ring[0], jobs.data(), count);
  send(count);
  forge(count, true);
  schedules.fill(&ring[0]);
  tier.open_with_ring_keys(schedules.data(), jobs.data(), count);
  judge(count);
  make_messages(first, step, count);
  tier.expand_ring_key(messages.keys[0], &ring[0]);
  tier.seal_with_ring_key(&ring[0], jobs.data(), count);
  send(count);
  forge(count, true);
  static std::array<nts::siv::CookieMac, messages_max> macs;
  if (tier.open_cookies(schedules.data(), jobs.data(), count, macs.data()) != 0) {
    for (std::uint32_t i = 0; i < count; ++i) {
      expect(is_secret(macs[i].octets, sizeof macs[i].octets), "a mac the checker lost", count);
    }
    judge(count);
    tier.seal_cookies(&ring[0], jobs.data(), count, macs.data());
    send(count);
    reveal(&macs, sizeof macs);
  } else {
    judge(count);
  }

  // The keys of two rings in one call: what is under the other key is forged as well.
  for (std::uint32_t i = 1; i < count; i += 2) schedules[i] = &ring[1];
  tier.open_with_ring_keys(schedules.data(), jobs.data(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    reveal(&jobs[i].authentic, sizeof jobs[i].authentic);  // list: 2
    expect(jobs[i].authentic == (is_forged(i, count) || i % 2 == 1 ? 0U : 1U), "a verdict of two keys",
           count);
  }
}

void run_gcm_siv(const nts::gcm_siv::Kernels& tier, std::uint32_t first, std::uint32_t step,
                 std::uint32_t count) {
  static nts::gcm_siv::KeyTable table;
  make_messages(first, step, count, nts::gcm_siv::nonce_bytes);
  tier.derive_keys(messages.keys.data(), messages.nonces.data(), count, &table);
  tier.seal(&table, jobs.data(), count);
  send(count);
  forge(count, false);
  tier.open(&table, jobs.data(), count);
  judge(count);
}

// What nobody may write: each takes an octet of a key, or of what a tier made with it, for a decision.
void plant(std::string_view leak) {
  [[maybe_unused]] static volatile std::uint8_t sink;
  static volatile std::uint8_t table[256];  // volatile: the compiler may not know that it holds zeros
  const volatile std::uint8_t& sealed_octet = messages.of[0].sealed[5];
  const volatile std::uint8_t& key_octet = messages.of[0].key[5];
  if (leak == "branch") {
    if (sealed_octet % 2 == 1) sink = 1;
  } else if (leak == "lookup") {
    sink = table[key_octet];
  } else if (leak == "compare") {
    sink = std::memcmp(messages.of[0].sealed.data(), originals[0].key.data(), nts::siv::tag_bytes) == 0;
  } else {
    expect(false, "the name of the leak", 0);
  }
}

void leak_of(const nts::siv::Kernels& tier, std::string_view leak) {
  static nts::siv::KeyTable table;
  make_messages(0, 0, 1);
  tier.expand_keys(messages.keys.data(), 1, &table);
  tier.seal(&table, jobs.data(), 1);
  plant(leak);
}
void leak_of(const nts::gcm_siv::Kernels& tier, std::string_view leak) {
  static nts::gcm_siv::KeyTable table;
  make_messages(0, 0, 1, nts::gcm_siv::nonce_bytes);
  tier.derive_keys(messages.keys.data(), messages.nonces.data(), 1, &table);
  tier.seal(&table, jobs.data(), 1);
  plant(leak);
}

template <class Tiers, class Run>
int watch(const Tiers& tiers, std::string_view name, std::string_view leak, const Run& run) {
  for (const auto* tier : tiers) {
    if (name != tier->name) continue;
    if (tier->cpu_can_run() == 0) return 3;
    if (!leak.empty()) {
      leak_of(*tier, leak);
      return wrong == 0 ? 0 : 5;
    }
    for (const std::uint32_t count : fills) {
      for (std::uint32_t first = 0; first < secrets::usual_shapes; ++first) {
        // The portable tier takes long, and has one way through: a third of it is enough.
        if (name.find("portable") != name.npos && (count + first) % 3 != 0) continue;
        run(*tier, first, 0, count);
      }
      run(*tier, count, 1, count);
    }
    return wrong == 0 ? 0 : 5;
  }
  return -1;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return 2;
  if (!secrets::is_watched()) return 4;
  const std::string_view tier = words[1];
  const std::string_view leak = count == 3 ? words[2] : "";
  const std::string_view name = tier.substr(0, tier.find('/'));
  const std::uint32_t key_bytes = tier.ends_with("/48")   ? nts::siv::key_bytes_384
                                  : tier.ends_with("/64") ? nts::siv::key_bytes_512
                                                          : nts::siv::key_bytes_256;
  int result = watch(nts::siv::all_tiers(key_bytes), name, leak, run_siv);
  if (result == -1) result = watch(nts::gcm_siv::all_tiers(), name, leak, run_gcm_siv);
  return result == -1 ? 2 : result;
}
