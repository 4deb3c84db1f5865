// K14 for the server: what a burst, and then the server itself, leave of the keys in it, under every AEAD and
// tier. wiped_test.py builds this and the packet core with several compilers.
//
//   wiped-server           exits 0 when no key is left anywhere, 1 when one is, and says where; 2 when
//   nothing
//                          was answered
//   wiped-server PLANTED   leaves a round key on purpose: "stack" or "heap"
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "nts/cookie.h"
#include "nts/secret.h"
#include "nts/server.h"
#include "tests/secrets/counting_random.h"
#include "tests/secrets/left_behind.h"

namespace {

using secrets::far_down;
using secrets::Whose;

constexpr std::uint32_t key_id = 7;

// Octets of a request's identifier, by row: a shape that fills the widest lanes and begins the next ones, one
// for narrower lanes, and some that go through lanes of unequal lengths together.
constexpr std::uint32_t identifier_bytes_of(std::uint32_t row) noexcept {
  if (row < 20) return 32;
  return row < 29 ? 48 : 52 + 4 * (row - 29);
}
constexpr std::uint32_t burst_rows[] = {1, nts::burst_max};
constexpr std::size_t packet_bytes_max = 512;

// A burst of requests through a server, from the keys in a ring to the last wipe.
struct Served {
  const nts::AeadKernels kernels;
  const nts::AeadRow row;
  const std::uint32_t rows;
  std::array<std::array<std::uint8_t, packet_bytes_max>, nts::burst_max> packets{};
  std::array<std::uint16_t, nts::burst_max> packet_bytes{};
  secrets::CountingRandom random;
  std::unique_ptr<nts::ExpandedKeyRing> keys;
  std::unique_ptr<nts::Server> server;
  bool is_answered = false;

  [[gnu::noinline]] void start() {
    nts::KeyRing ring{};
    ring.generation = 1;
    ring.current_id = key_id;
    nts::RingKey& slot = ring.slots[key_id % nts::ring_keys_max];
    slot.id = key_id;
    slot.state = nts::KeyState::current;
    secrets::make(Whose::ring, slot.key.data(), slot.key.size());
    keys = std::make_unique<nts::ExpandedKeyRing>(*kernels.siv);
    keys->load(ring);
    nts::wipe({reinterpret_cast<std::uint8_t*>(&ring), sizeof ring});
    server = std::make_unique<nts::Server>(kernels, random);
  }

  // The client's part, whose buffers are its own to wipe.
  [[gnu::noinline]] void ask() {
    for (std::uint32_t i = 0; i < rows; ++i) packet_bytes[i] = ask_one(packets[i], identifier_bytes_of(i));
  }
  std::uint16_t ask_one(std::array<std::uint8_t, packet_bytes_max>& packet, std::uint32_t identifier_bytes) {
    const nts::Aead& aead = nts::aead_at(row);
    std::array<std::uint8_t, 2 * nts::aead_key_bytes_max> session{};
    secrets::make(Whose::c2s, session.data(), aead.key_bytes);
    secrets::make(Whose::s2c, session.data() + aead.key_bytes, aead.key_bytes);
    const auto begin_field = [](std::uint8_t* at, std::uint32_t type, std::uint32_t bytes) {
      nts::store_u32(at, type << 16 | bytes);
      return at + 4;
    };
    packet[0] = 4 << 3 | 3;
    std::uint8_t* cookie =
        begin_field(begin_field(packet.data() + 48, 0x0104, 4 + identifier_bytes) + identifier_bytes, 0x0204,
                    aead.cookie_field_bytes());
    const std::array<std::uint8_t, 16> nonce{1};
    nts::siv::Job job;
    nts::make_seal_job(cookie, key_id, std::span<const std::uint8_t, 16>(nonce), session.data(), job,
                       2 * aead.key_bytes);
    kernels.siv->seal_with_ring_key(&keys->current_schedule(), &job, 1);
    std::uint8_t* authenticator = cookie + aead.cookie_bytes();
    std::uint8_t* lengths = begin_field(authenticator, 0x0404, 8 + aead.nonce_bytes + 16);
    nts::store_u32(lengths, aead.nonce_bytes << 16 | 16);
    std::uint8_t* end = lengths + 4 + aead.nonce_bytes + 16;
    job = {.associated_data = packet.data(),
           .nonce = lengths + 4,
           .plaintext = end,
           .sealed = end - 16,
           .associated_data_bytes = static_cast<std::uint32_t>(authenticator - packet.data()),
           .nonce_bytes = aead.nonce_bytes,
           .plaintext_bytes = 0,
           .authentic = 0};
    const std::uint8_t* c2s = session.data();
    if (const nts::siv::Kernels* tier = kernels.siv_of(row)) {
      const auto table = std::make_unique<nts::siv::KeyTable>();
      tier->expand_keys(&c2s, 1, table.get());
      tier->seal(table.get(), &job, 1);
      nts::wipe(table->bytes);
    } else {
      const auto table = std::make_unique<nts::gcm_siv::KeyTable>();
      kernels.gcm_siv->derive_keys(&c2s, &job.nonce, 1, table.get());
      kernels.gcm_siv->seal(table.get(), &job, 1);
      nts::wipe(table->bytes);
    }
    nts::wipe(session);
    return static_cast<std::uint16_t>(end - packet.data());
  }

  [[gnu::noinline]] void serve() {
    nts::Batch batch;
    batch.count = rows;
    for (std::uint32_t i = 0; i < rows; ++i) {
      batch.packet[i] = packets[i].data();
      batch.packet_bytes[i] = packet_bytes[i];
      batch.received[i] = {0xe000000012345678};
    }
    server->open_requests(batch, *keys, {});
    server->prepare_answers(batch, *keys, {});
    server->seal_answers(batch, {0xe000000022345678});
    is_answered = true;
    for (std::uint32_t i = 0; i < rows; ++i)
      is_answered &= batch.request[i].verdict == nts::Verdict::answer_nts && batch.answer_bytes[i] != 0;
  }

  [[gnu::noinline]] void stop() {
    server.reset();
    keys.reset();
  }
};

// Of AES-SIV each half of a key is expanded; AES-GCM-SIV's is one.
void look_for_round_keys_of(nts::AeadRow row) {
  const std::size_t key_bytes = nts::aead_at(row).key_bytes;
  const std::size_t part_bytes = row == nts::AeadRow::gcm_siv_128 ? key_bytes : key_bytes / 2;
  secrets::round_keys.count = 0;
  for (const Whose whose : {Whose::c2s, Whose::s2c}) {
    for (std::size_t from = 0; from < key_bytes; from += part_bytes)
      secrets::round_keys.add_schedule_of(whose, from, part_bytes);
  }
}

// Returns how much the server leaves when it goes; -1 when nothing was answered. While it lives, the keys of
// the last burst stand in its scratch, and what a compiler spilled of them on the stack; told is how much.
int serve_burst(const nts::AeadKernels& kernels, nts::AeadRow row, std::uint32_t rows,
                const std::string& name) {
  look_for_round_keys_of(row);
  Served served{kernels, row, rows, {}, {}, {}, nullptr, nullptr};
  far_down([&] { served.start(); });
  far_down([&] { served.ask(); });
  secrets::clean_stack();
  far_down([&] { served.serve(); });
  if (!served.is_answered) return -1;
  const std::size_t spilled = secrets::left_on_stack(nullptr);
  if (spilled != 0) std::printf("%s: a burst spills %zu parts of keys\n", name.c_str(), spilled);
  far_down([&] { served.stop(); });
  return static_cast<int>(secrets::left_on_stack((name + ", behind the server").c_str()));
}

// What the expansion of a key leaves, by itself. That of many keys at once spills on the stack like a burst
// does, and goes with the server.
template <class Expand>
std::size_t expand_one(nts::AeadRow row, const std::string& name, const Expand& expand) {
  look_for_round_keys_of(row);
  const auto key = std::make_unique<std::array<std::uint8_t, nts::aead_key_bytes_max>>();
  secrets::make(Whose::c2s, key->data(), nts::aead_at(row).key_bytes);
  const std::uint8_t* octets = key->data();
  secrets::clean_stack();
  far_down([&] { expand(&octets); });
  nts::wipe(*key);
  return secrets::left_on_stack((name + ", behind an expansion").c_str());
}
std::size_t expand_one(const nts::siv::Kernels& tier, nts::AeadRow row, const std::string& name) {
  static nts::siv::KeyTable table;
  return expand_one(row, name, [&](const std::uint8_t* const* key) { tier.expand_keys(key, 1, &table); });
}
std::size_t expand_one(const nts::gcm_siv::Kernels& tier, nts::AeadRow row, const std::string& name) {
  static nts::gcm_siv::KeyTable table;
  static const std::uint8_t nonce[nts::gcm_siv::nonce_bytes] = {};
  return expand_one(row, name, [&](const std::uint8_t* const* key) {
    const std::uint8_t* nonces = nonce;
    tier.derive_keys(key, &nonces, 1, &table);
  });
}

volatile std::uint8_t sink;

[[gnu::noinline]] void leave(std::uint8_t* at) {
  std::copy_n(secrets::round_keys.parts[secrets::round_keys.count - 1].begin(), secrets::seen_bytes, at);
  __asm__ __volatile__("" : : "r"(at) : "memory");
  sink = at[3];
}
[[gnu::noinline]] void leave_on_stack() {
  std::uint8_t part[secrets::seen_bytes];
  leave(part);
}

}  // namespace

int main(int count, char** words) {
  const std::string_view planted = count == 2 ? words[1] : "";
  secrets::looks_at_heap = true;
  if (!planted.empty()) {
    look_for_round_keys_of(nts::AeadRow::siv_512);
    secrets::clean_stack();
    if (planted == "stack") far_down(leave_on_stack);
    if (planted == "heap") leave(std::make_unique<std::array<std::uint8_t, 64>>()->data());
    return secrets::left_on_stack("the stack") + secrets::left_on_heap == 0 ? 0 : 1;
  }
  std::size_t left = 0;
  const auto look_at = [&](const auto& tier, nts::AeadRow row, const nts::AeadKernels& kernels) {
    if (tier.cpu_can_run() == 0) {
      std::printf("not run: %s\n", tier.name);
      return;
    }
    const std::string name = std::string(nts::aead_at(row).name) + " by " + tier.name;
    const std::size_t left_by_expansion = expand_one(tier, row, name);
    // The portable tiers keep bitsliced words and what they come from on the stack, more than anybody could
    // wipe in a burst: that goes with the server.
    if (name.find("portable") == std::string::npos) left += left_by_expansion;
    for (const std::uint32_t rows : burst_rows) {
      const int left_by_server =
          serve_burst(kernels, row, rows, name + ", a burst of " + std::to_string(rows));
      if (left_by_server < 0) std::printf("%s: no answer\n", name.c_str()), std::exit(2);
      left += static_cast<std::size_t>(left_by_server);
    }
  };
  const nts::AeadKernels best = nts::all_kernels_beside(*nts::siv::choose_tier());
  for (const auto* tier : nts::siv::all_tiers()) look_at(*tier, nts::AeadRow::siv_256, {*tier});
  for (const auto* tier : nts::gcm_siv::all_tiers())
    look_at(*tier, nts::AeadRow::gcm_siv_128, {*best.siv, tier});
  for (const auto* tier : nts::siv::all_tiers(nts::siv::key_bytes_384))
    look_at(*tier, nts::AeadRow::siv_384, {*best.siv, nullptr, tier});
  for (const auto* tier : nts::siv::all_tiers(nts::siv::key_bytes_512))
    look_at(*tier, nts::AeadRow::siv_512, {*best.siv, nullptr, nullptr, tier});
  return left + secrets::left_on_heap == 0 ? 0 : 1;
}
