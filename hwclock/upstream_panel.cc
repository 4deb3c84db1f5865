#include "hwclock/upstream_panel.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "hwclock/upstream_filter.h"

namespace hwclock {
namespace {

constexpr std::uint32_t stratum_to_follow_max = 14;  // ours is one more, and 16 is "unsynchronised"

UpstreamEstimate estimate_of(const UpstreamNews& news) noexcept {
  UpstreamEstimate estimate;
  estimate.delay_ns = news.delay_ns;
  estimate.dispersion_ns = news.dispersion_ns;
  estimate.jitter_ns = news.jitter_ns;
  estimate.root_delay_ns = news.root_delay_ns;
  estimate.root_dispersion_ns = news.root_dispersion_ns;
  return estimate;
}

struct Edge {
  std::int64_t ns;
  int opens;  // 1 where a claim begins, -1 where it ends
};

// From the first to the last point that all but a minority of the claims share; the further end from 0.
std::optional<std::uint64_t> spread_of(std::span<Edge> edges) noexcept {
  const auto wanted = static_cast<int>(edges.size() / 4 + 1);  // of n claims, two edges each: more than half
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    return a.ns != b.ns ? a.ns < b.ns
                        : a.opens > b.opens;  // claims that only touch have that point in common
  });
  std::optional<std::int64_t> low;
  std::int64_t high = 0;
  int open = 0;
  for (const Edge& edge : edges) {
    if (open >= wanted) high = edge.ns;
    open += edge.opens;
    if (open >= wanted && !low) low = edge.ns;
  }
  if (!low) return std::nullopt;
  return static_cast<std::uint64_t>(std::max({-*low, high, std::int64_t{0}}));
}

}  // namespace

std::int64_t ClockGuess::at(std::uint64_t other_tick) const noexcept {
  const auto passed = static_cast<std::int64_t>(other_tick - tick);
  return ns + std::llround(static_cast<long double>(passed) * static_cast<long double>(ns_per_tick));
}

std::uint64_t root_distance_ns(const UpstreamNews& news, std::int64_t age_ns) noexcept {
  return estimate_of(news).root_distance_ns(age_ns);
}

std::uint64_t dispersion_ns_after(const UpstreamNews& news, std::int64_t age_ns) noexcept {
  UpstreamNews undelayed = news;
  undelayed.delay_ns = undelayed.root_delay_ns = 0;
  return root_distance_ns(undelayed, age_ns) - upstream_delay_min_ns / 2;
}

std::uint64_t exact_distance_ns(const UpstreamNews& news, std::int64_t age_ns) noexcept {
  return (news.root_delay_ns + news.delay_ns) / 2 + dispersion_ns_after(news, age_ns);
}

PanelView UpstreamPanel::against(const ClockGuess& clock, bool authenticated_only) const noexcept {
  PanelView view;
  view.count = count_;
  std::array<Edge, 2 * upstreams_max> edges{};
  std::size_t edge_count = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const UpstreamMember& member = members_[i];
    if (!member.has_news) continue;  // a claim of stratum 0 is not heard
    const std::int64_t age_ns = clock.ns - clock.at(member.news.newest_tick);
    UpstreamClaim& claim = view.claims[i];
    claim.offset_ns = member.news.utc_ns - clock.at(member.news.tick);
    claim.distance_ns = root_distance_ns(member.news, age_ns);
    claim.stratum = member.stratum;
    claim.authenticated = member.authenticated;
    if (claim.distance_ns > upstream_claim_ns_max || (authenticated_only && !claim.authenticated)) continue;
    const auto exact_ns = static_cast<std::int64_t>(exact_distance_ns(member.news, age_ns));
    edges[edge_count++] = {claim.offset_ns - exact_ns, 1};
    edges[edge_count++] = {claim.offset_ns + exact_ns, -1};
  }
  view.spread_ns = spread_of(std::span(edges).first(edge_count));
  view.vote = vote(std::span(view.claims).first(count_), authenticated_only);
  if (view.vote.agreeing == 0) return view;
  for (std::size_t i = 0; i < count_; ++i) {
    if ((view.vote.members >> i & 1) == 0 || !members_[i].may_lead) continue;
    const UpstreamClaim& claim = view.claims[i];
    if (claim.stratum > stratum_to_follow_max) continue;
    const auto rank = [](const UpstreamClaim& one) { return std::tie(one.stratum, one.distance_ns); };
    if (!view.leader || rank(claim) < rank(view.claims[*view.leader])) view.leader = i;
  }
  return view;
}

UpstreamPanel UpstreamPanel::since(std::uint64_t tick) const noexcept {
  UpstreamPanel result = *this;
  for (std::size_t i = 0; i < count_; ++i) {
    if (static_cast<std::int64_t>(members_[i].news.tick - tick) < 0) result.members_[i].has_news = false;
  }
  return result;
}

bool NewsSinceLeap::see(std::int32_t tai_minus_utc_s, std::uint64_t tick) noexcept {
  const bool is_leap = tai_minus_utc_s_ && *tai_minus_utc_s_ != tai_minus_utc_s;
  tai_minus_utc_s_ = tai_minus_utc_s;
  if (is_leap) since_tick_ = tick + calm_ticks_;
  return is_leap;
}

UpstreamPanel NewsSinceLeap::of(const UpstreamPanel& panel) const noexcept {
  return since_tick_ ? panel.since(*since_tick_) : panel;
}

}  // namespace hwclock
