#include "control/config_gnss.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "control/file_check.h"
#include "hwclock/serial_line.h"

namespace control {
namespace {

constexpr std::uint32_t unit_max = 255;
constexpr std::size_t sock_path_bytes_max = 107;  // sun_path less the NUL

constexpr std::string_view pulse_form =
    "write one like \"pps:/dev/pps0\", \"pps-clear:/dev/pps0\", \"sock:/run/noonmark/clock/pulse\", "
    "\"shm:2\", \"phc-tai:/dev/ptp0\", \"phc-utc:/dev/ptp0\" or \"extts:/dev/ptp0:PIN:CHANNEL\"";

// A whole text that is a small number.
bool read_index(const std::string& text, std::uint32_t& index) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  return error == std::errc{} && end == text.data() + text.size() && index <= unit_max;
}

std::filesystem::path read_pulse_path(const ConfigValue& value, const std::string& text) {
  try {
    require_plain_path(text);
  } catch (const FileError& error) {
    value.refuse(error.what(), std::string(pulse_form));
  }
  return text;
}

// "/dev/ptp0:PIN:CHANNEL"
void read_extts(const ConfigValue& value, const std::string& text, PulseInput& input) {
  const std::size_t last = text.rfind(':');
  const std::size_t first = last == std::string::npos || last == 0 ? last : text.rfind(':', last - 1);
  if (first == std::string::npos || first == last ||
      !read_index(text.substr(first + 1, last - first - 1), input.pin) ||
      !read_index(text.substr(last + 1), input.channel)) {
    value.refuse("\"" + text + "\" does not name a device, a pin and a channel",
                 "write one like \"extts:/dev/ptp0:0:0\"; the numbers go from 0 to 255");
  }
  input.path = read_pulse_path(value, text.substr(0, first));
}

}  // namespace

std::int32_t read_signed(const ConfigValue& value, std::int32_t lowest, std::int32_t highest) {
  const std::string range =
      "write an integer from " + std::to_string(lowest) + " to " + std::to_string(highest);
  const auto* number = value.node.as_integer();
  if (number == nullptr) value.refuse("it is no integer", range);
  const std::int64_t got = number->get();
  if (got < lowest || got > highest) value.refuse(std::to_string(got) + " is out of range", range);
  return static_cast<std::int32_t>(got);
}

std::uint32_t read_baud(const ConfigValue& value) {
  constexpr std::uint32_t lowest = 4800;
  constexpr std::uint32_t highest = 921'600;
  const std::uint32_t baud = read_number(value, lowest, highest);
  if (!hwclock::is_baud(baud)) {
    value.refuse(std::to_string(baud) + " is no speed of a serial line",
                 "write one like 9600, 38400 or 115200");
  }
  return baud;
}

PulseInput read_pulse_input(const ConfigValue& value) {
  const std::string text = read_text(value);
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (rest.empty()) value.refuse("\"" + text + "\" is no pulse input", std::string(pulse_form));
  PulseInput input;
  if (kind == "pps" || kind == "pps-clear") {
    input.kind = kind == "pps" ? PulseKind::kernel_pps_assert : PulseKind::kernel_pps_clear;
    input.path = read_pulse_path(value, rest);
  } else if (kind == "sock") {
    input.kind = PulseKind::sock;
    input.path = read_pulse_path(value, rest);
    if (rest.size() > sock_path_bytes_max) value.refuse("the socket's path is too long", "use a shorter one");
  } else if (kind == "shm") {
    input.kind = PulseKind::shm;
    if (!read_index(rest, input.unit)) {
      value.refuse("\"" + rest + "\" is no unit of shared memory", "write a number from 0 to 255");
    }
  } else if (kind == "phc-tai" || kind == "phc-utc") {
    input.kind = kind == "phc-tai" ? PulseKind::phc_tai : PulseKind::phc_utc;
    input.path = read_pulse_path(value, rest);
  } else if (kind == "extts" || kind == "extts-falling") {
    input.kind = kind == "extts" ? PulseKind::extts_rising : PulseKind::extts_falling;
    read_extts(value, rest, input);
  } else {
    value.refuse("\"" + kind + "\" is no kind of pulse input", std::string(pulse_form));
  }
  return input;
}

std::string read_gnss_reference_id(const ConfigValue& value) {
  std::string text = read_text(value);
  const bool is_printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (text.empty() || text.size() > 4 || !is_printable) {
    value.refuse("\"" + text + "\" is not one to four printable ASCII characters",
                 "write one like \"GPS\", \"GAL\" or \"PPS\"");
  }
  return text;
}

}  // namespace control
