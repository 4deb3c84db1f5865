// What a constant error of the pulses is, as far as other servers can tell: the walk-through of
// `noonmark calibrate`.
//
// A delay that is always there (cable, interrupt, receiver) cannot be seen from inside: every pulse agrees
// with every other. Only somebody who knows the time otherwise can tell it, and only as well as he and the
// way to him are known: a mean over many measurements takes out what is unsteady, and never the half of a
// way that may be longer than the other. Each measurement says how far it may be off, so those that were near
// count most, and the mean may be off by the mean of that. So what is found is a difference and how far it
// may be wrong, and it is worth a change of the configuration only when it is larger than that.
//
// Pure: it is given the reports of `noonmark upstreams` (upstream_status.h) as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace control {

class Calibration {
 public:
  // A report of the upstreams. A server counts with each measurement that it has made since the last report,
  // while it agrees with the majority.
  void take(const nlohmann::json& upstreams);

  // {"host", "samples", "offset_ns": theirs minus ours, "error_ns": how far that may be wrong} of each server
  // that has been heard, the best one first; and of all: "pulse_delay_change_ns" with "error_ns" of the best,
  // "is_significant", and "text", which says what to do.
  [[nodiscard]] nlohmann::json result() const;

 private:
  // Offsets are beyond the first one, so that nothing cancels. A measurement weighs 1 / its error squared.
  struct Server {
    std::string host;
    std::int64_t age_s = -1;  // of its newest measurement, when the last report was made
    std::int64_t offset_ns = 0;
    std::uint64_t samples = 0;
    std::int64_t first_ns = 0;
    double weight = 0.0;
    double offset = 0.0;  // weighed, as the error is
    double error = 0.0;
    double square_weight = 0.0;  // and these by the weight's square, for the scatter of the mean
    double square_offset = 0.0;
    double square = 0.0;
  };
  std::map<std::size_t, Server> servers_;  // by their place in the reports: a host may be there twice
};

// Why pulses cannot be calibrated just now, by the report of `noonmark clock`; empty when they can.
[[nodiscard]] std::string calibration_hindrance(const nlohmann::json& clock);

[[nodiscard]] std::string calibration_text(const nlohmann::json& result);

}  // namespace control
