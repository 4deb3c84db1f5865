#include "hwclock/leap.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t day_s = 86'400;

}  // namespace

bool is_possible(const LeapPlan& plan) noexcept {
  if (plan.change_s != 1 && plan.change_s != -1) return false;
  return (plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s) % day_s == 0;
}

std::int32_t tai_minus_utc_at(const LeapPlan& plan, TaiTime time) noexcept {
  const bool is_over = is_possible(plan) && time.ns >= plan.change_tai_s * ns_per_s;
  return plan.tai_minus_utc_s + (is_over ? plan.change_s : 0);
}

std::int32_t tai_minus_utc_at_utc(const LeapPlan& plan, std::int64_t utc_s) noexcept {
  const std::int64_t change_utc_s = plan.change_tai_s - plan.tai_minus_utc_s - plan.change_s;
  const bool is_over = is_possible(plan) && utc_s >= change_utc_s;
  return plan.tai_minus_utc_s + (is_over ? plan.change_s : 0);
}

std::uint32_t leap_indicator_at(const LeapPlan& plan, TaiTime time) noexcept {
  if (!is_possible(plan)) return 0;
  const std::int64_t change_ns = plan.change_tai_s * ns_per_s;
  // The second that is inserted is the last before the change.
  const std::int64_t begin_ns = change_ns - (plan.change_s == 1 ? 2 : 1) * ns_per_s;
  if (time.ns >= begin_ns && time.ns < change_ns + ns_per_s) return 3;
  if (time.ns >= change_ns || time.ns < change_ns - (day_s + plan.change_s) * ns_per_s) return 0;
  return plan.change_s == 1 ? 1 : 2;
}

}  // namespace hwclock
