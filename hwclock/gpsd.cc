#include "hwclock/gpsd.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <gps.h>

#include "hwclock/nmea.h"

namespace hwclock {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t seconds_max = std::int64_t{1} << 33;
constexpr std::string_view class_tag = "\"class\":";
constexpr std::string_view beginning = "{\"class\":\"";

constexpr int precision_unsaid = -10;  // log2 seconds: what gpsd says of the worst way
constexpr double sawtooth_max_ps = 1e6;
constexpr std::int32_t leap_least_s = 1;
constexpr std::int32_t leap_most_s = 255;

std::optional<std::int64_t> ns_of(const timespec& time) noexcept {
  if (time.tv_sec <= 0 || time.tv_sec >= seconds_max || time.tv_nsec < 0 || time.tv_nsec >= ns_per_s)
    return std::nullopt;
  return std::int64_t{time.tv_sec} * ns_per_s + time.tv_nsec;
}

std::optional<Place> place_of(const gps_fix_t& fix) noexcept {
  constexpr double accuracy_max_m = 1e6;
  const bool is_on_earth = std::fabs(fix.latitude) <= 90.0 && std::fabs(fix.longitude) <= 180.0;  // no NaN is
  if (!is_on_earth) return std::nullopt;
  const bool says_accuracy = fix.eph > 0.0 && fix.eph < accuracy_max_m;
  return Place{fix.latitude, fix.longitude, says_accuracy ? fix.eph : NmeaTime::accuracy_usual_m};
}

// What stands behind `tag`, when it is an integer and nothing else. libgps keeps seconds in 32 bits, which
// end in 2038, and has no room for the precision.
std::optional<std::int64_t> integer_behind(std::string_view line, std::string_view tag) noexcept {
  const std::size_t at = line.find(tag);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = line.substr(at + tag.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  std::int64_t told = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), told);
  const bool is_whole = end != rest.data() + rest.size() && (*end == ',' || *end == '}' || *end == ' ');
  return error == std::errc{} && is_whole ? std::optional(told) : std::nullopt;
}

std::optional<std::int64_t> ns_behind(std::string_view line, std::string_view seconds_tag,
                                      std::string_view ns_tag) noexcept {
  const auto seconds = integer_behind(line, seconds_tag);
  const auto ns = integer_behind(line, ns_tag);
  if (!seconds || !ns) return std::nullopt;
  return ns_of({*seconds, *ns});
}

double error_ns_of(std::string_view line) noexcept {
  constexpr std::int64_t finest = -30;
  const auto told = integer_behind(line, "\"precision\":");
  const bool is_usable = told && *told >= finest && *told <= 0;
  return std::ldexp(1e9, is_usable ? static_cast<int>(*told) : precision_unsaid);
}

std::string text_of(std::span<const char> octets) {
  return {octets.begin(), std::find(octets.begin(), octets.end(), '\0')};
}

bool is_printable(std::uint8_t octet) noexcept { return octet >= 0x20 && octet < 0x7f; }

}  // namespace

struct GpsdReader::Unpacked {
  gps_data_t data;
};

GpsdReader::GpsdReader() : unpacked_(std::make_unique<Unpacked>()) { line_.reserve(line_octets_max); }
GpsdReader::~GpsdReader() = default;

void GpsdReader::start_over() noexcept {
  line_.clear();
  is_too_long_ = false;
}

void GpsdReader::take(std::span<const std::uint8_t> octets, std::vector<GpsdMessage>& messages) {
  for (const std::uint8_t octet : octets) {
    if (octet != '\n') {
      if (line_.size() < line_octets_max) {
        line_.push_back(static_cast<char>(octet));
      } else {
        is_too_long_ = true;
      }
      continue;
    }
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    if (is_too_long_) {
      ++dropped_;
    } else if (!line_.empty()) {
      if (auto message = read(line_)) messages.push_back(std::move(*message));
    }
    start_over();
  }
}

std::optional<GpsdMessage> GpsdReader::read(std::string_view line) {
  const bool is_text = std::all_of(line.begin(), line.end(),
                                   [](char c) { return is_printable(static_cast<std::uint8_t>(c)); });
  if (!is_text || line.size() > line_octets_max || line.substr(0, beginning.size()) != beginning) {
    ++dropped_;
    return std::nullopt;
  }
  const std::string_view rest = line.substr(beginning.size());
  const std::string_view name = rest.substr(0, rest.find('"'));
  constexpr std::string_view heard[] = {"TPV", "TOFF", "PPS", "SKY", "VERSION", "ERROR"};
  if (std::find(std::begin(heard), std::end(heard), name) == std::end(heard)) return std::nullopt;

  // Behind a second class gps_unpack may look at the same place for ever.
  if (rest.find(class_tag) != std::string_view::npos) {
    ++dropped_;
    return std::nullopt;
  }
  gps_data_t& data = unpacked_->data;
  data.set = 0;
  data.qErr = 0;
  data.satellites_used = 0;
  std::string copy(line);  // it wants one that it may write to
  gps_unpack(copy.data(), &data);
  const std::string device = text_of(data.dev.path);

  const bool is_unknown = integer_behind(line, "\"mode\":") == 0;  // for which libgps has no word
  if (name == "TPV" && (is_unknown || (data.set & MODE_SET) != 0)) {
    GpsdFix fix{device, false, 0, std::nullopt, 0};
    const auto time = ns_of(data.fix.time);
    fix.has_fix = (data.fix.mode == MODE_2D || data.fix.mode == MODE_3D) && time.has_value();
    if (!fix.has_fix) return fix;
    fix.utc_ns = *time;
    fix.place = place_of(data.fix);
    const bool says_leap = data.leap_seconds >= leap_least_s && data.leap_seconds <= leap_most_s;
    if (says_leap) fix.gps_minus_utc_s = data.leap_seconds;
    return fix;
  }
  if ((name == "TOFF" && (data.set & TOFF_SET) != 0) || (name == "PPS" && (data.set & PPS_SET) != 0)) {
    const auto reference = ns_behind(line, "\"real_sec\":", "\"real_nsec\":");
    const auto clock = ns_behind(line, "\"clock_sec\":", "\"clock_nsec\":");
    if (reference && clock && name == "TOFF") return GpsdOffset{device, *reference, *clock};
    const auto sawtooth_ps = static_cast<double>(data.qErr);
    if (reference && clock) {
      return GpsdPulse{device, *reference, *clock, error_ns_of(line),
                       std::fabs(sawtooth_ps) <= sawtooth_max_ps ? sawtooth_ps / 1e3 : 0.0};
    }
  }
  if (name == "SKY" && (data.set & SATELLITE_SET) != 0)
    return GpsdSky{device, static_cast<std::uint8_t>(std::clamp(data.satellites_used, 0, 255))};
  if (name == "VERSION" && (data.set & VERSION_SET) != 0)
    return GpsdVersion{data.version.proto_major, data.version.proto_minor};
  if (name == "ERROR" && (data.set & ERROR_SET) != 0) return GpsdRefusal{text_of(data.error)};
  ++dropped_;
  return std::nullopt;
}

bool GpsdDevices::follows(std::string_view device, bool is_good, std::uint64_t tick) {
  const double silent_s = static_cast<double>(static_cast<std::int64_t>(tick - good_tick_)) / tick_hz_;
  const bool is_free = !was_good_ || silent_s > patience_s;
  if (device != followed_) {
    if (!followed_.empty() && (!is_good || !is_free)) return false;
    followed_ = device;
  }
  if (is_good) {
    was_good_ = true;
    good_tick_ = tick;
  }
  return true;
}

}  // namespace hwclock
