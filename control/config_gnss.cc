#include "control/config_gnss.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cmath>

#include "control/file_check.h"
#include "control/phc_input.h"
#include "hwclock/serial_line.h"

namespace control {
namespace {

constexpr std::uint32_t unit_max = 255;
constexpr std::size_t sock_path_bytes_max = 107;  // sun_path less the NUL

constexpr std::string_view pulse_form =
    "write one like \"pps:/dev/pps0\", \"pps-clear:/dev/pps0\", \"sock:/run/noonmark/clock/pulse\", "
    "\"shm:2\", \"phc-tai:/dev/ptp0\", \"phc-utc:/dev/ptp0\", \"extts:/dev/ptp0:PIN:CHANNEL\", \"gpsd\" or "
    "\"gpsd-messages\"";
constexpr std::string_view gpsd_form = "write one like \"127.0.0.1:2947\" or \"[::1]:2947\"";

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
  PulseInput input;
  if (text == "gpsd" || text == "gpsd-messages") {
    input.kind = text == "gpsd" ? PulseKind::gpsd : PulseKind::gpsd_messages;
    return input;
  }
  if (rest.empty()) value.refuse("\"" + text + "\" is no pulse input", std::string(pulse_form));
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

GpsdAddress read_gpsd_address(const ConfigValue& value) {
  const std::string text = read_text(value);
  GpsdAddress address;
  std::string port;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string::npos) value.refuse("\"" + text + "\" lacks the ]", std::string(gpsd_form));
    address.host = text.substr(1, end - 1);
    has_port = end + 1 < text.size();
    if (has_port && text[end + 1] != ':')
      value.refuse("\"" + text + "\" is no address", std::string(gpsd_form));
    if (has_port) port = text.substr(end + 2);
  } else {
    const std::size_t colon = text.find(':');
    address.host = text.substr(0, colon);
    has_port = colon != std::string::npos;
    if (has_port) port = text.substr(colon + 1);
  }
  std::array<std::uint8_t, sizeof(in6_addr)> octets;
  const int family = !text.empty() && text.front() == '[' ? AF_INET6 : AF_INET;
  if (::inet_pton(family, address.host.c_str(), octets.data()) != 1)
    value.refuse("\"" + text + "\" is no address with a port", std::string(gpsd_form));
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc{} || end != port.data() + port.size() || address.port == 0)
      value.refuse("\"" + port + "\" is no port", std::string(gpsd_form));
  }
  return address;
}

void require_gpsd_agrees(const Config& config, const std::string& file) {
  const Config::Gnss& gnss = config.gnss;
  const bool wants_gpsd = gnss.pulse.kind == PulseKind::gpsd || gnss.pulse.kind == PulseKind::gpsd_messages;
  if (!gnss.gpsd) {
    if (wants_gpsd)
      refuse_at(file, {0, 0}, "[gnss] pulse wants gpsd, but [gnss] gpsd is missing", std::string(gpsd_form));
    return;
  }
  if (!gnss.receiver.empty()) {
    refuse_at(file, {0, 0}, "[gnss] receiver and [gnss] gpsd are both set",
              "remove one of them: two that read one serial line take each other's octets");
  }
  const bool is_loopback =
      gnss.gpsd->is_ipv6() ? gnss.gpsd->host == "::1" : gnss.gpsd->host.compare(0, 4, "127.") == 0;
  if (!is_loopback && !gnss.gpsd_over_network) {
    refuse_at(file, {0, 0}, "[gnss] gpsd is on another machine, and nothing protects what it says on its way",
              "take one at 127.0.0.1 or [::1], or write [gnss] gpsd_over_network = true where you trust the "
              "network");
  }
  if (gnss.pulse.kind != PulseKind::gpsd_messages) return;
  const double error_us =
      (gnss.reference_error_ns != 0 ? gnss.reference_error_ns : usual_of(gnss.pulse.kind).error_ns) / 1e3;
  if (gnss.lock_error_max_us > error_us && config.clock.holdover_max_error_us > error_us) return;
  refuse_at(
      file, {0, 0},
      "[gnss] pulse = \"gpsd-messages\" would never lock: its error is " +
          std::to_string(std::llround(error_us)) + " us, unless reference_error_ns says otherwise",
      "raise [gnss] lock_error_max_us and [clock] holdover_max_error_us beyond it, or measure the delay of "
      "your receiver's messages, and write pulse_delay_ns and reference_error_ns");
}

UsualPulse usual_of(PulseKind kind) noexcept {
  switch (kind) {
    case PulseKind::kernel_pps_assert:
    case PulseKind::kernel_pps_clear:
      return {1'000.0, 15'000.0};  // an interrupt's latency: CLOCK.md section 2.1
    case PulseKind::sock:
    case PulseKind::gpsd:
      return {1'000.0, 15'000.0};  // most senders stamp the same interrupt; gpsd says when it is another
    case PulseKind::extts_rising:
    case PulseKind::extts_falling:
      return {200.0, 2'000.0};  // stamped by the NIC; reading its clock over PCIe, and cables
    case PulseKind::phc_tai:
    case PulseKind::phc_utc:
      return {1'000.0, phc_error_usual_ns};  // nobody says how well it is steered
    case PulseKind::gpsd_messages:
      return {10'000'000.0, 500'000'000.0};  // they come any time within half a second, some scattered
    case PulseKind::shm:
    case PulseKind::none:
      break;
  }
  return {10'000.0, 1'000'000.0};  // a message over a serial line or USB, as likely as a pulse
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
