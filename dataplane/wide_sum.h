// The internet checksum's sum over many octets, in the widest registers that this CPU has: an NTS request is
// summed once on the way in, and its answer once on the way out.
//
// A way of summing is one function in a file of its own, chosen once at the start of the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dataplane {

// A partial sum in checksum.h's sense of `bytes` octets, at most wide_octets_max; reads no others.
using WideSum = std::uint64_t (*)(const std::uint8_t* octets, std::size_t bytes);

// What words of 32 bits, added up in halves of 64, never carry out of; far more than any frame.
inline constexpr std::size_t wide_octets_max = 65536;

struct WideSumTier {
  const char* name;
  bool (*cpu_can_run)();
  WideSum sum;
};

// Every way in this binary, best first; the last one runs on any CPU.
[[nodiscard]] std::span<const WideSumTier> wide_sum_tiers() noexcept;

// The first of them that this CPU runs.
extern const WideSum sum_wide;

}  // namespace dataplane
