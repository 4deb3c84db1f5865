// What the tests of simulated days share: which seeds, how one is replayed, and what is made of a result.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/scenarios.h"

namespace sim {

using hwclock::State;

inline std::vector<std::uint64_t> seeds(std::uint64_t usual, std::uint64_t many) {
  if (const char* one = std::getenv("NOONMARK_SEED"); one != nullptr)
    return {std::strtoull(one, nullptr, 10)};
  std::vector<std::uint64_t> list(std::getenv("NOONMARK_LONG") != nullptr ? many : usual);
  for (std::size_t i = 0; i < list.size(); ++i) list[i] = i + 1;
  return list;
}

inline bool is_replay() { return std::getenv("NOONMARK_SEED") != nullptr; }

inline std::string replay(std::uint64_t seed) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  return "replay: NOONMARK_SEED=" + std::to_string(seed) +
         " build/tests/sim/tests-sim --gtest_filter=" + test->test_suite_name() + "." + test->name();
}

// What holds whatever happens. A bound of six sigma is not beyond reach, so that is judged by its share.
inline void expect_honest(const Result& result) {
  EXPECT_EQ(result.went_back, 0U);
  EXPECT_EQ(result.promised_steps, 0U);
  EXPECT_EQ(result.invalid, 0U);
  EXPECT_LE(static_cast<double>(result.violations), 1e-4 * static_cast<double>(result.promised))
      << "first in second " << result.first_violation_s;
}

inline double rms(const std::vector<double>& values) {
  double squares = 0.0;
  for (const double value : values) squares += value * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

inline double largest_error_ns(const Result& result, std::int64_t from_s, std::int64_t to_s) {
  double most_ns = 0.0;
  for (const Sample& sample : result.trace) {
    const bool is_promised = sample.leap != 3;
    if (is_promised && sample.second >= from_s && sample.second < to_s)
      most_ns = std::max(most_ns, std::fabs(sample.error_ns));
  }
  return most_ns;
}

// The first second from `from_s` on that is in a state, or -1.
inline std::int64_t first_in(const Result& result, std::int64_t from_s, State state) {
  for (const Sample& sample : result.trace) {
    if (sample.second >= from_s && sample.state == state) return sample.second;
  }
  return -1;
}

inline Scenario traced(const OscillatorModel& oscillator, std::int64_t seconds, std::vector<Event> events) {
  Scenario scenario;
  scenario.name = oscillator.name;
  scenario.oscillator = oscillator;
  scenario.policy.pulse_sigma_ns = 10.0;
  scenario.policy.reference_error_ns = 0.0;
  scenario.seconds = seconds;
  scenario.events = std::move(events);
  scenario.keeps_trace = true;
  return scenario;
}

}  // namespace sim
