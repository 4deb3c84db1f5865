// One value of the configuration at a time: from a TOML node to a C++ value inside its bounds, or a
// ConfigError that names the key, its place and what would be right.
//
// Nothing is guessed: no float becomes an integer, no integer a boolean, no empty text a default.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "control/config.h"

namespace control {

// A value with its place and name, borrowed while its document lives.
struct ConfigValue {
  const toml::node& node;
  const std::string& file;
  std::string key;  // "[server] name", with an index inside arrays

  [[noreturn]] void refuse(const std::string& what, const std::string& what_to_do) const;
};

[[noreturn]] void refuse_at(const std::string& file, const toml::source_position& place,
                            const std::string& what, const std::string& what_to_do);

[[nodiscard]] bool read_boolean(const ConfigValue& value);
// Without control characters.
[[nodiscard]] std::string read_text(const ConfigValue& value);
[[nodiscard]] std::uint32_t read_number(const ConfigValue& value, std::uint32_t lowest,
                                        std::uint32_t highest);
[[nodiscard]] std::uint16_t read_port(const ConfigValue& value);
// Absolute, without "..", at most `bytes_max` octets.
[[nodiscard]] std::filesystem::path read_path(const ConfigValue& value, std::size_t bytes_max = 4095);
// The same of a file: its last part is a name.
[[nodiscard]] std::filesystem::path read_file_path(const ConfigValue& value);
// A DNS name or an IP address literal, of one machine.
[[nodiscard]] std::string read_host(const ConfigValue& value);
// An IP address literal without prefix, as a socket is bound to.
[[nodiscard]] std::string read_listen_address(const ConfigValue& value);
// "192.0.2.1/24": an interface address, so host bits are what it is about.
[[nodiscard]] shm::Address read_interface_address(const ConfigValue& value);

// One of ours by itself, like "192.0.2.1" or "2001:db8::1": a prefix of 0 bits.
[[nodiscard]] shm::Address read_own_address(const ConfigValue& value);
// "kind:rest", where kind is a port of the dataplane.
[[nodiscard]] std::string read_device(const ConfigValue& value);
// A VLAN id, 0 to 4094.
[[nodiscard]] std::uint16_t read_vlan(const ConfigValue& value);
// "DEVICE=MAC"; whether there is such a device is not looked at here.
[[nodiscard]] ReplyGateway read_reply_gateway(const ConfigValue& value);
// The IANA number of an AEAD that Noonmark knows.
[[nodiscard]] std::uint16_t read_aead(const ConfigValue& value);
// "auto" becomes empty; else a tier's name.
[[nodiscard]] std::string read_tier(const ConfigValue& value);
[[nodiscard]] std::string read_reference_id(const ConfigValue& value);

// One of the names; its partner is the value.
template <class Enum>
[[nodiscard]] Enum read_choice(const ConfigValue& value,
                               std::initializer_list<std::pair<std::string_view, Enum>> choices) {
  const std::string text = read_text(value);
  std::string names;
  for (const auto& [name, meaning] : choices) {
    if (text == name) return meaning;
    names += (names.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  }
  value.refuse("\"" + text + "\" is not known here", "choose one of " + names);
}

// True when the value is the text "auto", which some keys take instead of an array.
[[nodiscard]] bool is_auto(const ConfigValue& value);

// Calls `element` for each element. An array has `fewest`..`most` of them.
void for_each_element(const ConfigValue& value, std::size_t fewest, std::size_t most,
                      const std::function<void(const ConfigValue&)>& element);

// An array whose elements `read` turns into values, no two alike.
template <class Element, class Read>
[[nodiscard]] std::vector<Element> read_array(const ConfigValue& value, std::size_t fewest, std::size_t most,
                                              Read read) {
  std::vector<Element> elements;
  for_each_element(value, fewest, most, [&](const ConfigValue& one) {
    Element element = read(one);
    for (const Element& earlier : elements) {
      if (earlier == element) one.refuse("it stands here twice", "remove one of the two");
    }
    elements.push_back(std::move(element));
  });
  return elements;
}

}  // namespace control
