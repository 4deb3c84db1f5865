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

// A burst of 32 NTS requests takes 1 KiB of nonces: a refill every other burst, 2 us of ChaCha20.
constexpr std::size_t block_bytes = 2048;
constexpr std::size_t key_bytes = crypto_stream_chacha20_KEYBYTES;
// Each key encrypts one block only, so a constant nonce never meets the same key twice.
constexpr std::array<std::uint8_t, crypto_stream_chacha20_NONCEBYTES> nonce{};

}  // namespace

struct RandomPool::State {
  std::uint64_t is_seeded;  // 0 in fresh memory, and again in a forked child
  std::size_t used;         // octets of `block` already handed out, the key's included
  std::array<std::uint8_t, key_bytes> key;
  std::array<std::uint8_t, block_bytes> block;
};

RandomPool::RandomPool() noexcept {
  nts::check(sodium_init() >= 0);  // opens the kernel's source and picks the CPU's ChaCha20
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

void RandomPool::refill() noexcept {
  if (state_->is_seeded == 0) {
    randombytes_buf(state_->key.data(), key_bytes);
    state_->is_seeded = 1;
  }
  nts::check(crypto_stream_chacha20(state_->block.data(), block_bytes, nonce.data(), state_->key.data()) ==
             0);
  std::memcpy(state_->key.data(), state_->block.data(), key_bytes);
  nts::wipe(std::span(state_->block).first(key_bytes));
  state_->used = key_bytes;
}

void RandomPool::fill(std::span<std::uint8_t> bytes) noexcept {
  while (!bytes.empty()) {
    if (state_->is_seeded == 0 || state_->used == block_bytes) refill();
    const std::size_t taken = std::min(bytes.size(), block_bytes - state_->used);
    const std::span<std::uint8_t> from = std::span(state_->block).subspan(state_->used, taken);
    std::memcpy(bytes.data(), from.data(), taken);
    nts::wipe(from);
    state_->used += taken;
    bytes = bytes.subspan(taken);
  }
}

}  // namespace dataplane
