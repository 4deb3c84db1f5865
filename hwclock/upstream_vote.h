// Many servers, one time: who tells the truth, and what it is (RFC 5905 sections 11.2.1 and 11.2.3).
//
// Each server claims that the truth lies within its root distance of its offset. The truth is where more than
// half of the claims meet; who is not there is a falseticker. With fewer than that in agreement there is no
// answer rather than a guess. Pure, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hwclock {

inline constexpr std::size_t upstreams_max = 16;

// One server's claim; offsets are its clock minus ours.
struct UpstreamClaim {
  std::int64_t offset_ns = 0;
  std::uint64_t distance_ns = 0;  // above upstream_claim_ns_max it is not heard
  std::uint32_t stratum = 0;      // 1..15; anything else is not heard
  bool authenticated = false;
};

// 1.5 s (RFC 5905 MAXDIST is 1 s, plus what a slow poll adds): a claim wider than this says nothing.
inline constexpr std::uint64_t upstream_claim_ns_max = 1'500'000'000;

struct UpstreamVote {
  std::uint32_t heard = 0;        // claims that counted
  std::uint32_t agreeing = 0;     // of them; 0: no majority
  std::uint32_t members = 0;      // bit i: claim i agrees
  std::int64_t low_ns = 0;        // the truth minus our clock lies here ...
  std::int64_t high_ns = 0;       // ... if most of them are honest
  std::int64_t offset_ns = 0;     // the best guess inside, weighed by 1/distance
  std::uint64_t distance_ns = 0;  // and how far it may be from either end
};

// Reads the first upstreams_max claims.
[[nodiscard]] UpstreamVote vote(std::span<const UpstreamClaim> claims, bool authenticated_only) noexcept;

}  // namespace hwclock
