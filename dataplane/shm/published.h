// One value, one writer, any number of readers, nobody waits.
//
// Invariants
//   (1) `generation_` is odd exactly while the words may be torn.
//   (2) Only the writer changes anything. A writer that died at an odd generation is healed by the next
//   publish. (3) A reader that meets a write in progress gets nothing and keeps the value it has.
// The copy goes through relaxed atomic words, then an acquire fence, then the re-check of the generation: an
// acquire load alone would not keep the copy in front of it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "nts/secret.h"

namespace shm {

// Published::publish() with nothing to do halfway.
struct Nothing {
  void operator()() const noexcept {}
};

template <class T>
class Published {
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0, "pad the value to whole words");
  static constexpr std::size_t words = sizeof(T) / sizeof(std::uint64_t);

 public:
  // Makes `value` the one that readers see. One writer only. `halfway` is called while the words are torn:
  // tests kill the writer there (failpoint.h).
  template <class Halfway = Nothing>
  void publish(const T& value, Halfway halfway = {}) noexcept {
    std::uint64_t generation = generation_.load(std::memory_order_relaxed);
    if (generation % 2 == 0)
      ++generation;  // already odd: a writer died here, and we write over its torn words
    generation_.store(generation, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    const auto* from = reinterpret_cast<const unsigned char*>(&value);
    for (std::size_t i = 0; i < words; ++i) {
      std::uint64_t word;
      std::memcpy(&word, from + i * sizeof word, sizeof word);
      words_[i].store(word, std::memory_order_relaxed);
      if (i == words / 2) halfway();
    }
    // 0 means "nothing yet": the one generation that the wrap passes over.
    const std::uint64_t next = generation + 1 == 0 ? 2 : generation + 1;
    generation_.store(next, std::memory_order_release);
  }

  // Rises by two with every publication and passes over 0 when it wraps; 0 = nothing was ever published. One
  // load: cheap enough per burst.
  [[nodiscard]] std::uint64_t generation() const noexcept {
    return generation_.load(std::memory_order_acquire);
  }

  // Copies the value into `value` and its generation into `seen`. Returns false, and changes neither, when
  // nothing was published or a write is in progress.
  [[nodiscard]] bool read(T& value, std::uint64_t& seen) const noexcept {
    const std::uint64_t before = generation_.load(std::memory_order_acquire);
    if (before == 0 || before % 2 != 0) return false;
    std::array<std::uint64_t, words> copy;
    for (std::size_t i = 0; i < words; ++i) copy[i] = words_[i].load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    const bool is_whole = generation_.load(std::memory_order_relaxed) == before;
    if (is_whole) {
      std::memcpy(static_cast<void*>(&value), copy.data(), sizeof value);
      seen = before;
    }
    // The value may be a key ring: no second copy of it stays behind on the stack.
    nts::wipe({reinterpret_cast<std::uint8_t*>(copy.data()), sizeof copy});
    return is_whole;
  }

 private:
  std::atomic<std::uint64_t> generation_{0};
  std::array<std::atomic<std::uint64_t>, words> words_{};
};

}  // namespace shm
