// How many NTS-KE connections are open, in all and from each source.
//
// A source is an IPv4 address or an IPv6 /64: what one subscriber usually gets, so that a stranger with a
// whole prefix is still one stranger.
#pragma once

#include <array>
#include <cstdint>
#include <map>

namespace control {

class KeLimits {
 public:
  KeLimits(std::uint32_t all_max, std::uint32_t source_max) : all_max_(all_max), source_max_(source_max) {}

  // Family in front, then the address or the prefix.
  using Source = std::array<std::uint8_t, 9>;
  [[nodiscard]] static Source source_of_ipv4(const std::array<std::uint8_t, 4>& address) noexcept {
    return {4, address[0], address[1], address[2], address[3]};
  }
  [[nodiscard]] static Source source_of_ipv6(const std::array<std::uint8_t, 16>& address) noexcept {
    Source source{6};
    for (std::size_t i = 0; i < 8; ++i) source[i + 1] = address[i];
    return source;
  }

  // Takes a place, or returns false when there is none.
  [[nodiscard]] bool enter(const Source& source) {
    if (all_ >= all_max_) return false;
    std::uint32_t& open = open_[source];
    if (open >= source_max_) return false;
    ++open;
    ++all_;
    return true;
  }
  // Gives a place back.
  void leave(const Source& source) {
    const auto place = open_.find(source);
    if (place == open_.end()) return;
    --all_;
    if (--place->second == 0) open_.erase(place);
  }
  [[nodiscard]] std::uint32_t open() const noexcept { return all_; }

 private:
  std::uint32_t all_max_;
  std::uint32_t source_max_;
  std::uint32_t all_ = 0;
  std::map<Source, std::uint32_t> open_;
};

}  // namespace control
