// The shortest configuration there is, and what the parser says of a changed one.
#pragma once

#include <string>

#include "control/config.h"

namespace tests {

inline const std::string server = "[server]\nname = \"time.example.net\"\n";
inline const std::string dataplane = "[dataplane]\ndevices = [\"af_packet:eth0\"]\n";
inline const std::string nts_ke = "[nts_ke]\ncertificate = \"/c.pem\"\nprivate_key = \"/k.pem\"\n";
inline const std::string whole = server + dataplane + nts_ke;

inline std::string error_of(const std::string& text) {
  try {
    static_cast<void>(control::parse_config(text, "t.toml"));
  } catch (const control::ConfigError& error) {
    return error.what();
  }
  return "";
}

// The whole example with one more line in one section.
inline std::string with(const std::string& section, const std::string& line) {
  std::string text = whole;
  const std::string heading = "[" + section + "]\n";
  const std::size_t at = text.find(heading);
  if (at == std::string::npos) return text + heading + line + "\n";
  return text.insert(at + heading.size(), line + "\n");
}

}  // namespace tests
