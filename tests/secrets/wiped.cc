// K14: what is left of keys when they are done with. wiped_test.py builds this and the packet core with
// several compilers, each of which may find a store dead that nobody reads.
//
//   wiped           exits 0 when no key is left anywhere, 1 when one is, and says where
//   wiped PLANTED   leaves one on purpose: "stack" or "heap"
//
// Looked at is every block of the heap at the moment it is freed, and the stack that a call has left behind
// it. The keys are made where they are used, so that no other copy of them is in this program.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <new>
#include <string_view>

#include "nts/client.h"
#include "nts/secret.h"
#include "nts/server.h"
#include "nts/siv/siv.h"

namespace {

constexpr std::size_t key_bytes = 32;
constexpr std::uint32_t key_id = 7;
constexpr std::size_t seen_bytes = 8;  // so many octets of a key in a row are no chance
using Key = std::array<std::uint8_t, key_bytes>;
enum class Whose : std::uint8_t { secret, ring, c2s, s2c, count };

// SplitMix64 (Steele, Lea, Flood 2014): the octets stand nowhere before they are asked for.
[[gnu::always_inline]] inline std::uint8_t octet_of(Whose whose, std::size_t at) {
  std::uint64_t mixed = (static_cast<std::uint64_t>(whose) + 1) * 0x1000 + at;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return static_cast<std::uint8_t>(mixed ^ mixed >> 31);
}
[[gnu::always_inline]] inline void make(Whose whose, std::uint8_t* key) {
  for (std::size_t at = 0; at < key_bytes; ++at) {
    std::size_t place = at;
    __asm__ __volatile__("" : "+r"(place));  // no compiler may make the octets in advance
    key[at] = octet_of(whose, place);
  }
}

// Compares octet by octet, and so makes no copy of its own.
[[gnu::noinline]] std::size_t keys_in(const volatile std::uint8_t* octets, std::size_t bytes,
                                      const char* where) {
  std::size_t found = 0;
  for (std::size_t at = 0; at + seen_bytes <= bytes; ++at) {
    for (std::uint8_t whose = 0; whose < static_cast<std::uint8_t>(Whose::count); ++whose) {
      for (std::size_t part = 0; part < key_bytes; part += seen_bytes) {
        std::size_t same = 0;
        while (same < seen_bytes && octets[at + same] == octet_of(static_cast<Whose>(whose), part + same))
          ++same;
        if (same != seen_bytes) continue;
        if (++found < 10)
          std::printf("key %u from octet %zu on: %s, %zu of %zu\n", whose, part, where, at, bytes);
      }
    }
  }
  return found;
}

bool looks_at_heap = false;
std::size_t left_on_heap = 0;

}  // namespace

// Every block is looked at as it goes.
void* operator new(std::size_t bytes) {
  void* block = std::malloc(bytes);
  if (block == nullptr) std::abort();
  return block;
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  void* block = std::aligned_alloc(
      static_cast<std::size_t>(alignment),
      (bytes + static_cast<std::size_t>(alignment) - 1) & ~(static_cast<std::size_t>(alignment) - 1));
  if (block == nullptr) std::abort();
  return block;
}
static void free_looked_at(void* block) noexcept {
  if (block != nullptr && looks_at_heap) {
    left_on_heap +=
        keys_in(static_cast<const std::uint8_t*>(block), malloc_usable_size(block), "a freed block");
  }
  std::free(block);
}
void operator delete(void* block) noexcept { free_looked_at(block); }
void operator delete(void* block, std::size_t) noexcept { free_looked_at(block); }
void operator delete(void* block, std::align_val_t) noexcept { free_looked_at(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { free_looked_at(block); }

namespace {

constexpr std::size_t stack_bytes = 256 * 1024;

// What the calls before have left below the frame of the caller.
[[gnu::noinline]] std::size_t left_on_stack(const char* where) {
  const auto* here = static_cast<const std::uint8_t*>(__builtin_frame_address(0));
  return keys_in(here - stack_bytes, stack_bytes - 256, where);
}
// Touches the stack once, so that all of it is there, and clean.
[[gnu::noinline]] void clean_stack() {
  volatile std::uint8_t room[stack_bytes + 4096];
  for (std::size_t at = 0; at < sizeof room; ++at) room[at] = 0;
}

volatile std::uint8_t sink;

// Runs `call` so far down that looking at what it left does not overwrite it.
template <class Call>
[[gnu::noinline]] void far_down(const Call& call) {
  std::uint8_t room[4096];
  __asm__ __volatile__("" : : "r"(room) : "memory");  // all of it is there
  call();
  __asm__ __volatile__("" : : "r"(room) : "memory");
}

[[gnu::noinline]] void use_a_secret() {
  nts::Secret<key_bytes> secret;
  make(Whose::secret, secret.bytes().data());
  for (const std::uint8_t octet : secret.bytes()) sink = static_cast<std::uint8_t>(sink + octet);
}
[[gnu::noinline]] void leave_on_stack() {
  std::uint8_t key[key_bytes];
  make(Whose::secret, key);
  __asm__ __volatile__("" : : "r"(key) : "memory");
  for (const std::uint8_t octet : key) sink = static_cast<std::uint8_t>(sink + octet);
}
[[gnu::noinline]] void use_secrets_on_heap(bool leaves_one) {
  const auto secret = std::make_unique<nts::Secret<key_bytes>>();
  make(Whose::secret, secret->bytes().data());
  const auto key = std::make_unique<Key>();
  if (leaves_one) make(Whose::secret, key->data());
  sink = (*key)[0];
}

class SomeRandom final : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> octets) noexcept override {
    for (std::uint8_t& octet : octets) octet = ++next_;
  }

 private:
  std::uint8_t next_ = 0;
};

// One request through a whole server, whose ring, cookie and request hold keys; true when it was answered.
// The buffers of this function are its own to wipe: a client's, not the product's.
[[gnu::noinline]] bool serve_one(const nts::siv::Kernels& tier) {
  std::array<std::uint8_t, 228> packet{};
  bool is_answered = false;
  {
    nts::KeyRing ring{};
    ring.generation = 1;
    ring.current_id = key_id;
    nts::RingKey& slot = ring.slots[key_id % nts::ring_keys_max];
    slot.id = key_id;
    slot.state = nts::KeyState::current;
    make(Whose::ring, slot.key.data());
    const auto keys = std::make_unique<nts::ExpandedKeyRing>(tier);
    keys->load(ring);
    nts::wipe({reinterpret_cast<std::uint8_t*>(&ring), sizeof ring});

    std::array<std::uint8_t, 2 * key_bytes> session{};
    make(Whose::c2s, session.data());
    make(Whose::s2c, session.data() + key_bytes);
    packet[0] = 4 << 3 | 3;
    std::uint8_t* identifier = packet.data() + 48;
    nts::store_u32(identifier, 0x01040024);
    std::uint8_t* cookie = identifier + 36;
    nts::store_u32(cookie, 0x02040068);
    const std::array<std::uint8_t, 16> nonce{1};
    nts::siv::Job job;
    nts::make_seal_job(cookie + 4, key_id, std::span<const std::uint8_t, 16>(nonce), session.data(), job,
                       2 * key_bytes);
    tier.seal_with_ring_key(&keys->current_schedule(), &job, 1);
    std::uint8_t* authenticator = cookie + 104;
    nts::store_u32(authenticator, 0x04040028);
    nts::store_u32(authenticator + 4, 0x00100010);
    const auto table = std::make_unique<nts::siv::KeyTable>();
    const std::uint8_t* c2s = session.data();
    tier.expand_keys(&c2s, 1, table.get());
    job = {.associated_data = packet.data(),
           .nonce = authenticator + 8,
           .plaintext = authenticator + 40,
           .sealed = authenticator + 24,
           .associated_data_bytes = 188,
           .nonce_bytes = 16,
           .plaintext_bytes = 0,
           .authentic = 0};
    tier.seal(table.get(), &job, 1);
    nts::wipe(session);
    nts::wipe(table->bytes);

    SomeRandom random;
    nts::Server server({tier}, random);
    nts::Batch batch;
    batch.count = 1;
    batch.packet[0] = packet.data();
    batch.packet_bytes[0] = packet.size();
    batch.received[0] = {0xe000000012345678};
    server.open_requests(batch, *keys, {});
    server.prepare_answers(batch, *keys, {});
    server.seal_answers(batch, {0xe000000022345678});
    is_answered = batch.request[0].verdict == nts::Verdict::answer_nts && batch.answer_bytes[0] != 0;
  }
  return is_answered;
}

// One request of a client, under a session's keys; true when it was made.
[[gnu::noinline]] bool ask_one(const nts::AeadKernels& kernels, nts::AeadRow aead) {
  const auto session = std::make_unique<nts::ClientSession>();
  session->aead = aead;
  make(Whose::c2s, session->c2s.bytes().data());
  make(Whose::s2c, session->s2c.bytes().data());
  const std::array<std::uint8_t, 100> cookie{1};
  SomeRandom random;
  return session->cookies.add(cookie) && nts::make_nts_request(*session, kernels, random).bytes != 0;
}

}  // namespace

int main(int count, char** words) {
  const std::string_view planted = count == 2 ? words[1] : "";
  looks_at_heap = true;
  std::size_t left = 0;
  clean_stack();
  far_down(use_a_secret);
  if (planted == "stack") far_down(leave_on_stack);
  left += left_on_stack("the stack behind a secret");
  use_secrets_on_heap(planted == "heap");
  for (const nts::siv::Kernels* tier : nts::siv::all_tiers()) {
    if (tier->cpu_can_run() == 0) {
      std::printf("not run: %s\n", tier->name);
      continue;
    }
    clean_stack();
    bool is_answered = false;
    far_down([&] { is_answered = serve_one(*tier); });
    if (!is_answered) {
      std::printf("%s does not answer\n", tier->name);
      return 2;
    }
    left += left_on_stack(tier->name);
    for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
      const auto aead = static_cast<nts::AeadRow>(row);
      const nts::AeadKernels kernels = nts::all_kernels_beside(*tier);
      clean_stack();
      bool is_made = false;
      far_down([&] { is_made = ask_one(kernels, aead); });
      if (!is_made) {
        std::printf("%s makes no request\n", tier->name);
        return 2;
      }
      left += left_on_stack("the stack behind a client's request");
    }
  }
  return left + left_on_heap == 0 ? 0 : 1;
}
