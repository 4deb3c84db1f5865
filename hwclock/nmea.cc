#include "hwclock/nmea.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hwclock/calendar.h"

namespace hwclock {
namespace {

int hex_of(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

bool has_right_checksum(std::string_view sentence) noexcept {
  // The star is reserved: one within the sentence is damage that the checksum happens to agree with.
  if (sentence.size() < 4 || sentence.find('*') != sentence.size() - 3) return false;
  const int high = hex_of(sentence[sentence.size() - 2]);
  const int low = hex_of(sentence[sentence.size() - 1]);
  unsigned sum = 0;
  for (const char octet : sentence.substr(1, sentence.size() - 4)) sum ^= static_cast<unsigned char>(octet);
  return high >= 0 && low >= 0 && sum == static_cast<unsigned>(high * 16 + low);
}

// The field of that index, the address being 0; empty when there is none.
std::string_view field_of(std::string_view sentence, int index) noexcept {
  for (; index > 0; --index) {
    const std::size_t comma = sentence.find(',');
    if (comma == std::string_view::npos) return {};
    sentence.remove_prefix(comma + 1);
  }
  return sentence.substr(0, sentence.find_first_of(",*"));
}

// A number of just these digits, or -1.
int number_of(std::string_view digits) noexcept {
  if (digits.empty() || digits.size() > 4) return -1;
  int value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return -1;
    value = value * 10 + (digit - '0');
  }
  return value;
}

bool read_time_of_day(std::string_view field, CivilTime& time) noexcept {
  if (field.size() < 6 || (field.size() > 6 && field[6] != '.')) return false;
  // A sentence within the second says nothing of when it began.
  for (const char digit : field.substr(std::min<std::size_t>(7, field.size()))) {
    if (digit != '0') return false;
  }
  time.hour = number_of(field.substr(0, 2));
  time.minute = number_of(field.substr(2, 2));
  time.second = number_of(field.substr(4, 2));
  return true;
}

// "5128.6740" and "N": degrees and minutes, the last two digits before the point being minutes. Not a number
// for anything else.
double degrees_of(std::string_view field, std::string_view side, char positive, char negative,
                  std::size_t degree_digits) noexcept {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  constexpr std::size_t digits_max = 8;  // a tenth of a millimetre
  const std::size_t whole_digits = degree_digits + 2;
  if (side.size() != 1 || (side[0] != positive && side[0] != negative)) return none;
  if (field.size() < whole_digits || (field.size() > whole_digits && field[whole_digits] != '.')) return none;
  const int degrees = number_of(field.substr(0, degree_digits));
  const int whole_minutes = number_of(field.substr(degree_digits, 2));
  if (degrees < 0 || whole_minutes < 0 || whole_minutes > 59) return none;
  double minutes = whole_minutes;
  double digit_worth = 0.1;
  for (const char digit : field.substr(std::min(whole_digits + 1, field.size())).substr(0, digits_max)) {
    if (digit < '0' || digit > '9') return none;
    minutes += digit_worth * (digit - '0');
    digit_worth /= 10.0;
  }
  const double angle = degrees + minutes / 60.0;
  return side[0] == positive ? angle : -angle;
}

std::optional<Place> place_in_rmc(std::string_view sentence) noexcept {
  const Place place{degrees_of(field_of(sentence, 3), field_of(sentence, 4), 'N', 'S', 2),
                    degrees_of(field_of(sentence, 5), field_of(sentence, 6), 'E', 'W', 3),
                    NmeaTime::accuracy_usual_m};
  if (std::isnan(place.latitude_deg) || std::isnan(place.longitude_deg)) return std::nullopt;
  return place;
}

}  // namespace

std::optional<NmeaTime> read_nmea(std::string_view sentence) noexcept {
  if (sentence.size() < 7 || sentence[0] != '$' || !has_right_checksum(sentence)) return std::nullopt;
  const std::string_view address = field_of(sentence, 0);
  if (address.size() != 6) return std::nullopt;
  const bool is_rmc = address.substr(3) == "RMC";
  if (!is_rmc && address.substr(3) != "ZDA") return std::nullopt;
  CivilTime time;
  if (!read_time_of_day(field_of(sentence, 1), time)) return std::nullopt;
  if (is_rmc) {
    const std::string_view date = field_of(sentence, 9);
    if (date.size() != 6) return std::nullopt;
    time.day = number_of(date.substr(0, 2));
    time.month = number_of(date.substr(2, 2));
    const int year = number_of(date.substr(4, 2));
    if (year < 0) return std::nullopt;
    time.year = (year < 80 ? 2000 : 1900) + year;  // GPS began in 1980
  } else {
    time.day = number_of(field_of(sentence, 2));
    time.month = number_of(field_of(sentence, 3));
    time.year = number_of(field_of(sentence, 4));
  }
  const std::optional<std::int64_t> utc_s = utc_seconds_of(time);
  if (!utc_s) return std::nullopt;
  NmeaTime result{*utc_s, is_rmc, is_rmc && field_of(sentence, 2) == "A", std::nullopt};
  if (result.has_fix) result.place = place_in_rmc(sentence);
  return result;
}

std::optional<NmeaTime> NmeaReader::take(std::uint8_t octet) noexcept {
  if (begins(octet)) {
    if (is_collecting_) ++dropped_;
    is_collecting_ = true;
    length_ = 0;
  }
  if (!is_collecting_) return std::nullopt;
  if (octet == '\r' || octet == '\n') {
    is_collecting_ = false;
    const std::string_view sentence(line_.data(), length_);
    if (!has_right_checksum(sentence)) ++dropped_;
    return read_nmea(sentence);
  }
  if (length_ == sentence_max || octet < ' ' || octet > '~') {
    is_collecting_ = false;
    ++dropped_;
    return std::nullopt;
  }
  line_[length_++] = static_cast<char>(octet);
  return std::nullopt;
}

}  // namespace hwclock
