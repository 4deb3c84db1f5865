#include "tests/sim/simulator.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <numbers>
#include <optional>

#include "hwclock/mono_line.h"
#include "hwclock/tsc_fit.h"
#include "tests/sim/noise.h"

namespace sim {
namespace {

using hwclock::ClockState;

constexpr std::uint64_t tick_hz = 4'000'000'000;
constexpr std::int32_t tai_minus_utc_s = 37;
constexpr int publications_a_second = 8;
constexpr double ns_per_unit = 1e9 / 0x1p32;
constexpr std::uint64_t nic_seed = 0x6e6963;  // its noise is not the oscillator's
constexpr std::int64_t mono_span_s = 256;

class World {
 public:
  World(const Scenario& scenario, std::uint64_t seed)
      : scenario_(scenario),
        noise_(seed),
        rate_ppb_(scenario.oscillator.offset_ppb),
        engine_(std::make_unique<hwclock::Discipline>(tick_hz, scenario.policy)) {
    hwclock::LeapPlan plan{.tai_minus_utc_s = tai_minus_utc_s};
    if (scenario.leap_at_s != 0) {
      plan.change_s = scenario.leap_change_s;
      plan.change_tai_s = scenario.tai_start_s + scenario.leap_at_s;
    }
    engine_->set_leap(plan);
    leap_ = plan;
    if (scenario.nic.is_used) nic_.emplace(scenario.nic, tick_hz, seed ^ nic_seed);
  }

  Result run() {
    for (std::int64_t second = 1; second <= scenario_.seconds; ++second) pass(second);
    finish();
    return std::move(result_);
  }

 private:
  // Ticks when true time is `second` + `part_s`, -0.1 to 1: the phase lies on a line within a second.
  [[nodiscard]] std::uint64_t tick_at(std::int64_t second, double part_s) const {
    const double phase_ns = phase_ns_ + part_s * (next_phase_ns_ - phase_ns_);
    const double rest_ns = part_s * 1e9 - phase_ns;
    return static_cast<std::uint64_t>(tick_start_s + second) * tick_hz +
           static_cast<std::uint64_t>(std::llround(rest_ns * (static_cast<double>(tick_hz) / 1e9)));
  }

  // The oscillator's second after `second`.
  void pass(std::int64_t second) {
    const OscillatorModel& oscillator = scenario_.oscillator;
    phase_ns_ = next_phase_ns_;
    rate_ppb_ += oscillator.walk_ppb * noise_.normal() + oscillator.drift_ppb_s;
    const double swing_ppb =
        oscillator.day_ppb == 0.0
            ? 0.0
            : oscillator.day_ppb * std::sin(2.0 * std::numbers::pi * static_cast<double>(second) / 86'400.0);
    for (const Event& event : scenario_.events) {
      if (event.fault == Fault::rate_jump && second == event.begin_s) rate_ppb_ += event.amount;
    }
    second_ns_ = rate_ppb_ + swing_ppb + flicker_ppb() + oscillator.white_ns * noise_.normal();
    next_phase_ns_ = phase_ns_ + second_ns_;

    if (nic_) {
      nic_->pass(second);
      for (const Event& event : scenario_.events) {
        if (event.fault == Fault::nic_set && second == event.begin_s)
          nic_->set_by(static_cast<std::int64_t>(event.amount));
      }
    }
    pulse(second);
    for (int i = 0; i < publications_a_second; ++i) {
      const double part_s = (i + 0.4) / publications_a_second;
      deliver(second, part_s);
      publish(second, part_s);
      compare(second, part_s + noise_.uniform() / publications_a_second, i == 0);
    }
    result_.seconds_in[static_cast<std::size_t>(engine_->state())] += 1;
    if (result_.locked_at_s < 0 && engine_->state() == hwclock::State::locked) result_.locked_at_s = second;
  }

  // 1/f over four decades, near enough: a rung a decade.
  double flicker_ppb() {
    const double rung_ppb = scenario_.oscillator.flicker_ppb;
    if (rung_ppb == 0.0) return 0.0;
    double sum_ppb = 0.0;
    double time_s = 10.0;
    for (double& rung : flicker_) {
      rung += -rung / time_s + rung_ppb * std::sqrt(2.0 / time_s) * noise_.normal();
      sum_ppb += rung;
      time_s *= 10.0;
    }
    return sum_ppb;
  }

  void pulse(std::int64_t second) {
    const ReceiverModel& receiver = scenario_.receiver;
    wander_ns_ += -wander_ns_ / 3400.0 + receiver.wander_ns * std::sqrt(2.0 / 3400.0) * noise_.normal();
    double off_ns = receiver.sigma_ns * noise_.normal() + wander_ns_;
    const double sawtooth_ns = receiver.sawtooth_ns * (2.0 * noise_.uniform() - 1.0);
    off_ns += sawtooth_ns;
    if (receiver.outlier_chance > 0.0 && noise_.uniform() < receiver.outlier_chance)
      off_ns += receiver.outlier_ns;
    bool has_message = true;
    bool has_pulse = receiver.missing_chance == 0.0 || noise_.uniform() >= receiver.missing_chance;
    std::int64_t told_off_s = 0;
    double late_s = receiver.message_delay_s;
    if (receiver.message_jitter_s > 0.0) late_s += receiver.message_jitter_s * noise_.uniform();
    double edge_s = 0.0;
    bool is_doubled = false;
    for (const Event& event : scenario_.events) {
      if (second < event.begin_s || second >= event.end_s) continue;
      switch (event.fault) {
        case Fault::outage:
          has_pulse = has_message = false;
          break;
        case Fault::no_message:
          has_message = false;
          break;
        case Fault::step:
          off_ns += event.amount;
          break;
        case Fault::ramp:
          off_ns += event.amount * static_cast<double>(second - event.begin_s + 1);
          break;
        case Fault::wrong_second:
          told_off_s = static_cast<std::int64_t>(event.amount);
          break;
        case Fault::double_edge:
          is_doubled = true;
          break;
        case Fault::trailing_edge:
          edge_s = event.amount;
          break;
        case Fault::late_message:
          late_s += event.amount;
          break;
        case Fault::rate_jump:
        case Fault::nic_set:
          break;
      }
    }
    // In whatever order they come: a late message after the next pulse, a stray edge before the message.
    if (has_pulse) queue({second, off_ns * 1e-9 + edge_s, true, std::round(sawtooth_ns), 0});
    if (has_pulse && is_doubled) queue({second, off_ns * 1e-9 + 0.02, true, 0.0, 0});
    if (receiver.extra_chance > 0.0 && noise_.uniform() < receiver.extra_chance) {
      queue({second, 0.01 + 0.98 * noise_.uniform(), true, 0.0, 0});
    }
    if (has_message) queue({second, late_s, false, 0.0, scenario_.tai_start_s + second + told_off_s});
  }

  // A pulse, or a message that names a second; due `part_s` after `second`, which may be later than the next.
  struct Input {
    std::int64_t second;
    double part_s;
    bool is_pulse;
    double correction_ns;
    std::int64_t tai_s;
    [[nodiscard]] double after(std::int64_t other) const {
      return static_cast<double>(second - other) + part_s;
    }
  };

  void queue(const Input& input) {
    const auto later = std::find_if(inputs_.begin(), inputs_.end(), [&](const Input& other) {
      return other.after(input.second) > input.part_s;
    });
    inputs_.insert(later, input);
  }

  // Hands over what is due.
  void deliver(std::int64_t second, double part_s) {
    if (nic_) {
      nic_->look(part_s, [&](double at_s) { return tick_at(second, at_s); });
      engine_->set_window_error(nic_->window_ns());
      result_.nic_steps = nic_->steps_seen();
    }
    while (!inputs_.empty() && inputs_.front().after(second) <= part_s) {
      const Input& input = inputs_.front();
      const std::uint64_t tick = tick_at(second, input.after(second));
      if (input.is_pulse && nic_) {
        if (const auto edge = nic_->edge(input.after(second)))
          engine_->take_pulse(edge->tick, input.correction_ns, edge->sigma_ns);
      } else if (input.is_pulse) {
        engine_->take_pulse(tick, input.correction_ns);
      } else {
        engine_->take_time_of_day({tick, input.tai_s});
      }
      inputs_.pop_front();
    }
  }

  void publish(std::int64_t second, double part_s) {
    const ClockState before = state_;
    const std::uint64_t tick = tick_at(second, part_s);
    state_ = engine_->publish(tick);
    mono_.follow(state_, tick);
    if (!hwclock::is_valid(state_)) ++result_.invalid;
    if (before.tsc_hz == 0) return;
    const bool stepped = state_.step_count != before.step_count;
    const bool is_leap = state_.tai_minus_utc_s != before.tai_minus_utc_s;
    if (stepped && before.leap != 3 && !is_leap) ++result_.promised_steps;
    // A reader with the old line, and then, as soon as may be, with the new one.
    for (const double later_s : {0.0, 0.0005, 0.00099}) {
      const std::uint64_t read = tick + static_cast<std::uint64_t>(later_s * static_cast<double>(tick_hz));
      const auto moved = static_cast<std::int64_t>(ntp_at(state_, read + 1) - ntp_at(before, read));
      if (moved < 0 && !stepped && before.ntp0 != 0) ++result_.went_back;
    }
  }

  void compare(std::int64_t second, double part_s, bool is_whole) {
    const std::uint64_t tick = tick_at(second, part_s);
    true_part_s_ = part_s;
    const std::int64_t tai_ns =
        (scenario_.tai_start_s + second) * std::int64_t{1'000'000'000} + std::llround(part_s * 1e9);
    const std::int64_t utc_ns =
        tai_ns - hwclock::tai_minus_utc_at(leap_, {tai_ns}) * std::int64_t{1'000'000'000};
    const auto units = static_cast<std::int64_t>(ntp_at(state_, tick) - hwclock::ntp_of_utc(utc_ns));
    const double error_ns = static_cast<double>(units) * ns_per_unit;
    const double bound_ns = static_cast<double>(hwclock::dispersion_ns_at(state_, tick)) +
                            static_cast<double>(state_.root_delay_ns) / 2.0;
    if (is_whole &&
        std::find(scenario_.looks_s.begin(), scenario_.looks_s.end(), second) != scenario_.looks_s.end()) {
      result_.looks.push_back({error_ns, bound_ns, state_.state, state_.leap, state_.stratum});
    }
    if (is_whole && scenario_.keeps_trace) {
      result_.trace.push_back(
          {second, error_ns, bound_ns, state_.state, state_.leap, state_.stratum, state_.reference_id});
    }
    const bool is_promised = state_.leap != 3 && hwclock::is_believable(state_, tick);
    if (second < scenario_.judged_from_s || !is_promised) return;
    ++result_.promised;
    squares_ += error_ns * error_ns;
    result_.max_ns = std::max(result_.max_ns, std::fabs(error_ns));
    const double true_mult = std::ldexp(1.0, 92) / (static_cast<double>(tick_hz) * (1.0 - second_ns_ * 1e-9));
    const double slope_ppb = 1e9 * std::fabs(static_cast<double>(state_.mult) / true_mult - 1.0);
    result_.steepest_ppb = std::max(result_.steepest_ppb, slope_ppb);
    if (std::fabs(error_ns) > bound_ns && result_.violations++ == 0) result_.first_violation_s = second;
    if (is_whole) bounds_.push_back(static_cast<float>(bound_ns));
    if (is_whole) compare_mono(second, tick);
  }

  // The line of field 0xF323 against true time, over spans without a new epoch.
  void compare_mono(std::int64_t second, std::uint64_t tick) {
    if (result_.mono_epochs == 0 || state_.mono.epoch != mono_epoch_) {
      mono_epoch_ = state_.mono.epoch;
      ++result_.mono_epochs;
      mono_second_ = -1;
    }
    if (mono_second_ >= 0 && second < mono_second_ + mono_span_s) return;
    const std::uint64_t told = ntp_at(state_.mono.line, tick);
    const double true_s = static_cast<double>(second) + true_part_s_;
    if (mono_second_ >= 0) {
      const double passed_s = static_cast<double>(told - mono_told_) / 0x1p32;
      const double off_ppb = 1e9 * std::fabs(passed_s / (true_s - mono_true_s_) - 1.0);
      result_.mono_off_ppb = std::max(result_.mono_off_ppb, off_ppb);
    }
    mono_second_ = second;
    mono_told_ = told;
    mono_true_s_ = true_s;
  }

  void finish() {
    if (result_.promised != 0) result_.rms_ns = std::sqrt(squares_ / static_cast<double>(result_.promised));
    if (bounds_.empty()) return;
    const auto middle = bounds_.begin() + static_cast<std::ptrdiff_t>(bounds_.size() / 2);
    std::nth_element(bounds_.begin(), middle, bounds_.end());
    result_.median_bound_ns = static_cast<double>(*middle);
  }

  static constexpr std::int64_t tick_start_s = 1000;

  const Scenario& scenario_;
  Noise noise_;
  double rate_ppb_;
  double phase_ns_ = 0.0;
  double next_phase_ns_ = 0.0;
  double wander_ns_ = 0.0;
  double second_ns_ = 0.0;  // what the present second is long by
  std::array<double, 5> flicker_{};
  std::deque<Input> inputs_;
  hwclock::LeapPlan leap_;
  std::unique_ptr<hwclock::Discipline> engine_;
  std::optional<NicClock> nic_;
  hwclock::MonoLine mono_{1};
  std::uint32_t mono_epoch_ = 0;
  std::int64_t mono_second_ = -1;  // where the present span began, and ...
  std::uint64_t mono_told_ = 0;    // ... what the line told there
  double mono_true_s_ = 0.0;
  double true_part_s_ = 0.0;
  ClockState state_{};
  double squares_ = 0.0;
  std::vector<float> bounds_;
  Result result_;
};

}  // namespace

Result run(const Scenario& scenario, std::uint64_t seed) { return World(scenario, seed).run(); }

}  // namespace sim
