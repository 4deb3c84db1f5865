// Where a role's configuration comes from, and how it is read anew while the role serves.
//
// A reload is whole or nothing: the files are read and judged as at start, and only a configuration without a
// fault is taken. Whatever is wrong with it, the role goes on with the last good one and says why.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/config.h"
#include "control/log.h"

namespace control {

struct ConfigSource {
  std::filesystem::path file;
  std::vector<std::filesystem::path> overlays;
  std::optional<std::filesystem::path> pages;  // instead of [paths] pages

  // Throws ConfigError.
  [[nodiscard]] Config read() const;
};

// One role's way to take a new configuration.
class Reload {
 public:
  // `take` gets a configuration that reads without a fault, and throws std::exception, having changed
  // nothing, when the role cannot go on with it.
  Reload(ConfigSource source, std::function<void(const Config& fresh)> take)
      : source_(std::move(source)), take_(std::move(take)) {}

  // Empty when it was taken, else one sentence that says why not. The log says the same, once a second at
  // most: whoever may reload may do it in a loop.
  std::string run();

 private:
  ConfigSource source_;
  std::function<void(const Config& fresh)> take_;
  LogLimit taken_log_;
  LogLimit refused_log_;
};

}  // namespace control
