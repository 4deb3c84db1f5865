#include "control/upstream_schedule.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "control/config.h"

namespace control {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr std::uint32_t burst_requests = 8;     // RFC 5905 BCOUNT
constexpr Milliseconds burst_interval{2000};    // RFC 5905 BTIME
constexpr std::int32_t steadiness_limit = 30;   // RFC 5905 LIMIT
constexpr std::uint32_t unanswered_limit = 12;  // RFC 5905 UNREACH: from then on ever more rarely
constexpr Milliseconds::rep spread_part = 16;

// Less than `below`, which is small.
Milliseconds::rep random_below(nts::RandomSource& random, Milliseconds::rep below) noexcept {
  std::array<std::uint8_t, 8> octets;
  random.fill(octets);
  std::uint64_t value = 0;
  std::memcpy(&value, octets.data(), sizeof value);
  return static_cast<Milliseconds::rep>(value %
                                        static_cast<std::uint64_t>(std::max<Milliseconds::rep>(1, below)));
}

Milliseconds spread(Milliseconds least, nts::RandomSource& random) noexcept {
  return least + Milliseconds(random_below(random, least.count() / spread_part));
}

}  // namespace

void UpstreamSchedule::sent() noexcept {
  reach_ = static_cast<std::uint8_t>(reach_ << 1);
  if (burst_left_ != 0) --burst_left_;
  ++unanswered_;
  if (unanswered_ <= unanswered_limit) return;
  unanswered_ = 0;
  poll_ = std::min(poll_ + 1, std::max(maxpoll_, floor_));
}

void UpstreamSchedule::answered(bool is_steady) noexcept {
  // Whoever was out of reach has to be learned anew; who keeps quiet gets no burst.
  if (reach_ == 0 && iburst_ && burst_left_ == 0) burst_left_ = burst_requests - 1;
  if (reach_ == 0) poll_ = floor_;
  reach_ |= 1;
  unanswered_ = 0;
  if (burst_left_ != 0) return;  // eight in a quarter of a minute say nothing of what is needed later
  const auto step = static_cast<std::int32_t>(std::max<std::uint32_t>(poll_, 1));
  steadiness_ += is_steady ? step : -2 * step;
  if (steadiness_ > steadiness_limit) {
    steadiness_ = 0;
    poll_ = std::min(poll_ + 1, std::max(maxpoll_, floor_));
  } else if (steadiness_ < -steadiness_limit) {
    steadiness_ = 0;
    poll_ = std::max(poll_ - (poll_ > 0 ? 1 : 0), floor_);
  }
}

void UpstreamSchedule::slow_down() noexcept {
  floor_ = std::min(std::max(floor_, poll_) + 1, poll_exponent_max);
  poll_ = floor_;
  burst_left_ = 0;
  iburst_ = false;  // it has had enough of us
}

Milliseconds UpstreamSchedule::interval(nts::RandomSource& random) noexcept {
  const Milliseconds whole(std::int64_t{1000} << poll_);
  if (burst_left_ != 0) return std::min(burst_interval, whole);
  return spread(whole, random);
}

Milliseconds UpstreamBackoff::next(nts::RandomSource& random) noexcept {
  const Milliseconds wait = spread(wait_, random);
  wait_ = std::min(wait_ + wait_ / 2, longest_);
  return wait;
}

}  // namespace control
