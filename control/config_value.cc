#include "control/config_value.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <netinet/in.h>

#include "control/file_check.h"
#include "control/odd_address.h"
#include "dataplane/shm/pci_device.h"
#include "nts/aead.h"
#include "nts/siv/siv.h"

namespace control {
namespace {

constexpr std::size_t host_bytes_max = 255;      // RFC 1035 section 2.3.4
constexpr std::size_t label_bytes_max = 63;      // the same
constexpr std::size_t interface_bytes_max = 15;  // IFNAMSIZ less the NUL
constexpr std::uint32_t vlan_id_max = 4094;      // 4095 is reserved (IEEE 802.1Q)

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

// 4, 6, or 0 when `text` is no address literal. inet_pton takes no zone, no short form, no octal.
int parse_address(const std::string& text, std::array<std::uint8_t, 16>& octets) {
  octets.fill(0);
  if (text.find('\0') != std::string::npos) return 0;
  if (::inet_pton(AF_INET, text.c_str(), octets.data()) == 1) return 4;
  if (::inet_pton(AF_INET6, text.c_str(), octets.data()) == 1) return 6;
  return 0;
}

// Six groups of two hexadecimal digits with colons between them.
bool parse_mac(const std::string& text, std::array<std::uint8_t, 6>& octets) {
  if (text.size() != 3 * octets.size() - 1) return false;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const char* group = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(group, group + 2, octets[i], 16);
    if (error != std::errc{} || end != group + 2) return false;
    if (i + 1 < octets.size() && *end != ':') return false;
  }
  return true;
}

bool is_host_name(const std::string& text) {
  if (text.empty() || text.size() > host_bytes_max) return false;
  std::size_t label_bytes = 0;
  char before = '.';
  bool has_letter = false;
  for (const char c : text) {
    if (c == '.') {
      if (label_bytes == 0 || before == '-') return false;
      label_bytes = 0;
    } else {
      if (!is_letter_or_digit(c) && c != '-') return false;
      if (c == '-' && label_bytes == 0) return false;
      if (++label_bytes > label_bytes_max) return false;
      has_letter = has_letter || !(c >= '0' && c <= '9');
    }
    before = c;
  }
  // Digits and dots alone are a mistyped address, never a name.
  return has_letter && before != '-';
}

// "eth0" of "eth0,busy_budget=64", the one option that af_xdp: has; anything else as it is.
std::string without_busy_budget(const std::string& text) {
  constexpr std::string_view option = ",busy_budget=";
  constexpr std::size_t digits_max = 5;
  const std::size_t at = text.find(option);
  if (at == std::string::npos) return text;
  const std::string digits = text.substr(at + option.size());
  const bool is_number =
      !digits.empty() && digits.size() <= digits_max &&
      std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? text.substr(0, at) : text;
}

// Nobody can own one of these, so nobody may be asked to serve it.
bool is_ownable(int family, const std::array<std::uint8_t, 16>& octets) {
  if (family == 4) {
    return octets[0] != 0 && octets[0] < 224;  // "this network", multicast, reserved and broadcast
  }
  if (octets[0] == 0xff) return false;  // multicast
  const bool starts_with_80_zero_bits =
      std::all_of(octets.begin(), octets.begin() + 10, [](auto o) { return o == 0; });
  if (!starts_with_80_zero_bits) return true;
  if (octets[10] == 0xff && octets[11] == 0xff) return false;  // IPv4-mapped
  return std::any_of(octets.begin() + 10, octets.end(), [](auto o) { return o != 0; });
}

// The same, in whichever way an IPv4 address is written.
bool is_of_one_machine(int family, const std::array<std::uint8_t, 16>& octets) {
  constexpr std::array<std::uint8_t, 12> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (family == 4 || !std::equal(mapped.begin(), mapped.end(), octets.begin())) {
    return is_ownable(family, octets);
  }
  std::array<std::uint8_t, 16> ipv4{};
  std::copy(octets.begin() + mapped.size(), octets.end(), ipv4.begin());
  return is_ownable(4, ipv4);
}

}  // namespace

void refuse_at(const std::string& file, const toml::source_position& place, const std::string& what,
               const std::string& what_to_do) {
  std::string line = file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) + ": " +
                     what + "; " + what_to_do;
  // One line, whatever stood in the file.
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  throw ConfigError(line);
}

void ConfigValue::refuse(const std::string& what, const std::string& what_to_do) const {
  refuse_at(file, node.source().begin, key + ": " + what, what_to_do);
}

bool read_boolean(const ConfigValue& value) {
  const auto* boolean = value.node.as_boolean();
  if (boolean == nullptr) value.refuse("it is " + type_name(value.node), "write true or false");
  return boolean->get();
}

std::string read_text(const ConfigValue& value) {
  const auto* text = value.node.as_string();
  if (text == nullptr) value.refuse("it is " + type_name(value.node), "write a text in quotes");
  for (const char c : text->get()) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      value.refuse("it holds a control character", "remove it");
    }
  }
  return text->get();
}

std::uint32_t read_number(const ConfigValue& value, std::uint32_t lowest, std::uint32_t highest) {
  const std::string range =
      "write an integer from " + std::to_string(lowest) + " to " + std::to_string(highest);
  const auto* number = value.node.as_integer();
  if (number == nullptr) value.refuse("it is " + type_name(value.node), range);
  const std::int64_t got = number->get();
  if (got < lowest || got > highest) value.refuse(std::to_string(got) + " is out of range", range);
  return static_cast<std::uint32_t>(got);
}

std::uint16_t read_port(const ConfigValue& value) {
  return static_cast<std::uint16_t>(read_number(value, 1, 65535));
}

std::filesystem::path read_path(const ConfigValue& value, std::size_t bytes_max) {
  const std::filesystem::path path = read_text(value);
  try {
    require_plain_path(path);
  } catch (const FileError& error) {
    const std::string text = error.what();
    const std::size_t split = text.rfind("; ");
    value.refuse(text.substr(0, split), text.substr(split + 2));
  }
  if (path.native().size() > bytes_max) {
    value.refuse("the path is too long", "use one of at most " + std::to_string(bytes_max) + " octets");
  }
  return path;
}

std::filesystem::path read_file_path(const ConfigValue& value) {
  std::filesystem::path path = read_path(value);
  if (!path.has_filename() || path.filename() == ".") {
    value.refuse("the path '" + path.native() + "' is that of a directory",
                 "write the file's name behind it");
  }
  return path;
}

std::string read_host(const ConfigValue& value) {
  std::string text = read_text(value);
  std::array<std::uint8_t, 16> octets;
  const int family = parse_address(text, octets);
  if (family == 0 && (!is_host_name(text) || is_odd_address(text))) {
    value.refuse("\"" + text + "\" is neither a host name nor an address",
                 "write one like \"time.example.net\", \"192.0.2.1\" or \"2001:db8::1\"");
  }
  if (family != 0 && !is_of_one_machine(family, octets)) {
    value.refuse("\"" + text + "\" cannot be the address of one machine", "write a unicast address");
  }
  return text;
}

std::string read_listen_address(const ConfigValue& value) {
  std::string text = read_text(value);
  std::array<std::uint8_t, 16> octets;
  if (parse_address(text, octets) == 0) {
    value.refuse("\"" + text + "\" is no address", "write one like \"0.0.0.0\", \"192.0.2.1\" or \"::\"");
  }
  return text;
}

shm::Address read_interface_address(const ConfigValue& value) {
  const std::string text = read_text(value);
  const std::string form = "write one like \"192.0.2.1/24\" or \"2001:db8::1/64\"";
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) value.refuse("\"" + text + "\" lacks the prefix length", form);
  std::array<std::uint8_t, 16> octets;
  const int family = parse_address(text.substr(0, slash), octets);
  if (family == 0) value.refuse("\"" + text + "\" is no address", form);
  const std::string digits = text.substr(slash + 1);
  const unsigned bits_max = family == 4 ? 32 : 128;
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool is_number = error == std::errc{} && end == digits.data() + digits.size() && digits[0] != '0';
  if (!is_number || bits < 1 || bits > bits_max) {
    value.refuse("the prefix length of \"" + text + "\" is not from 1 to " + std::to_string(bits_max), form);
  }
  if (!is_ownable(family, octets)) {
    value.refuse("\"" + text + "\" cannot be the address of one machine", "write a unicast address");
  }
  shm::Address address{};
  address.family = static_cast<std::uint8_t>(family);
  address.prefix_bits = static_cast<std::uint8_t>(bits);
  std::memcpy(address.octets, octets.data(), octets.size());
  return address;
}

shm::Address read_own_address(const ConfigValue& value) {
  const std::string text = read_text(value);
  std::array<std::uint8_t, 16> octets;
  const int family = parse_address(text, octets);
  if (family == 0 || !is_ownable(family, octets)) {
    value.refuse("\"" + text + "\" is no address of one machine",
                 "write one like \"192.0.2.1\" or \"2001:db8::1\"");
  }
  shm::Address address{};
  address.family = static_cast<std::uint8_t>(family);
  std::memcpy(address.octets, octets.data(), octets.size());
  return address;
}

std::string read_device(const ConfigValue& value) {
  std::string text = read_text(value);
  const std::string form =
      "write one like \"af_packet:eth0\", \"af_xdp:eth0\", \"pci:0000:3b:00.0\" or \"vdev:net_null0\"";
  if (text.size() >= shm::device_name_bytes) value.refuse("the device is too long", form);
  for (const char c : text) {
    if (c <= ' ' || c > '~') value.refuse("the device holds a space or an unprintable character", form);
  }
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  if (colon == std::string::npos || colon + 1 == text.size()) {
    value.refuse("\"" + text + "\" is no device", form);
  }
  if (shm::PciName name; kind == "pci" && !shm::read_pci_name(text.substr(colon + 1), name)) {
    value.refuse("\"" + text.substr(colon + 1) + "\" is no PCI address",
                 "write domain, bus, device and function as `lspci -D` does, like \"pci:0000:3b:00.0\"");
  }
  const bool has_interface = kind == "af_packet" || kind == "af_xdp";
  if (!has_interface && kind != "vdev" && kind != "pci")
    value.refuse("\"" + kind + "\" is no kind of port", form);
  if (has_interface) {
    std::string interface = text.substr(colon + 1);
    if (kind == "af_xdp") interface = without_busy_budget(interface);
    if (interface.size() > interface_bytes_max || interface.find('/') != std::string::npos ||
        interface.find(',') != std::string::npos) {
      value.refuse("\"" + interface + "\" cannot be the name of an interface", form);
    }
  }
  return text;
}

std::uint16_t read_vlan(const ConfigValue& value) {
  return static_cast<std::uint16_t>(read_number(value, 0, vlan_id_max));
}

ReplyGateway read_reply_gateway(const ConfigValue& value) {
  const std::string text = read_text(value);
  const std::string form = "write one like \"af_packet:eth0=00:00:5e:00:53:01\"";
  const std::size_t split = text.rfind('=');  // a virtual device may have more of them among its options
  if (split == std::string::npos || split == 0) value.refuse("\"" + text + "\" is no DEVICE=MAC", form);
  ReplyGateway gateway;
  gateway.device = text.substr(0, split);
  if (!parse_mac(text.substr(split + 1), gateway.mac)) {
    value.refuse("\"" + text.substr(split + 1) + "\" is no MAC address", form);
  }
  const bool is_zero = std::all_of(gateway.mac.begin(), gateway.mac.end(), [](auto o) { return o == 0; });
  if (is_zero || (gateway.mac[0] & 1) != 0) {
    value.refuse("\"" + text.substr(split + 1) + "\" is no address of one machine", form);
  }
  return gateway;
}

std::uint16_t read_aead(const ConfigValue& value) {
  const std::uint32_t number = read_number(value, 0, 0xffff);
  const nts::Aead* aead = nts::find_aead(number);
  if (aead == nullptr) {
    std::string known;
    for (const nts::Aead& one : nts::aeads) {
      known += (known.empty() ? "" : ", ") + std::to_string(one.number) + " (" + one.name + ")";
    }
    value.refuse(std::to_string(number) + " is no AEAD algorithm that Noonmark knows",
                 "choose from " + known);
  }
  return aead->number;
}

std::string read_tier(const ConfigValue& value) {
  std::string text = read_text(value);
  if (text == "auto") return {};
  std::string known;
  for (const nts::siv::Kernels* tier : nts::siv::all_tiers()) {
    if (text == tier->name) return text;
    known += std::string(", ") + tier->name;
  }
  value.refuse("\"" + text + "\" is not the name of a tier", "choose from auto" + known);
}

std::string read_reference_id(const ConfigValue& value) {
  std::string text = read_text(value);
  const bool is_printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (text.size() != 4 || !is_printable) {
    value.refuse("\"" + text + "\" is not four printable ASCII characters", "write one like \"LOCL\"");
  }
  return text;
}

bool is_auto(const ConfigValue& value) {
  const auto* text = value.node.as_string();
  return text != nullptr && text->get() == "auto";
}

void for_each_element(const ConfigValue& value, std::size_t fewest, std::size_t most,
                      const std::function<void(const ConfigValue&)>& element) {
  const auto* array = value.node.as_array();
  if (array == nullptr) value.refuse("it is " + type_name(value.node), "write an array in brackets");
  if (array->size() < fewest || array->size() > most) {
    value.refuse("it has " + std::to_string(array->size()) + " elements",
                 "give from " + std::to_string(fewest) + " to " + std::to_string(most));
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    element({*array->get(i), value.file, value.key + "[" + std::to_string(i) + "]"});
  }
}

}  // namespace control
