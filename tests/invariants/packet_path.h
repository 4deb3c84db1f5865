// The worker's packet path without its mbufs: frames of a burst through unwrap, nts::Server and wrap, every
// frame with one verdict. What holds here for any octets holds on every port.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/frame.h"
#include "dataplane/stats.h"
#include "nts/server.h"
#include "nts/siv/siv.h"
#include "tests/support/frame_builder.h"

namespace tests {

// As tests/golden/world.py: the captures' frames are addressed to it.
inline constexpr Mac golden_mac = {0x02, 0x70, 0x63, 0x61, 0x70, 0x00};

// Predictable and never repeating (SplitMix64: Steele, Lea, Flood 2014).
class Chance final : public nts::RandomSource {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> octets) noexcept override {
    for (std::uint8_t& octet : octets) octet = static_cast<std::uint8_t>(word());
  }
  [[nodiscard]] std::uint64_t word() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }
  // A number below `limit`, which is not 0.
  [[nodiscard]] std::size_t below(std::size_t limit) noexcept { return word() % limit; }
  [[nodiscard]] bool one_in(std::size_t many) noexcept { return below(many) == 0; }

 private:
  std::uint64_t state_;
};

class PacketPath {
 public:
  // Both outlive it. Without a tier, the best one; the other AEADs by the best they have.
  explicit PacketPath(nts::RandomSource& random, const nts::siv::Kernels& tier = *nts::siv::choose_tier());

  // What a burst came to: `frames` with each answer where its request was, empty where there is none.
  // `payload_bytes` are the requests', `answer_bytes` the answers' UDP payloads, `answered_under` the AEAD of
  // those with NTS.
  struct Outcome {
    std::array<std::uint32_t, nts::burst_max> payload_bytes{};
    std::array<std::uint32_t, nts::burst_max> answer_bytes{};
    std::array<nts::AeadRow, nts::burst_max> answered_under{};
  };
  // `treatment` is that of each frame's source; none: all are served.
  Outcome serve(std::span<Octets> frames, const nts::Policy& policy, bool has_keys,
                std::span<const nts::Treatment> treatment = {});

  [[nodiscard]] const dataplane::Counters& counters() const { return counters_; }

 private:
  dataplane::Local local_;
  nts::ExpandedKeyRing keys_;
  nts::ExpandedKeyRing no_keys_;
  nts::Server server_;
  nts::ClockReading clock_;
  nts::Batch batch_;
  dataplane::Counters counters_;
};

}  // namespace tests
