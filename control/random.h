// Randomness for the pure half, from the system: libsodium over getrandom().
#pragma once

#include <new>
#include <sodium.h>

#include "nts/random.h"

namespace control {

class SystemRandom final : public nts::RandomSource {
 public:
  SystemRandom() {
    if (sodium_init() < 0) throw std::bad_alloc();
  }
  void fill(std::span<std::uint8_t> bytes) noexcept override { randombytes_buf(bytes.data(), bytes.size()); }
};

}  // namespace control
