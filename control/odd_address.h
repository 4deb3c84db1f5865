// Numbers that the C library takes for an IPv4 address although it is not written as one: "127.1",
// "010.0.0.1" (octal, so 8.0.0.1), "0x7f.1". Nobody who writes them can be sure whom they mean.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <string>
#include <string_view>

namespace control {

// inet_aton reads a host whose last part is a number; so no name of the DNS ends in one.
[[nodiscard]] inline bool is_odd_address(std::string_view host) {
  const std::string whole(host);
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string_view last = host.substr(host.rfind('.') + 1);
  const bool is_hexadecimal = last.starts_with("0x") || last.starts_with("0X");
  const std::string_view digits = is_hexadecimal ? last.substr(2) : last;
  const auto is_digit = [&](char c) {
    return is_hexadecimal ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c >= '0' && c <= '9';
  };
  if (last.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return false;
  in_addr none{};
  return ::inet_pton(AF_INET, whole.c_str(), &none) != 1;
}

}  // namespace control
