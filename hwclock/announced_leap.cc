#include "hwclock/announced_leap.h"

#include "hwclock/smear.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t day_s = 86'400;

LeapPlan change_at(std::int64_t midnight_utc_s, std::int32_t tai_minus_utc_s,
                   std::int32_t change_s) noexcept {
  return {tai_minus_utc_s, change_s, midnight_utc_s + tai_minus_utc_s + change_s};
}

}  // namespace

std::optional<LeapPlan> AnnouncedLeap::hear(const UpstreamPanel& panel, std::int64_t tai_s,
                                            std::int32_t tai_minus_utc_s) noexcept {
  // Whoever is sure of the time a little late learns of it all the same.
  if (is_decided(plan_, tai_s) && tai_s < plan_.change_tai_s + told_for_s) return plan_;
  const std::int64_t midnight_utc_s = ((tai_s - tai_minus_utc_s) / day_s + 1) * day_s;
  const auto is_answering = [](const UpstreamMember& member) { return member.has_news && member.reach != 0; };
  bool authenticated_answer = false;
  for (std::size_t i = 0; i < panel.size(); ++i) {
    const UpstreamMember& member = panel.member(i);
    authenticated_answer = authenticated_answer || (is_answering(member) && member.authenticated);
  }
  const bool counts_all =
      voices_ == Voices::everybody || (voices_ == Voices::authenticated_first && !authenticated_answer);
  std::size_t answering = 0;
  std::size_t inserting = 0;
  std::size_t removing = 0;
  for (std::size_t i = 0; i < panel.size(); ++i) {
    const UpstreamMember& member = panel.member(i);
    if (!is_answering(member) || (!counts_all && !member.authenticated)) continue;
    ++answering;
    inserting += member.leap == 1 ? 1 : 0;
    removing += member.leap == 2 ? 1 : 0;
  }
  const auto is_enough = [&](std::size_t saying) { return 2 * saying > answering && saying >= quorum_; };
  const std::int32_t change_s = is_enough(inserting) ? 1 : is_enough(removing) ? -1 : 0;
  const bool is_usual = may_change_at(midnight_utc_s);
  const LeapPlan told = change_at(midnight_utc_s, tai_minus_utc_s, change_s);
  const bool stands = answering == 0 && plan_.change_tai_s > tai_s;
  if (!stands) plan_ = is_usual && change_s != 0 ? told : LeapPlan{};
  if (plan_.change_s == 0) return std::nullopt;
  return plan_;
}

std::optional<LeapPlan> change_left_behind(const ClockState& left_behind, const LeapTable& table) noexcept {
  if (left_behind.ntp0 == 0) return std::nullopt;
  const std::int64_t utc_s =
      tai_at(left_behind, left_behind.tsc0).ns / ns_per_s - left_behind.tai_minus_utc_s;
  // A table that was written after the last day that may have ended with one cannot lack it.
  if (table.expires_utc_s() > last_usual_change(utc_s)) return std::nullopt;
  const std::int32_t known_s = table.plan_at(utc_s).tai_minus_utc_s;
  const std::int32_t change_s = left_behind.tai_minus_utc_s - known_s;
  if (change_s != 1 && change_s != -1) return std::nullopt;
  const ServedSmear& smear = left_behind.smear;
  const LeapPlan smeared{smear.tai_minus_utc_s, smear.change_s, smear.change_tai_s};
  const bool is_smeared = is_possible(smeared) && smeared.tai_minus_utc_s == known_s &&
                          smeared.change_s == change_s &&
                          smeared.change_tai_s <= utc_s + left_behind.tai_minus_utc_s;
  // Nobody wrote down when it was. From here on, any day before now is as good as another.
  return is_smeared ? smeared : change_at(last_usual_change(utc_s), known_s, change_s);
}

}  // namespace hwclock
