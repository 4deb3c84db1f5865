#include "dataplane/wide_sum.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "dataplane/checksum.h"

namespace dataplane {

#if defined(__x86_64__)
extern const WideSumTier wide_sum_avx512;
#endif

namespace {

// Words of 32 bits are added up in halves of 64: no addition waits for another's carry, and the four sums for
// none of each other. Each register is a variable of its own: gcc 12 keeps an array of them in memory.
std::uint64_t sum_by_pairs(const std::uint8_t* octets, std::size_t bytes) {
  using Pair [[gnu::vector_size(16)]] = std::uint64_t;
  constexpr std::uint64_t low_word = 0xffff'ffff;
  Pair first_low{}, first_high{}, second_low{}, second_high{};
  for (; bytes >= 32; bytes -= 32, octets += 32) {
    Pair first, second;
    std::memcpy(&first, octets, sizeof first);
    std::memcpy(&second, octets + sizeof first, sizeof second);
    first_low += first & low_word;
    first_high += first >> 32;
    second_low += second & low_word;
    second_high += second >> 32;
  }
  first_low += first_high + (second_low + second_high);
  return plus(plus(first_low[0], first_low[1]), sum_narrow(octets, bytes));
}

constexpr WideSumTier by_pairs = {"by pairs", [] { return true; }, sum_by_pairs};

const WideSumTier tiers[] = {
#if defined(__x86_64__)
    wide_sum_avx512,
#endif
    by_pairs,
};

}  // namespace

std::span<const WideSumTier> wide_sum_tiers() noexcept { return tiers; }

const WideSum sum_wide = std::find_if(std::begin(tiers), std::end(tiers), [](const WideSumTier& tier) {
                           return tier.cpu_can_run();
                         })->sum;

}  // namespace dataplane
