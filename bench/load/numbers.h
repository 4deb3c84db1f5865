// Every request has a number; everything in it that must be fresh is made from the number and a secret of the
// run, so that an answer can be judged without keeping the request.
//
// The transmit stamp is an invertible mixture of the number: what comes back as origin says which request it
// was. Identifier and nonce differ for every number. A load needs them fresh, not secret: a server cannot
// tell.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "nts/random.h"
#include "nts/wire.h"

namespace bench::load {

inline constexpr std::uint32_t identifier_bytes = 32;  // RFC 8915 section 5.3: at least 32
inline constexpr std::uint32_t nonce_bytes = 16;

// 2^64 / the golden ratio: spreads neighbours.
inline constexpr std::uint64_t mixer = 0x9e37'79b9'7f4a'7c15;

// The inverse of an odd number modulo 2^64. Newton's iteration doubles the bits that are right; an odd number
// is its own inverse in the lowest three.
constexpr std::uint64_t inverse_of(std::uint64_t number) {
  std::uint64_t guess = number;
  for (int i = 0; i < 5; ++i) guess *= 2 - number * guess;
  return guess;
}
inline constexpr std::uint64_t mixer_inverse = inverse_of(mixer);
static_assert(mixer * mixer_inverse == 1);

class Numbers {
 public:
  explicit Numbers(nts::RandomSource& random) {
    random.fill({reinterpret_cast<std::uint8_t*>(secret_.data()), sizeof secret_});
  }

  [[nodiscard]] std::uint64_t transmit_of(std::uint64_t number) const noexcept {
    return number * mixer + secret_[0];
  }
  [[nodiscard]] std::uint64_t number_of(std::uint64_t transmit) const noexcept {
    return (transmit - secret_[0]) * mixer_inverse;
  }
  void write_identifier(std::uint64_t number, std::uint8_t* octets) const noexcept {
    for (std::size_t i = 0; i < 4; ++i) write_word(number, i + 1, octets + 8 * i);
  }
  void write_nonce(std::uint64_t number, std::uint8_t* octets) const noexcept {
    for (std::size_t i = 0; i < 2; ++i) write_word(number, i + 5, octets + 8 * i);
  }

 private:
  // A bijection of the number for each `which`.
  void write_word(std::uint64_t number, std::size_t which, std::uint8_t* octets) const noexcept {
    std::uint64_t word = number + secret_[which];
    word = (word ^ word >> 32) * mixer;
    word ^= word >> 29;
    std::memcpy(octets, &word, sizeof word);
  }

  std::array<std::uint64_t, 7> secret_{};
};

}  // namespace bench::load
