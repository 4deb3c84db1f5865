// The dataplane's command line. It reads no configuration text: everything else comes through the settings
// page, and the numbers here say whose page that must be.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "dataplane/page_watch.h"

namespace dataplane {

struct Options {
  std::filesystem::path pages;
  Writers writers;
  unsigned wait_s = 0;  // how long to wait for the settings page
  bool help = false;
};

class OptionsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

extern const std::string_view usage;

// Throws OptionsError with one sentence.
[[nodiscard]] Options parse_options(int count, const char* const* words);

}  // namespace dataplane
