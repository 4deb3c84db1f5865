// One core's counters: counted privately, committed to its line of the stats page.
//
// The private ones are plain numbers that no other core reads, so counting costs an increment. A commit is a
// row of relaxed stores; readers see each counter true by itself, and the sums agree once the core is idle.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/shm/pages.h"

namespace dataplane {

struct Counters {
  std::uint64_t bursts = 0;
  std::uint64_t received_packets = 0;
  std::uint64_t received_octets = 0;
  std::uint64_t sent_packets = 0;
  std::uint64_t sent_octets = 0;
  std::uint64_t cookies_issued = 0;
  std::uint64_t kernel_sent_packets = 0;
  std::uint64_t kernel_sent_octets = 0;
  std::uint64_t kernel_unsent_packets = 0;
  std::array<std::uint64_t, shm::frame_verdict_count> frame{};
  std::array<std::uint64_t, nts::verdict_count> verdict{};

  void count(shm::FrameVerdict why) noexcept { ++frame[static_cast<std::size_t>(why)]; }
  void count(nts::Verdict why) noexcept { ++verdict[static_cast<std::size_t>(why)]; }

  // Every packet that came in has exactly one verdict: this and received_packets are equal between bursts.
  [[nodiscard]] std::uint64_t verdicts() const noexcept;
};

// Makes the line belong to this process: counters to zero, nothing acknowledged, the instance id last.
void claim(shm::CoreStats& line, std::uint64_t instance_id, std::uint32_t cpu) noexcept;

// Publishes the counters, the acknowledged ring and the sign of life.
void commit(const Counters& counters, std::uint64_t acknowledged_keys, std::uint64_t now_tsc,
            shm::CoreStats& line) noexcept;

}  // namespace dataplane
