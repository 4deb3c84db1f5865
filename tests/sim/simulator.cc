#include "tests/sim/simulator.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "hwclock/tsc_fit.h"

namespace sim {
namespace {

using hwclock::ClockState;

constexpr std::uint64_t tick_hz = 4'000'000'000;
constexpr std::int64_t tai_start_s = 1'800'000'000;
constexpr std::int32_t tai_minus_utc_s = 37;
constexpr int publications_a_second = 8;
constexpr double ns_per_unit = 1e9 / 0x1p32;

// Normal numbers by Box and Muller: std::normal_distribution differs between libraries.
class Noise {
 public:
  explicit Noise(std::uint64_t seed) : random_(seed) {}
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    const double angle = 2.0 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::mt19937_64 random_;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

class World {
 public:
  World(const Scenario& scenario, std::uint64_t seed)
      : scenario_(scenario),
        noise_(seed),
        rate_ppb_(scenario.oscillator.offset_ppb),
        engine_(std::make_unique<hwclock::Discipline>(tick_hz, scenario.policy)) {
    hwclock::LeapPlan plan{.tai_minus_utc_s = tai_minus_utc_s};
    if (scenario.leap_at_s != 0) {
      plan.change_s = 1;
      plan.change_tai_s = tai_start_s + scenario.leap_at_s;
    }
    engine_->set_leap(plan);
    leap_ = plan;
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
    next_phase_ns_ = phase_ns_ + rate_ppb_ + swing_ppb + oscillator.white_ns * noise_.normal();

    pulse(second);
    for (int i = 0; i < publications_a_second; ++i) {
      const double part_s = (i + 0.4) / publications_a_second;
      if (i == 1) message(second);
      publish(second, part_s);
      compare(second, part_s + noise_.uniform() / publications_a_second, i == 0);
    }
    result_.seconds_in[static_cast<std::size_t>(engine_->state())] += 1;
    if (result_.locked_at_s < 0 && engine_->state() == hwclock::State::locked) result_.locked_at_s = second;
  }

  void pulse(std::int64_t second) {
    const ReceiverModel& receiver = scenario_.receiver;
    wander_ns_ += -wander_ns_ / 3400.0 + receiver.wander_ns * std::sqrt(2.0 / 3400.0) * noise_.normal();
    double off_ns = receiver.sigma_ns * noise_.normal() + wander_ns_;
    const double sawtooth_ns = receiver.sawtooth_ns * (2.0 * noise_.uniform() - 1.0);
    off_ns += sawtooth_ns;
    if (receiver.outlier_chance > 0.0 && noise_.uniform() < receiver.outlier_chance)
      off_ns += receiver.outlier_ns;
    has_pulse_ = has_message_ = true;
    told_off_s_ = 0;
    bool is_doubled = false;
    for (const Event& event : scenario_.events) {
      if (second < event.begin_s || second >= event.end_s) continue;
      switch (event.fault) {
        case Fault::outage:
          has_pulse_ = has_message_ = false;
          break;
        case Fault::no_message:
          has_message_ = false;
          break;
        case Fault::step:
          off_ns += event.amount;
          break;
        case Fault::ramp:
          off_ns += event.amount * static_cast<double>(second - event.begin_s + 1);
          break;
        case Fault::wrong_second:
          told_off_s_ = static_cast<std::int64_t>(event.amount);
          break;
        case Fault::double_edge:
          is_doubled = true;
          break;
      }
    }
    if (!has_pulse_) return;
    engine_->take_pulse(tick_at(second, off_ns * 1e-9), std::round(sawtooth_ns));
    if (is_doubled) engine_->take_pulse(tick_at(second, off_ns * 1e-9 + 0.02), 0.0);
  }

  void message(std::int64_t second) {
    if (!has_message_) return;
    engine_->take_time_of_day(
        {tick_at(second, scenario_.receiver.message_delay_s), tai_start_s + second + told_off_s_});
  }

  void publish(std::int64_t second, double part_s) {
    const ClockState before = state_;
    const std::uint64_t tick = tick_at(second, part_s);
    state_ = engine_->publish(tick);
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
    const std::int64_t tai_ns =
        (tai_start_s + second) * std::int64_t{1'000'000'000} + std::llround(part_s * 1e9);
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
    const bool is_promised = state_.leap != 3 && hwclock::is_believable(state_, tick);
    if (second < scenario_.judged_from_s || !is_promised) return;
    ++result_.promised;
    squares_ += error_ns * error_ns;
    result_.max_ns = std::max(result_.max_ns, std::fabs(error_ns));
    if (std::fabs(error_ns) > bound_ns && result_.violations++ == 0) result_.first_violation_s = second;
    if (is_whole) bounds_.push_back(static_cast<float>(bound_ns));
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
  bool has_pulse_ = false;
  bool has_message_ = false;
  std::int64_t told_off_s_ = 0;
  hwclock::LeapPlan leap_;
  std::unique_ptr<hwclock::Discipline> engine_;
  ClockState state_{};
  double squares_ = 0.0;
  std::vector<float> bounds_;
  Result result_;
};

}  // namespace

Result run(const Scenario& scenario, std::uint64_t seed) { return World(scenario, seed).run(); }

}  // namespace sim
