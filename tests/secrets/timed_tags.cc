// K10: does the time that an open takes tell a good tag from a bad one, or where the bad one differs?
//
//   timed-tags                        names the tiers that this CPU runs
//   timed-tags TIER SAMPLES           a line for each pair of classes: who, which classes, |t| (welch.h)
//   timed-tags TIER SAMPLES PLANTED   the same with a comparison behind the tier that stops where octets
//   differ
//
// The classes differ in an octet of one buffer, put there without a branch or an address that
// knows the class. Lines of "told" are for reading:
// the wire tells the same, for a good request is answered and a bad one refused, and under an unknown key
// nothing is verified at all (RFC 8915 section 5.7).
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "nts/server.h"
#include "tests/nts/aead_session.h"
#include "tests/secrets/counting_random.h"
#include "tests/secrets/welch.h"

namespace {

using nts::siv::Job;
using tests::Octets;
using Change = std::array<std::uint8_t, nts::siv::tag_bytes>;  // added to the octets in question

constexpr Change none{}, first{1}, fourth{0, 0, 0, 1}, last{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
struct Pair {
  const char* name;
  std::array<Change, 2> classes;
};
constexpr Pair same{"same", {none, none}}, good_or_first{"good_or_first", {none, first}},
    good_or_last{"good_or_last", {none, last}}, first_or_last{"first_or_last", {first, last}};

std::size_t samples = 0;
bool is_planted = false;

// `timed()` works on the octets from `at` on.
template <class Timed>
void compare(const std::string& who, const Pair& pair, std::uint8_t* at, const Timed& timed) {
  Change right;
  std::copy_n(at, right.size(), right.begin());
  const auto prepare = [&](std::uint8_t which) {
    const auto mask = static_cast<std::uint8_t>(-which);  // no address tells the class either
    for (std::size_t i = 0; i < right.size(); ++i) {
      at[i] =
          static_cast<std::uint8_t>(right[i] ^ (pair.classes[0][i] & ~mask) ^ (pair.classes[1][i] & mask));
    }
  };
  const double t = secrets::largest_welch_t(secrets::time_classes(samples, prepare, timed));
  std::copy(right.begin(), right.end(), at);
  std::printf("%s %s %.2f\n", who.c_str(), pair.name, t);
}

// What nobody may write.
[[gnu::noinline]] std::uint32_t stops_early(const volatile std::uint8_t* tag, const std::uint8_t* right) {
  for (std::size_t at = 0; at < nts::siv::tag_bytes; ++at) {
    if (tag[at] != right[at]) return 0;
  }
  return 1;
}

// A message as `seal` makes it, opened again and again: a request's, or a cookie's with 64 octets of keys.
template <class Seal, class Open>
void compare_opening(const std::string& who, bool is_cookie, std::uint32_t nonce_bytes, bool is_tag_first,
                     const Seal& seal, const Open& open) {
  const Octets associated_data(188, 0x41), nonce(16, 0x17);
  const std::uint32_t plaintext_bytes = is_cookie ? 64 : 0;
  Octets plaintext(64, 0x70), sealed(64 + nts::siv::tag_bytes);
  Job job{.associated_data = associated_data.data(),
          .nonce = nonce.data(),
          .plaintext = plaintext.data(),
          .sealed = sealed.data(),
          .associated_data_bytes = is_cookie ? 0U : 188U,
          .nonce_bytes = nonce_bytes,
          .plaintext_bytes = plaintext_bytes,
          .authentic = 0};
  seal(&job);
  std::uint8_t* tag = sealed.data() + (is_tag_first ? 0 : plaintext_bytes);
  Change right;
  std::copy_n(tag, right.size(), right.begin());
  const auto timed = [&] {
    const std::uint64_t began = secrets::ticks();
    open(&job);
    if (is_planted) job.authentic &= stops_early(tag, right.data());
    return secrets::ticks() - began;
  };
  for (const Pair& pair : {same, good_or_first, good_or_last, first_or_last}) compare(who, pair, tag, timed);
}

// The whole core, from octets to octets.
void compare_serving(const nts::AeadKernels& kernels, nts::AeadRow row) {
  secrets::CountingRandom random;
  nts::ExpandedKeyRing keys(*kernels.siv);
  keys.load(tests::make_ring({tests::RingEntry{tests::usual_key_id, nts::KeyState::current}}));
  nts::Server server(kernels, random);
  Octets request = tests::AeadSession(row).request();
  Octets packet = request;
  nts::Batch batch;
  batch.count = 1;
  batch.packet[0] = packet.data();
  batch.packet_bytes[0] = static_cast<std::uint16_t>(packet.size());
  batch.received[0] = {0xe000000012345678};
  const auto timed = [&] {
    std::copy(request.begin(), request.end(), packet.begin());
    const std::uint64_t began = secrets::ticks();
    server.open_requests(batch, keys, {});
    server.prepare_answers(batch, keys, {});
    server.seal_answers(batch, {0xe000000022345678});
    return secrets::ticks() - began;
  };
  std::uint8_t* key_id = request.data() + 48 + 36 + 4;
  std::uint8_t* cookie_tag = key_id + 4 + 16;
  std::uint8_t* tag = request.data() + request.size() - nts::siv::tag_bytes;
  compare("server_request", same, tag, timed);
  compare("server_request", first_or_last, tag, timed);
  compare("server_cookie", first_or_last, cookie_tag, timed);
  compare("told_server_request", good_or_last, tag, timed);
  compare("told_server_cookie", {"known_or_unknown_key", {none, fourth}}, key_id, timed);
}

void compare_all(const nts::siv::Kernels& tier) {
  static nts::siv::KeyTable table;
  static nts::siv::RingKeySchedule ring;
  const Octets key(tier.key_bytes, 0x6b);
  const std::uint8_t* const octets = key.data();
  const nts::siv::RingKeySchedule* const schedule = &ring;
  tier.expand_keys(&octets, 1, &table);
  tier.expand_ring_key(octets, &ring);
  compare_opening(
      "request", false, 16, true, [&](Job* job) { tier.seal(&table, job, 1); },
      [&](Job* job) { tier.open(&table, job, 1); });
  compare_opening(
      "cookie", true, 16, true, [&](Job* job) { tier.seal_with_ring_key(&ring, job, 1); },
      [&](Job* job) { tier.open_with_ring_keys(&schedule, job, 1); });
  compare_serving(tier, nts::AeadRow::siv_256);
}

void compare_all(const nts::gcm_siv::Kernels& tier) {
  static nts::gcm_siv::KeyTable table;
  const Octets key(nts::gcm_siv::key_bytes, 0x6b), nonce(nts::gcm_siv::nonce_bytes, 0x17);
  const std::uint8_t *const octets = key.data(), *const nonce_octets = nonce.data();
  tier.derive_keys(&octets, &nonce_octets, 1, &table);
  compare_opening(
      "request", false, nts::gcm_siv::nonce_bytes, false, [&](Job* job) { tier.seal(&table, job, 1); },
      [&](Job* job) { tier.open(&table, job, 1); });
  compare_serving({*nts::siv::choose_tier(), &tier}, nts::AeadRow::gcm_siv_128);
}

// Compares by the tier of that name, or names them all.
template <class Tiers>
bool run(const Tiers& tiers, std::string_view name) {
  for (const auto* tier : tiers) {
    if (tier->cpu_can_run() == 0) continue;
    if (name.empty()) std::printf("%s\n", tier->name);
    if (name != tier->name) continue;
    compare_all(*tier);
    return true;
  }
  return name.empty();
}

}  // namespace

int main(int count, char** words) {
  const std::string_view name = count > 1 ? words[1] : "";
  samples = count > 2 ? std::strtoull(words[2], nullptr, 10) : 0;
  is_planted = count > 3;
  if (!name.empty() && samples < 100) return 2;
  const bool is_siv = run(nts::siv::all_tiers(), name);
  if (is_siv && !name.empty()) return 0;
  return run(nts::gcm_siv::all_tiers(), name) ? 0 : 2;
}
