// A RandomPool that everybody can predict: the replay links this file instead of dataplane/random_pool.cc, so
// the product has no switch that could be left on. Octets never repeat within a run, as real nonces do not.
#include "dataplane/random_pool.h"

namespace dataplane {

struct RandomPool::State {
  std::uint64_t word = 0;
};

RandomPool::RandomPool(const nts::siv::Kernels& tier, Ticks ticks) noexcept
    : tier_(tier), ticks_(ticks), state_(new State) {}

RandomPool::~RandomPool() { delete state_; }

void RandomPool::refill(std::uint64_t) noexcept { static_cast<void>(tier_), static_cast<void>(ticks_); }

// SplitMix64 (Steele, Lea, Flood 2014), an octet a step: any split of the calls gives the same octets.
void RandomPool::fill(std::span<std::uint8_t> bytes) noexcept {
  for (std::uint8_t& octet : bytes) {
    std::uint64_t mixed = state_->word += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    octet = static_cast<std::uint8_t>(mixed ^ mixed >> 31);
  }
}

}  // namespace dataplane
