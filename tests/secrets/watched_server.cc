// K09 for the packet core: bursts through a whole nts::Server with the ring's keys marked secret. Run under
// valgrind.
//
//   watched-server portable|aesni           with these tiers of every AEAD; exits as watched-tiers does
//   watched-server portable|aesni PLANTED   without item 2 of the list below: must be reported
//
// The ring's keys are secret, so the session keys in every cookie are, and all that is computed under either.
// The core gets its tiers through wrappers, and these reveal, nothing else:
//   1. what seal wrote: cookies and answers go out on the wire;
//   2. Job::authentic after open: the verdict, which the core may branch on;
//   3. a request's encrypted fields, once open let them pass: the client chose them, and their lengths and
//      types steer the reader (nts/request.cc). Those of a forged one are zeros. Session keys stay secret.
#include <array>
#include <cstdio>
#include <random>
#include <string_view>
#include <vector>

#include "nts/server.h"
#include "tests/nts/aead_session.h"
#include "tests/secrets/marks.h"

namespace {

using nts::siv::Job;
using secrets::mark_secret;
using secrets::reveal;
using tests::Octets;

// By the length of a key: 32, 48 and 64 octets.
std::array<const nts::siv::Kernels*, 3> siv_tiers{};
const nts::gcm_siv::Kernels* gcm_siv_tier = nullptr;
bool hides_verdicts = false;
std::uint64_t schedules_marked = 0;
std::uint64_t cookies_still_secret = 0;

void reveal_verdicts(Job* jobs, std::uint32_t count) {
  if (hides_verdicts) return;
  for (std::uint32_t i = 0; i < count; ++i) reveal(&jobs[i].authentic, sizeof jobs[i].authentic);  // list: 2
}
void reveal_fields(Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) reveal(jobs[i].plaintext, jobs[i].plaintext_bytes);  // list: 3
}
void reveal_sealed(Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    reveal(jobs[i].sealed, jobs[i].plaintext_bytes + nts::siv::tag_bytes);  // list: 1
  }
}

template <std::size_t Length>
nts::siv::Kernels watched_siv() {
  nts::siv::Kernels watched = *siv_tiers[Length];
  watched.expand_ring_key = [](const std::uint8_t* key, nts::siv::RingKeySchedule* schedule) {
    std::array<std::uint8_t, nts::siv::key_bytes> secret;
    std::copy_n(key, secret.size(), secret.begin());
    mark_secret(secret.data(), secret.size());
    siv_tiers[Length]->expand_ring_key(secret.data(), schedule);
    schedules_marked += secrets::is_secret(schedule->bytes, 16);
  };
  watched.open_with_ring_keys = [](const nts::siv::RingKeySchedule* const* schedules, Job* jobs,
                                   std::uint32_t count) {
    siv_tiers[Length]->open_with_ring_keys(schedules, jobs, count);
    reveal_verdicts(jobs, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      cookies_still_secret += secrets::is_secret(jobs[i].plaintext, jobs[i].plaintext_bytes);
    }
  };
  watched.open_cookies = [](const nts::siv::RingKeySchedule* const* schedules, Job* jobs, std::uint32_t count,
                            nts::siv::CookieMac* macs) {
    const std::uint32_t has_macs = siv_tiers[Length]->open_cookies(schedules, jobs, count, macs);
    reveal_verdicts(jobs, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      cookies_still_secret += secrets::is_secret(jobs[i].plaintext, jobs[i].plaintext_bytes);
    }
    return has_macs;
  };
  watched.seal_cookies = [](const nts::siv::RingKeySchedule* schedule, Job* jobs, std::uint32_t count,
                            const nts::siv::CookieMac* macs) {
    siv_tiers[Length]->seal_cookies(schedule, jobs, count, macs);
    reveal_sealed(jobs, count);
  };
  watched.seal_with_ring_key = [](const nts::siv::RingKeySchedule* schedule, Job* jobs, std::uint32_t count) {
    siv_tiers[Length]->seal_with_ring_key(schedule, jobs, count);
    reveal_sealed(jobs, count);
  };
  watched.open = [](const nts::siv::KeyTable* table, Job* jobs, std::uint32_t count) {
    siv_tiers[Length]->open(table, jobs, count);
    reveal_verdicts(jobs, count);
    reveal_fields(jobs, count);
  };
  watched.seal = [](const nts::siv::KeyTable* table, Job* jobs, std::uint32_t count) {
    siv_tiers[Length]->seal(table, jobs, count);
    reveal_sealed(jobs, count);
  };
  return watched;
}

nts::gcm_siv::Kernels watched_gcm_siv() {
  nts::gcm_siv::Kernels watched = *gcm_siv_tier;
  watched.open = [](const nts::gcm_siv::KeyTable* table, Job* jobs, std::uint32_t count) {
    gcm_siv_tier->open(table, jobs, count);
    reveal_verdicts(jobs, count);
    reveal_fields(jobs, count);
  };
  watched.seal = [](const nts::gcm_siv::KeyTable* table, Job* jobs, std::uint32_t count) {
    gcm_siv_tier->seal(table, jobs, count);
    reveal_sealed(jobs, count);
  };
  return watched;
}

class SeededRandom final : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> octets) noexcept override {
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937 engine_{9};
};

// Good requests of every AEAD, some with encrypted placeholders; bad tags and cookies, unknown keys; plain
// ones.
Octets request_of_kind(std::uint32_t kind) {
  const tests::AeadSession session(static_cast<nts::AeadRow>(kind % nts::aeads_count));
  Octets request = session.request(kind % 8);
  switch (kind / nts::aeads_count % 6) {
    case 0:
      request.back() ^= 1;  // the tag, or what is sealed
      break;
    case 1:
      request[48 + 36 + 4 + 30] ^= 0x80;  // the cookie
      break;
    case 2:
      request[48 + 36 + 4] ^= 1;  // its key id
      break;
    case 3: {
      tests::RequestBuilder builder;
      const std::uint32_t cookie_bytes = session.aead_of().cookie_bytes();
      const Octets hidden = tests::RequestBuilder().placeholders(2, cookie_bytes).octets();
      builder.unique_identifier().cookie(session.cookie());
      session.authenticate(builder, session.c2s, session.aead_of().nonce_bytes,
                           Octets(hidden.begin() + 48, hidden.end()));
      return builder.octets();
    }
    default:
      break;
  }
  return kind % 11 == 10 ? tests::plain_request() : request;
}

bool is_right(const tests::AeadSession& session, const Octets& answer) {
  bool authentic = false;
  const std::vector<Octets> cookies = session.cookies_of(answer, authentic);
  return authentic && !cookies.empty();
}

struct Tally {
  std::uint32_t answered = 0, wrong = 0, refused = 0;
};

void serve(nts::Server& server, const nts::ExpandedKeyRing& keys, std::uint32_t first, std::uint32_t count,
           Tally& tally) {
  std::vector<Octets> buffers;
  nts::Batch batch;
  batch.count = count;
  for (std::uint32_t i = 0; i < count; ++i) buffers.push_back(request_of_kind(first + i));
  for (std::uint32_t i = 0; i < count; ++i) {
    batch.packet[i] = buffers[i].data();
    batch.packet_bytes[i] = static_cast<std::uint16_t>(buffers[i].size());
    batch.received[i] = {0xe000000012345678};
  }
  server.open_requests(batch, keys, {});
  server.prepare_answers(batch, keys, {});
  server.seal_answers(batch, {0xe000000022345678});
  for (std::uint32_t i = 0; i < count; ++i) {
    if (batch.request[i].verdict != nts::Verdict::answer_nts) {
      ++tally.refused;
      continue;
    }
    buffers[i].resize(batch.answer_bytes[i]);
    ++tally.answered;
    tally.wrong +=
        !is_right(tests::AeadSession(static_cast<nts::AeadRow>((first + i) % nts::aeads_count)), buffers[i]);
  }
}

// The one of `tiers` whose name says what it is made of; nullptr when this CPU cannot run it.
template <class Tiers>
auto find(const Tiers& tiers, std::string_view kind) {
  for (const auto* tier : tiers) {
    if (std::string_view(tier->name).find(kind) != std::string_view::npos && tier->cpu_can_run() != 0)
      return tier;
  }
  return decltype(tiers.front()){nullptr};
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return 2;
  if (!secrets::is_watched()) return 4;
  for (std::uint32_t length = 0; length < siv_tiers.size(); ++length) {
    siv_tiers[length] = find(nts::siv::all_tiers(nts::siv::key_bytes_256 + 16 * length), words[1]);
    if (siv_tiers[length] == nullptr) return 3;
  }
  gcm_siv_tier = find(nts::gcm_siv::all_tiers(), words[1]);
  if (gcm_siv_tier == nullptr) return 3;
  hides_verdicts = count == 3;

  const nts::siv::Kernels siv = watched_siv<0>();
  const nts::siv::Kernels siv_384 = watched_siv<1>();
  const nts::siv::Kernels siv_512 = watched_siv<2>();
  const nts::gcm_siv::Kernels gcm_siv = watched_gcm_siv();
  SeededRandom random;
  nts::ExpandedKeyRing keys(siv);
  keys.load(tests::make_ring(
      {tests::RingEntry{6, nts::KeyState::accepting}, tests::RingEntry{7, nts::KeyState::current}}));
  nts::Server server({siv, &gcm_siv, &siv_384, &siv_512}, random);
  Tally tally;
  std::uint32_t first = 0;
  for (const std::uint32_t burst : {1U, 2U, 3U, 5U, 16U, 17U, 31U, 32U}) {
    serve(server, keys, first, burst, tally);
    first += burst;
  }
  std::printf("%u answered, %u of them wrong, %u refused; %zu schedules and %zu opened cookies secret\n",
              tally.answered, tally.wrong, tally.refused, static_cast<std::size_t>(schedules_marked),
              static_cast<std::size_t>(cookies_still_secret));
  const bool is_whole = tally.answered > 30 && tally.refused > 20 && tally.wrong == 0;
  return is_whole && schedules_marked == 2 && cookies_still_secret > 30 ? 0 : 5;
}
