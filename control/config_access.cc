#include "control/config_access.h"

#include <arpa/inet.h>
#include <charconv>
#include <cstring>

namespace control {
namespace {

const char* const form = "write one like \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"";

std::string text_of(const shm::AccessRule& rule) {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(rule.family == 4 ? AF_INET : AF_INET6, rule.octets, text, sizeof text);
  return std::string(text) + "/" + std::to_string(rule.prefix_bits);
}

// RFC 4291 section 2.5.5.2, ::ffff:0:0/96: in a packet such a source is an IPv4 one.
bool is_ipv4_mapped(const shm::AccessRule& rule) {
  constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return rule.family == 6 && rule.prefix_bits >= 96 && std::memcmp(rule.octets, mapped, sizeof mapped) == 0;
}

bool is_same_prefix(const shm::AccessRule& one, const shm::AccessRule& other) {
  return one.family == other.family && one.prefix_bits == other.prefix_bits &&
         std::memcmp(one.octets, other.octets, sizeof one.octets) == 0;
}

}  // namespace

shm::AccessRule read_access_rule(const ConfigValue& value, shm::Access access) {
  const std::string text = read_text(value);
  const std::size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  shm::AccessRule rule{};
  rule.access = access;
  if (::inet_pton(AF_INET, address.c_str(), rule.octets) == 1) {
    rule.family = 4;
  } else if (::inet_pton(AF_INET6, address.c_str(), rule.octets) == 1) {
    rule.family = 6;
  } else {
    value.refuse("\"" + text + "\" is no address or prefix", form);
  }
  const unsigned bits_max = rule.family == 4 ? 32 : 128;
  unsigned bits = bits_max;
  if (slash != std::string::npos) {
    const std::string digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const bool has_leading_zero = digits.size() > 1 && digits[0] == '0';
    if (error != std::errc{} || end != digits.data() + digits.size() || has_leading_zero || bits > bits_max) {
      value.refuse("the prefix length of \"" + text + "\" is not from 0 to " + std::to_string(bits_max),
                   form);
    }
  }
  rule.prefix_bits = static_cast<std::uint8_t>(bits);
  shm::AccessRule cut = rule;
  for (unsigned bit = bits; bit < bits_max; ++bit) {
    cut.octets[bit / 8] = static_cast<std::uint8_t>(cut.octets[bit / 8] & ~(0x80U >> bit % 8));
  }
  if (std::memcmp(cut.octets, rule.octets, sizeof cut.octets) != 0) {
    value.refuse("\"" + text + "\" has bits behind its prefix",
                 "write \"" + text_of(cut) + "\", or a longer prefix");
  }
  if (is_ipv4_mapped(rule)) {
    shm::AccessRule ipv4{};
    ipv4.family = 4;
    ipv4.prefix_bits = static_cast<std::uint8_t>(bits - 96);
    std::memcpy(ipv4.octets, rule.octets + 12, 4);
    value.refuse("\"" + text + "\" would hold no source, because these are IPv4",
                 "write \"" + text_of(ipv4) + "\"");
  }
  return rule;
}

void require_access_agrees(const Config::Access& access, const std::string& file) {
  struct List {
    const char* name;
    const std::vector<shm::AccessRule>& rules;
  };
  const List lists[] = {{"allow", access.allow}, {"deny", access.deny}, {"require_nts", access.require_nts}};
  std::size_t all = 0;
  for (const List& list : lists) {
    all += list.rules.size();
    for (const List& other : lists) {
      if (&list.rules <= &other.rules) continue;
      for (const shm::AccessRule& one : list.rules) {
        for (const shm::AccessRule& two : other.rules) {
          if (!is_same_prefix(one, two)) continue;
          refuse_at(
              file, {0, 0},
              "[access] " + std::string(other.name) + " and " + list.name + " both decide " + text_of(one),
              "remove it from one of them");
        }
      }
    }
  }
  if (all > shm::access_rules_max) {
    refuse_at(file, {0, 0}, "[access] has " + std::to_string(all) + " prefixes in all",
              "at most " + std::to_string(shm::access_rules_max) + "; join neighbours into shorter prefixes");
  }
}

}  // namespace control
