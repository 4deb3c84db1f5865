// Randomness for one core: a ChaCha20 stream with fast key erasure.
//
// Each refill makes a block of key stream; its first octets become the next key at once and what was handed
// out is wiped, so memory read later tells nothing about nonces already sent. Seeded from the kernel through
// libsodium. One pool per core, never shared: two cores with one state would send equal nonces. The state
// lives in a page of its own that a fork wipes (MADV_WIPEONFORK): the child finds no seed and makes its own.
#pragma once

#include <cstdint>
#include <span>

#include "nts/random.h"

namespace dataplane {

class RandomPool final : public nts::RandomSource {
 public:
  // Stops the process when the kernel gives neither memory nor randomness.
  RandomPool() noexcept;
  ~RandomPool() override;

  void fill(std::span<std::uint8_t> bytes) noexcept override;

 private:
  struct State;
  void refill() noexcept;

  State* state_;  // in its own mapping
};

}  // namespace dataplane
