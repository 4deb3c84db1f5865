#include "control/config_source.h"

#include <exception>

#include "control/file_check.h"

namespace control {

Config ConfigSource::read() const {
  Config config = read_config(file, overlays);
  if (!pages) return config;
  try {
    require_plain_path(*pages);
  } catch (const FileError& error) {
    throw FileError(std::string("--pages: ") + error.what());
  }
  config.paths.pages = *pages;
  return config;
}

std::string Reload::run() {
  try {
    take_(source_.read());
  } catch (const std::exception& refused) {
    refused_log_.log(Severity::error, std::string(refused.what()) + "; going on as before");
    return refused.what();
  }
  taken_log_.log(Severity::notice, "the configuration was read anew");
  return {};
}

}  // namespace control
