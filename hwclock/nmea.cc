#include "hwclock/nmea.h"

#include <algorithm>

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
  return NmeaTime{*utc_s, is_rmc, is_rmc && field_of(sentence, 2) == "A"};
}

std::optional<NmeaTime> NmeaReader::take(std::uint8_t octet) noexcept {
  if (octet == '$') {
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
