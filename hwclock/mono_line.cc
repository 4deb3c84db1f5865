#include "hwclock/mono_line.h"

namespace hwclock {
namespace {

constexpr int rest_bits = 60;  // Line::mult has as many behind the point
constexpr std::uint64_t rest_mask = (std::uint64_t{1} << rest_bits) - 1;

}  // namespace

void MonoLine::begin(const ClockState& state, std::uint64_t tick) noexcept {
  // The same number twice in a row would be one line; where it begins is nobody's business.
  if (has_line_) ++epoch_;
  has_line_ = true;
  step_count_ = state.step_count;
  tick_ = tick;
  units_ = ntp_at(state, tick);
  rest_ = 0;
}

void MonoLine::follow(ClockState& state, std::uint64_t tick) noexcept {
  const std::uint64_t mult = state.mono.line.mult;
  state.mono = {};
  if (mult == 0 && !has_line_) return;
  const bool goes_back = static_cast<std::int64_t>(tick - tick_) < 0;
  if (!has_line_ || goes_back) {
    begin(state, tick);
  } else {
    const Int128 passed =
        static_cast<Int128>(tick - tick_) * static_cast<Int128>(mult_) + static_cast<Int128>(rest_);
    units_ += static_cast<std::uint64_t>(passed >> rest_bits);
    rest_ = static_cast<std::uint64_t>(passed) & rest_mask;
    tick_ = tick;
    if (state.step_count != step_count_) ++epoch_;
    step_count_ = state.step_count;
  }
  if (mult != 0) mult_ = mult;
  if (mult_ == 0) return;
  // Rounded to the nearest: cut off, it would lose half a unit at every turn, 1 ppb.
  state.mono.line = {tick_, units_ + (rest_ >> (rest_bits - 1)), mult_};
  state.mono.epoch = epoch_;
}

}  // namespace hwclock
