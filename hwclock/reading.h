// One reading of a clock between two of the TSC: what the fits are made of.
#pragma once

#include <cstdint>

namespace hwclock {

struct Reading {
  std::uint64_t tsc = 0;               // the middle of the two
  std::uint64_t half_width_ticks = 1;  // the clock was read at tsc, give or take this; never 0
  std::int64_t ns = 0;                 // what it said, since its own epoch
};

}  // namespace hwclock
