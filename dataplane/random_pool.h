// Randomness for one core: AES key stream by the core's own AES-SIV tier, with fast key erasure.
//
// Each refill seals zeros, which comes to a block of key stream; its first octets become the next key at once
// and what was handed out is wiped, so memory read later tells nothing about nonces already sent. Seeded from
// the kernel through libsodium, and anew every few thousand requests; libsodium's own ChaCha20 took an eighth
// of an NTS request. One pool per core, never shared: two cores with one state would send equal nonces. The
// state lives in a page of its own that a fork wipes (MADV_WIPEONFORK): the child finds no seed and makes its
// own.
//
// Nobody tells a process that its machine was restored from a snapshot, perhaps twice. So every fill mixes
// the time stamp counter into each nonce it hands out, every refill into the stream, and the kernel's
// randomness goes on top of the old key. Two machines with one state then give the same nonce only where they
// draw the same octets at the very same tick, and nowhere after the next seed, which two kernels of one
// snapshot make differently (vmgenid, in Linux since 5.18; before that, as soon as either has gathered
// anything).
#pragma once

#include <cstdint>
#include <span>
#include <x86intrin.h>

#include "nts/random.h"
#include "nts/siv/siv.h"

namespace dataplane {

[[nodiscard]] inline std::uint64_t read_ticks() noexcept { return __rdtsc(); }

class RandomPool final : public nts::RandomSource {
 public:
  using Ticks = std::uint64_t (*)() noexcept;

  // Stops the process when the kernel gives neither memory nor randomness. `tier` outlives this; without one
  // it is the tier that runs on any CPU, which is slow. Another `ticks` is for tests of what the TSC is good
  // for.
  explicit RandomPool(const nts::siv::Kernels& tier = *nts::siv::all_tiers().back(),
                      Ticks ticks = read_ticks) noexcept;
  ~RandomPool() override;

  void fill(std::span<std::uint8_t> bytes) noexcept override;

 private:
  struct State;
  void refill(std::uint64_t ticks) noexcept;

  const nts::siv::Kernels& tier_;
  Ticks ticks_;
  State* state_;  // in its own mapping
};

}  // namespace dataplane
