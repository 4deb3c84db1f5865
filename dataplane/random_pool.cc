#include "dataplane/random_pool.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sodium.h>
#include <sys/mman.h>

#include "nts/check.h"
#include "nts/secret.h"

namespace dataplane {
namespace {

// A burst of 32 NTS requests takes 1 KiB of nonces: a refill every other burst.
constexpr std::uint32_t messages = 16;        // as many as the widest tier runs side by side
constexpr std::uint32_t message_bytes = 128;  // of zeros
constexpr std::size_t sealed_bytes = nts::siv::tag_bytes + message_bytes;
constexpr std::size_t block_bytes = messages * sealed_bytes;  // tags are as random as key stream
constexpr std::size_t key_bytes = nts::siv::key_bytes;
constexpr std::uint32_t nonce_bytes = 16;

// How many blocks come of one seed, at most: some 9,000 NTS requests. What restored machines have in common
// must not last, and a new seed costs a microsecond.
constexpr std::uint32_t blocks_per_seed = 128;

// A nonce that is handed out: the tick is mixed into its first half.
using Nonce [[gnu::vector_size(nonce_bytes)]] = std::uint64_t;

constexpr std::uint8_t nothing[1] = {};
constinit std::array<std::uint8_t, message_bytes> zeros{};  // seal only reads it

}  // namespace

struct RandomPool::State {
  std::uint64_t is_seeded;  // 0 in fresh memory, and again in a forked child
  std::uint32_t blocks;     // of this seed
  std::size_t used;         // octets of `block` already handed out, the key's included
  std::array<std::uint8_t, key_bytes> key;
  std::array<std::uint8_t, block_bytes> block;
  nts::siv::RingKeySchedule schedule;
};

RandomPool::RandomPool(const nts::siv::Kernels& tier, Ticks ticks) noexcept : tier_(tier), ticks_(ticks) {
  nts::check(sodium_init() >= 0);  // opens the kernel's source
  void* page = mmap(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  nts::check(page != MAP_FAILED);
  nts::check(madvise(page, sizeof(State), MADV_WIPEONFORK) == 0);
  // Neither of these decides whether an answer is safe; a machine that refuses them is served all the same.
  static_cast<void>(madvise(page, sizeof(State), MADV_DONTDUMP));
  static_cast<void>(mlock(page, sizeof(State)));
  state_ = static_cast<State*>(page);
}

RandomPool::~RandomPool() {
  sodium_memzero(state_, sizeof(State));
  munmap(state_, sizeof(State));
}

void RandomPool::refill(std::uint64_t ticks) noexcept {
  if (state_->is_seeded == 0 || state_->blocks == blocks_per_seed) {
    nts::Secret<key_bytes> fresh;
    randombytes_buf(fresh.bytes().data(), key_bytes);
    for (std::size_t i = 0; i < key_bytes; ++i) state_->key[i] ^= fresh.bytes()[i];
    state_->is_seeded = 1;
    state_->blocks = 0;
  }
  ++state_->blocks;
  tier_.expand_ring_key(state_->key.data(), &state_->schedule);
  // Each key seals one block only, so nonces that count from zero never meet the same key twice; the tick
  // behind the count is for keys that another machine has too.
  std::array<std::array<std::uint8_t, nonce_bytes>, messages> nonces{};
  std::array<nts::siv::Job, messages> jobs;
  for (std::uint32_t i = 0; i < messages; ++i) {
    nonces[i][0] = static_cast<std::uint8_t>(i);
    std::memcpy(nonces[i].data() + nonce_bytes - sizeof ticks, &ticks, sizeof ticks);
    jobs[i] = {.associated_data = nothing,
               .nonce = nonces[i].data(),
               .plaintext = zeros.data(),
               .sealed = state_->block.data() + i * sealed_bytes,
               .associated_data_bytes = 0,
               .nonce_bytes = nonce_bytes,
               .plaintext_bytes = message_bytes,
               .authentic = 0};
  }
  tier_.seal_with_ring_key(&state_->schedule, jobs.data(), messages);
  nts::wipe(state_->schedule.bytes);
  std::memcpy(state_->key.data(), state_->block.data(), key_bytes);
  nts::wipe(std::span(state_->block).first(key_bytes));
  state_->used = key_bytes;
}

void RandomPool::fill(std::span<std::uint8_t> bytes) noexcept {
  const std::uint64_t ticks = ticks_();
  const std::span<std::uint8_t> all = bytes;
  while (!bytes.empty()) {
    if (state_->is_seeded == 0 || state_->used == block_bytes) refill(ticks);
    const std::size_t taken = std::min(bytes.size(), block_bytes - state_->used);
    const std::span<std::uint8_t> from = std::span(state_->block).subspan(state_->used, taken);
    std::memcpy(bytes.data(), from.data(), taken);
    nts::wipe(from);
    state_->used += taken;
    bytes = bytes.subspan(taken);
  }
  // One tick for all of them does no harm: each has its own key stream.
  const Nonce tick = {ticks, 0};
  for (std::size_t at = 0; at + nonce_bytes <= all.size(); at += nonce_bytes) {
    Nonce nonce;
    std::memcpy(&nonce, all.data() + at, nonce_bytes);
    nonce ^= tick;
    std::memcpy(all.data() + at, &nonce, nonce_bytes);
  }
}

}  // namespace dataplane
