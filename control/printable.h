// Text from others, made safe to print: a peer's name, another process's page, a server's certificate.
#pragma once

#include <string>
#include <string_view>

namespace control {

// `text` up to its first NUL, with everything but printable ASCII as '?'.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string clean(text.substr(0, text.find('\0')));
  for (char& letter : clean) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  return clean;
}

}  // namespace control
