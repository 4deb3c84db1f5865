#include "control/upstream_desk.h"

#include <algorithm>

#include "hwclock/upstream_filter.h"

namespace control {
namespace {

static_assert(upstream_entries_max == hwclock::upstreams_max);

constexpr std::uint64_t span_max_ns = 10 * hwclock::upstream_dispersion_max_ns;  // sums of what RFC 5905 caps
constexpr std::int64_t ahead_max_s = 1;  // another core's counter, and a message on its way
// At RFC 5905's PHI of 15 ppm a claim has then grown past what anybody hears; it also keeps sums far from
// overflow.
constexpr std::int64_t news_age_max_s = hwclock::upstream_claim_ns_max / 15'000;

UpstreamVerdict verdict_of(const hwclock::UpstreamPanel& panel, const hwclock::PanelView& view,
                           std::size_t index) {
  const hwclock::UpstreamClaim& claim = view.claims[index];
  if (!panel.member(index).has_news || claim.distance_ns > hwclock::upstream_claim_ns_max)
    return UpstreamVerdict::unusable;
  if (view.leader == index) return UpstreamVerdict::leader;
  if ((view.vote.members >> index & 1) == 0)
    return view.vote.agreeing == 0 ? UpstreamVerdict::unusable : UpstreamVerdict::falseticker;
  return panel.member(index).may_lead ? UpstreamVerdict::member : UpstreamVerdict::witness;
}

}  // namespace

bool is_of_ours(const UpstreamReport& report, std::size_t count) noexcept {
  if (report.source_count != count) return false;
  if (count == 0) return true;
  if (report.source_index >= count || static_cast<std::uint32_t>(report.phase) >= upstream_phases)
    return false;
  return report.reach <= 0xff && report.poll <= poll_exponent_max && report.cookies <= sealed_cookies &&
         report.authenticated <= 1 && report.has_news <= 1;
}

bool is_believable(const UpstreamReport& report, std::size_t count, std::uint64_t now,
                   std::uint64_t tsc_hz) noexcept {
  if (!is_of_ours(report, count)) return false;
  if (count == 0 || report.has_news == 0) return true;
  for (const std::uint64_t span : {report.delay_ns, report.dispersion_ns, report.jitter_ns,
                                   report.root_delay_ns, report.root_dispersion_ns}) {
    if (span > span_max_ns) return false;
  }
  const auto hz = static_cast<std::int64_t>(tsc_hz);
  const auto is_recent = [&](std::uint64_t tick) {
    const auto ahead = static_cast<std::int64_t>(tick - now);
    return ahead <= ahead_max_s * hz && ahead >= -news_age_max_s * hz;
  };
  return report.leap <= 2 && report.stratum >= 1 && report.stratum <= 15 && is_possible_time(report.utc_ns) &&
         is_recent(report.tick) && is_recent(report.newest_tick) &&
         static_cast<std::int64_t>(report.newest_tick - report.tick) >= 0;
}

UpstreamDesk::UpstreamDesk(const Config& config) : panel_(config.upstreams.size()) {
  for (std::size_t i = 0; i < panel_.size(); ++i)
    panel_.member(i).may_lead = config.upstreams[i].trust == UpstreamTrust::fallback;
}

bool UpstreamDesk::take(const UpstreamReport& report, std::uint64_t now, std::uint64_t tsc_hz) noexcept {
  if (!is_of_ours(report, panel_.size())) return false;
  if (panel_.size() == 0) return true;
  reports_[report.source_index] = report;
  hwclock::UpstreamMember& member = panel_.member(report.source_index);
  member.reach = static_cast<std::uint8_t>(report.reach);
  const bool says_the_impossible = !is_believable(report, panel_.size(), now, tsc_hz);
  if (says_the_impossible || report.phase == UpstreamPhase::loop || report.phase == UpstreamPhase::stopped)
    member.has_news = false;
  if (says_the_impossible || report.has_news == 0) return true;
  member.has_news = true;
  member.news = {report.tick,          report.utc_ns,    report.newest_tick,   report.delay_ns,
                 report.dispersion_ns, report.jitter_ns, report.root_delay_ns, report.root_dispersion_ns};
  member.stratum = report.stratum;
  member.reference_id = report.reference_id;
  member.leap = report.leap;
  member.authenticated = report.authenticated != 0;
  return true;
}

void UpstreamDesk::fill(UpstreamListReply& reply, const std::optional<hwclock::ClockGuess>& clock) const {
  reply.count = static_cast<std::uint32_t>(panel_.size());
  reply.running = is_running_ ? 1 : 0;
  const hwclock::PanelView view = clock ? panel_.against(*clock) : hwclock::PanelView{};
  for (std::size_t i = 0; i < panel_.size(); ++i) {
    UpstreamListEntry& entry = reply.entries[i];
    if (!reports_[i]) continue;
    const UpstreamReport& report = *reports_[i];
    const hwclock::UpstreamMember& member = panel_.member(i);
    entry.has_report = 1;
    entry.phase = report.phase;
    entry.reach = report.reach;
    entry.poll = report.poll;
    entry.cookies = report.cookies;
    entry.authenticated = member.authenticated ? 1 : 0;
    entry.address = report.address;
    entry.text = report.text;
    if (!member.has_news || !clock) continue;
    entry.has_news = 1;
    entry.verdict = verdict_of(panel_, view, i);
    entry.leap = member.leap;
    entry.stratum = member.stratum;
    entry.reference_id = member.reference_id;
    const std::int64_t age_ns = std::max<std::int64_t>(0, clock->ns - clock->at(member.news.newest_tick));
    entry.age_s = static_cast<std::uint32_t>(age_ns / 1'000'000'000);
    entry.offset_ns = view.claims[i].offset_ns;
    entry.delay_ns = member.news.delay_ns;
    entry.dispersion_ns = member.news.dispersion_ns;
    entry.jitter_ns = member.news.jitter_ns;
    entry.distance_ns = view.claims[i].distance_ns;
    entry.exact_distance_ns = hwclock::exact_distance_ns(member.news, age_ns);
  }
}

}  // namespace control
