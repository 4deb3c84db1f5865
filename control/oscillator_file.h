// The file in which the clock role remembers its oscillator ([gnss] memory), and whose oscillator that is.
//
// Saved whole or not at all, for the role's eyes only (0600). A file that cannot be believed costs the
// warm-up and nothing else, so nothing here throws for what a file holds. Contents:
// hwclock/oscillator_memory.h.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "hwclock/oscillator_memory.h"

namespace control {

struct RecalledOscillator {
  std::unique_ptr<hwclock::OscillatorMemory> memory;  // null: there is none, or none to believe
  std::string fault;                                  // why not, to follow the file's name; "" without a file
  double restart_sigma_ppb = 0.0;                     // how far the rate may have moved unseen
};

// What the file says, if it is of this machine. `file`: as the configuration has it.
[[nodiscard]] RecalledOscillator recall_oscillator(const std::filesystem::path& file);

// Writes down whose memory it is, and saves it. Gives "" or what failed.
[[nodiscard]] std::string save_oscillator(const std::filesystem::path& file,
                                          hwclock::OscillatorMemory& memory);

}  // namespace control
