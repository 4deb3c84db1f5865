// Bytes that nobody may learn: wiped when they go, compared without telling where they differ.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nts {

// Overwrites `bytes` with zeros in a way the compiler may not remove.
inline void wipe(std::span<std::uint8_t> bytes) noexcept {
  for (std::uint8_t& byte : bytes) byte = 0;
  // The barrier says that memory is read here, so the stores above are not dead.
  __asm__ __volatile__("" : : "r"(bytes.data()) : "memory");
}

inline constexpr std::size_t spilled_bytes_max = std::size_t{48} * 1024;  // of the deepest tier, twice over

// Overwrites what finished calls have left on the stack below the caller's frame: what a compiler spilled
// there has no owner who could wipe it. For when a key goes for good, not for every burst.
[[gnu::noinline]] inline void wipe_stack_below() noexcept {
  std::array<std::uint8_t, spilled_bytes_max> left;  // on purpose as it is found
  wipe(left);
}

// True when both hold the same octets. Takes the same time wherever they differ.
[[nodiscard]] inline bool equal_in_constant_time(std::span<const std::uint8_t> left,
                                                 std::span<const std::uint8_t> right) noexcept {
  if (left.size() != right.size()) return false;  // Lengths are public.
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < left.size(); ++i) difference |= static_cast<std::uint8_t>(left[i] ^ right[i]);
  return difference == 0;
}

// A fixed-size secret that wipes itself.
template <std::size_t Bytes>
class Secret {
 public:
  Secret() = default;
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { wipe(bytes_); }

  [[nodiscard]] std::span<std::uint8_t, Bytes> bytes() noexcept { return bytes_; }
  [[nodiscard]] std::span<const std::uint8_t, Bytes> bytes() const noexcept { return bytes_; }

 private:
  std::array<std::uint8_t, Bytes> bytes_{};
};

}  // namespace nts
