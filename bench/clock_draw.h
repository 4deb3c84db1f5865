// A picture of a simulated run: true error, advertised bound and state over time. gnuplot draws it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/simulator.h"

namespace bench {

struct Drawing {
  std::string title;
  std::string file;  // SVG
  std::int64_t from_s = 0;
  std::int64_t to_s = INT64_MAX;
};

// Gives why it could not be drawn; empty: it was.
[[nodiscard]] std::string draw(const Drawing& drawing, const std::vector<sim::Sample>& trace);

}  // namespace bench
