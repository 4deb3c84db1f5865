// Nonces for programs that are measured or watched: the same in every run, and made by nothing that is itself
// looked at.
#pragma once

#include <cstdint>
#include <span>

#include "nts/random.h"

namespace secrets {

class CountingRandom final : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> octets) noexcept override {
    for (std::uint8_t& octet : octets) octet = ++next_;
  }

 private:
  std::uint8_t next_ = 0;
};

}  // namespace secrets
