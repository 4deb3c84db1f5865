// What is left of keys when those who used them are done: on the stack below them, and in every block of the
// heap at the moment it is freed. Included by one file of a program.
//
// The keys are made where they are used, so that no other copy of them is in the program. Looked for are also
// the round keys that they expand to (FIPS 197 section 5.2), of which one or two give the key away: these
// stand in a table, outside of stack and heap.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <new>

namespace secrets {

constexpr std::size_t key_bytes_max = 64;
constexpr std::size_t seen_bytes = 8;  // so many octets of a key in a row are no chance
enum class Whose : std::uint8_t { secret, ring, c2s, s2c, count };

// SplitMix64 (Steele, Lea, Flood 2014): the octets stand nowhere before they are asked for.
[[gnu::always_inline]] inline std::uint8_t octet_of(Whose whose, std::size_t at) {
  std::uint64_t mixed = (static_cast<std::uint64_t>(whose) + 1) * 0x1000 + at;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return static_cast<std::uint8_t>(mixed ^ mixed >> 31);
}
[[gnu::always_inline]] inline void make(Whose whose, std::uint8_t* key, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; ++at) {
    std::size_t place = at;
    __asm__ __volatile__("" : "+r"(place));  // no compiler may make the octets in advance
    key[at] = octet_of(whose, place);
  }
}

// ---- Round keys ----

// By the definition, in loops that take their time.
inline std::uint8_t sbox(std::uint8_t octet) {
  const auto times = [](unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b != 0; b >>= 1, a = a << 1 ^ (a >> 7) * 0x11b) product ^= b % 2 * a;
    return product;
  };
  unsigned inverse = 0;
  for (unsigned other = 1; octet != 0 && inverse == 0; ++other)
    inverse = times(octet, other) == 1 ? other : 0;
  unsigned out = 0x63;
  for (const unsigned turn : {0U, 1U, 2U, 3U, 4U}) out ^= (inverse << turn | inverse >> (8 - turn)) & 0xff;
  return static_cast<std::uint8_t>(out);
}

using Part = std::array<std::uint8_t, seen_bytes>;
struct RoundKeys {
  std::array<Part, 1024> parts;
  std::size_t count = 0;

  void add(const std::uint8_t* word, const std::uint8_t* next_word) {
    if (count == parts.size()) std::abort();
    std::copy_n(word, 4, parts[count].begin());
    std::copy_n(next_word, 4, parts[count++].begin() + 4);
  }
  // Two words in a row, and each word twice: as it stands when lanes hold the same key, by words.
  void add_schedule_of(Whose whose, std::size_t from, std::size_t key_bytes) {
    std::array<std::array<std::uint8_t, 4>, 60> words{};
    const std::size_t key_words = key_bytes / 4;
    const std::size_t all_words = 4 * (key_words + 7);
    std::uint8_t round_constant = 1;
    for (std::size_t n = 0; n < all_words; ++n) {
      std::array<std::uint8_t, 4>& word = words[n];
      if (n < key_words) {
        for (std::size_t i = 0; i < 4; ++i) word[i] = octet_of(whose, from + 4 * n + i);
      } else {
        word = words[n - 1];
        const bool begins = n % key_words == 0;
        if (begins || (key_words > 6 && n % key_words == 4)) {
          for (std::uint8_t& octet : word) octet = sbox(octet);
          add(word.data(), word.data());
        }
        if (begins) {
          std::rotate(word.begin(), word.begin() + 1, word.end());
          word[0] = static_cast<std::uint8_t>(word[0] ^ round_constant);
          round_constant = static_cast<std::uint8_t>(round_constant << 1 ^ (round_constant >> 7) * 0x1b);
        }
        for (std::size_t i = 0; i < 4; ++i) {
          word[i] = static_cast<std::uint8_t>(word[i] ^ words[n - key_words][i]);
        }
      }
      add(word.data(), word.data());
      if (n % 2 == 1) add(words[n - 1].data(), word.data());
    }
  }
};
inline RoundKeys round_keys;  // that are looked for beside the keys

// ---- Looking ----

// Compares octet by octet, and so makes no copy of its own. `where`: nullptr to count them quietly.
[[gnu::noinline]] inline std::size_t keys_in(const volatile std::uint8_t* octets, std::size_t bytes,
                                             const char* where) {
  std::size_t found = 0;
  const auto tell = [&](const char* what, std::size_t which, std::size_t part, std::size_t at) {
    if (++found < 10 && where != nullptr)
      std::printf("%s %zu from octet %zu on: %s, %zu of %zu\n", what, which, part, where, at, bytes);
  };
  for (std::size_t at = 0; at + seen_bytes <= bytes; ++at) {
    for (std::uint8_t whose = 0; whose < static_cast<std::uint8_t>(Whose::count); ++whose) {
      for (std::size_t part = 0; part < key_bytes_max; part += seen_bytes) {
        std::size_t equal = 0;
        while (equal < seen_bytes && octets[at + equal] == octet_of(static_cast<Whose>(whose), part + equal))
          ++equal;
        if (equal == seen_bytes) tell("key", whose, part, at);
      }
    }
    for (std::size_t i = 0; i < round_keys.count; ++i) {
      std::size_t equal = 0;
      while (equal < seen_bytes && octets[at + equal] == round_keys.parts[i][equal]) ++equal;
      if (equal == seen_bytes) tell("part of a round key", i, 0, at);
    }
  }
  return found;
}

inline bool looks_at_heap = false;
inline std::size_t left_on_heap = 0;

constexpr std::size_t stack_bytes = 256 * 1024;
constexpr std::size_t room_bytes = 4096;

// What the calls before have left below the frame of the caller.
[[gnu::noinline]] inline std::size_t left_on_stack(const char* where) {
  const auto* here = static_cast<const std::uint8_t*>(__builtin_frame_address(0));
  return keys_in(here - stack_bytes, stack_bytes - room_bytes / 2, where);
}
// Touches the stack once, so that all of it is there, and clean.
[[gnu::noinline]] inline void clean_stack() {
  volatile std::uint8_t room[stack_bytes + room_bytes];
  for (std::size_t at = 0; at < sizeof room; ++at) room[at] = 0;
}

// Runs `call` so far down that looking at what it left does not overwrite it.
template <class Call>
[[gnu::noinline]] void far_down(const Call& call) {
  std::uint8_t room[room_bytes];
  __asm__ __volatile__("" : : "r"(room) : "memory");  // all of it is there
  call();
  __asm__ __volatile__("" : : "r"(room) : "memory");
}

}  // namespace secrets

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
  if (block != nullptr && secrets::looks_at_heap) {
    secrets::left_on_heap +=
        secrets::keys_in(static_cast<const std::uint8_t*>(block), malloc_usable_size(block), "a freed block");
  }
  std::free(block);
}
void operator delete(void* block) noexcept { free_looked_at(block); }
void operator delete(void* block, std::size_t) noexcept { free_looked_at(block); }
void operator delete(void* block, std::align_val_t) noexcept { free_looked_at(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { free_looked_at(block); }
