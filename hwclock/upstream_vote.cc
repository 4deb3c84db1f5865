#include "hwclock/upstream_vote.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace hwclock {
namespace {

constexpr std::uint32_t stratum_max = 15;
constexpr std::int64_t offset_ns_max = std::int64_t{1} << 62;  // sums with a distance stay in range

struct Edge {
  std::int64_t ns;
  int type;  // -1 where a claim begins, 0 in its middle, 1 where it ends
};

bool is_heard(const UpstreamClaim& claim, bool authenticated_only) noexcept {
  return claim.stratum >= 1 && claim.stratum <= stratum_max && claim.distance_ns <= upstream_claim_ns_max &&
         claim.offset_ns > -offset_ns_max && claim.offset_ns < offset_ns_max &&
         (claim.authenticated || !authenticated_only);
}

std::int64_t begin_of(const UpstreamClaim& claim) noexcept {
  return claim.offset_ns - static_cast<std::int64_t>(claim.distance_ns);
}
std::int64_t end_of(const UpstreamClaim& claim) noexcept {
  return claim.offset_ns + static_cast<std::int64_t>(claim.distance_ns);
}

// RFC 5905 section 11.2.1: the smallest stretch that all but `allowed` claims share, with no more than as
// many middles outside. False when there is none for any minority.
bool intersect(std::span<const Edge> edges, int heard, std::int64_t& low, std::int64_t& high) noexcept {
  for (int allowed = 0; 2 * allowed < heard; ++allowed) {
    int outside = 0;
    int open = 0;
    bool has_low = false;
    for (auto edge = edges.begin(); edge != edges.end() && !has_low; ++edge) {
      open -= edge->type;
      has_low = open >= heard - allowed;
      if (has_low) low = edge->ns;
      if (!has_low && edge->type == 0) ++outside;
    }
    open = 0;
    bool has_high = false;
    for (auto edge = edges.rbegin(); edge != edges.rend() && !has_high; ++edge) {
      open += edge->type;
      has_high = open >= heard - allowed;
      if (has_high) high = edge->ns;
      if (!has_high && edge->type == 0) ++outside;
    }
    if (has_low && has_high && outside <= allowed && low <= high) return true;
  }
  return false;
}

}  // namespace

UpstreamVote vote(std::span<const UpstreamClaim> claims, bool authenticated_only) noexcept {
  claims = claims.first(std::min(claims.size(), upstreams_max));
  UpstreamVote result;
  std::array<Edge, 3 * upstreams_max> edges{};
  std::size_t edge_count = 0;
  for (const UpstreamClaim& claim : claims) {
    if (!is_heard(claim, authenticated_only)) continue;
    ++result.heard;
    edges[edge_count++] = {begin_of(claim), -1};
    edges[edge_count++] = {claim.offset_ns, 0};
    edges[edge_count++] = {end_of(claim), 1};
  }
  const std::span<Edge> all = std::span(edges).first(edge_count);
  // Claims that only touch have that point in common: beginnings come before ends.
  std::sort(all.begin(), all.end(),
            [](const Edge& a, const Edge& b) { return std::tie(a.ns, a.type) < std::tie(b.ns, b.type); });
  if (!intersect(all, static_cast<int>(result.heard), result.low_ns, result.high_ns)) {
    result.low_ns = result.high_ns = 0;
    return result;
  }

  double weights = 0.0;
  double weighed = 0.0;  // from low_ns, so that a double holds it
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const UpstreamClaim& claim = claims[i];
    if (!is_heard(claim, authenticated_only)) continue;
    if (end_of(claim) < result.low_ns || begin_of(claim) > result.high_ns) continue;
    ++result.agreeing;
    result.members |= 1U << i;
    const double weight = 1.0 / static_cast<double>(std::max<std::uint64_t>(claim.distance_ns, 1));
    weights += weight;
    weighed += weight * static_cast<double>(claim.offset_ns - result.low_ns);
  }
  result.offset_ns =
      std::clamp(result.low_ns + std::lround(weighed / weights), result.low_ns, result.high_ns);
  result.distance_ns = static_cast<std::uint64_t>(
      std::max(result.offset_ns - result.low_ns, result.high_ns - result.offset_ns));
  return result;
}

}  // namespace hwclock
