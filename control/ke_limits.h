// What one stranger may take of us over NTS-KE: how many connections are open, in all and from each source,
// and how long and how much each of them may go on.
//
// A slow client is dropped in the phase it is slow in (TESTS.md T8, E18): else each of them would hold its
// place for as long as the whole conversation may take. A source is an IPv4 address or an IPv6 /64: what one
// subscriber usually gets, so that a stranger with a whole prefix is still one stranger.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

namespace control {

// What we read of one connection at most. Enough for the longest ClientHello that OpenSSL takes (128 KiB) and
// a message of 4096 octets in TLS records of one octet each (92 KiB); whoever sends more floods us, with
// KeyUpdates for instance, each of which costs a key derivation.
inline constexpr std::size_t conversation_bytes_max = std::size_t{256} * 1024;

// What we wait for, in the order of a conversation.
enum class KePhase : std::uint8_t {
  hello,     // a whole ClientHello
  finished,  // the client's end of the handshake
  request,   // End of Message
  farewell,  // its close, after our answer
};

// Until when a connection may go on: every phase has its time, and all together have theirs.
class KeDeadline {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  using Milliseconds = std::chrono::milliseconds;
  KeDeadline(Instant accepted, Milliseconds phase_max, Milliseconds all_max)
      : phase_max_(phase_max), end_(accepted + all_max), phase_end_(std::min(end_, accepted + phase_max)) {}

  // To be told the phase after everything that may have changed it.
  void enter(KePhase phase, Instant now) noexcept {
    if (phase == phase_) return;  // octets alone buy no time
    phase_ = phase;
    phase_end_ = std::min(end_, now + phase_max_);
  }
  [[nodiscard]] Instant at() const noexcept { return phase_end_; }

 private:
  Milliseconds phase_max_;
  Instant end_;
  Instant phase_end_;
  KePhase phase_ = KePhase::hello;
};

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

  // For those that come from now on.
  void set_source_max(std::uint32_t source_max) noexcept { source_max_ = source_max; }

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
