// Where the packet core gets its randomness: injected, so that a test or a golden capture can fix it.
#pragma once

#include <cstdint>
#include <span>

namespace nts {

class RandomSource {
 public:
  RandomSource() = default;
  RandomSource(const RandomSource&) = delete;
  RandomSource& operator=(const RandomSource&) = delete;
  virtual ~RandomSource() = default;

  // Fills `bytes` with octets nobody can predict. Called a few times per burst, never per octet. Does not
  // fail: a source that cannot deliver stops the process.
  virtual void fill(std::span<std::uint8_t> bytes) noexcept = 0;
};

}  // namespace nts
