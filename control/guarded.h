// A value in memory of its own: locked, kept out of core dumps, between guard pages, wiped when it goes
// (libsodium's sodium_malloc). For what must never be on a disk: ring keys and what is made of them.
#pragma once

#include <new>
#include <sodium.h>
#include <type_traits>

namespace control {

template <class T>
class Guarded {
  // Wiping is by octets, so there must be nothing to destroy.
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  // sodium_malloc places the end at a page's end; whole multiples of 64 octets keep the start aligned.
  static constexpr std::size_t bytes = (sizeof(T) + 63) / 64 * 64;

 public:
  Guarded() {
    if (sodium_init() < 0) throw std::bad_alloc();
    void* room = sodium_malloc(bytes);
    if (room == nullptr) throw std::bad_alloc();
    value_ = ::new (room) T{};
  }
  ~Guarded() { sodium_free(value_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] T& operator*() noexcept { return *value_; }
  [[nodiscard]] const T& operator*() const noexcept { return *value_; }
  [[nodiscard]] T* operator->() noexcept { return value_; }
  [[nodiscard]] const T* operator->() const noexcept { return value_; }

 private:
  T* value_;
};

}  // namespace control
