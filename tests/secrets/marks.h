// Secrets, marked so that a checker sees every branch and every address that depends on one.
//
// A secret is declared undefined: memcheck (built by gcc, run under valgrind) or MemorySanitizer (built by
// clang) then follows it through registers and memory, and reports where it decides something. Without either
// nothing is marked, and is_watched() says so.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define NOONMARK_MSAN 1
#endif
#endif

#ifdef NOONMARK_MSAN
#include <sanitizer/msan_interface.h>
#else
#include <cstdint>
#include <valgrind/memcheck.h>
#endif

namespace secrets {

// True when somebody looks: otherwise a run proves nothing, and the program must say so.
inline bool is_watched() noexcept {
#ifdef NOONMARK_MSAN
  return true;
#else
  return RUNNING_ON_VALGRIND != 0;
#endif
}

inline void mark_secret(const void* at, std::size_t bytes) noexcept {
#ifdef NOONMARK_MSAN
  __msan_poison(at, bytes);
#else
  static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(at, bytes));
#endif
}

// What everybody may know. Each call is on the list in watched_tiers.cc or watched_server.cc.
inline void reveal(const void* at, std::size_t bytes) noexcept {
#ifdef NOONMARK_MSAN
  __msan_unpoison(at, bytes);
#else
  static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(at, bytes));
#endif
}

// True when every octet of the range is still followed: the checker did not lose the secret on the way.
inline bool is_secret(const void* at, std::size_t bytes) noexcept {
  const auto* octets = static_cast<const unsigned char*>(at);
  for (std::size_t i = 0; i < bytes; ++i) {
#ifdef NOONMARK_MSAN
    if (__msan_test_shadow(octets + i, 1) == -1) return false;
#else
    unsigned char undefined_bits = 0;
    if (VALGRIND_GET_VBITS(octets + i, &undefined_bits, 1) != 1 || undefined_bits == 0) return false;
#endif
  }
  return true;
}

}  // namespace secrets
