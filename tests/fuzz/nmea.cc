// A serial line of NMEA: read an octet at a time and, for comparison, line by line and field by field with
// another calendar. The first octet says whether checksums are made right: bit 0.
#include "hwclock/nmea.h"

#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

// Every sentence with the checksum that it should have had.
Octets with_checksums(const Octets& stream) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  Octets made;
  bool is_inside = false;
  unsigned sum = 0;
  for (const std::uint8_t octet : stream) {
    if (is_inside && (octet == '\r' || octet == '\n')) {
      made.insert(made.end(), {'*', static_cast<std::uint8_t>(digits[sum >> 4]),
                               static_cast<std::uint8_t>(digits[sum & 15])});
      is_inside = false;
    }
    made.push_back(octet);
    if (octet == '$') {
      is_inside = true;
      sum = 0;
    } else {
      sum ^= octet;
    }
  }
  return made;
}

std::vector<std::string> fields_of(const std::string& sentence) {
  std::vector<std::string> fields(1);
  for (const char letter : sentence) {
    if (letter == ',') {
      fields.emplace_back();
    } else {
      fields.back() += letter;
    }
  }
  return fields;
}

// A time of day and a date in the fields of a sentence that was believed, by another calendar.
std::int64_t utc_s_of(const std::string& sentence) {
  const std::vector<std::string> fields = fields_of(sentence.substr(0, sentence.rfind('*')));
  const auto number = [](const std::string& text) { return std::atoi(text.c_str()); };
  const std::string& time = fields.at(1);
  int year, month, day;
  if (fields.at(0).substr(2) == "RMC") {
    const std::string& date = fields.at(9);
    day = number(date.substr(0, 2));
    month = number(date.substr(2, 2));
    year = number(date.substr(4, 2));
    year += year < 80 ? 2000 : 1900;
  } else {
    day = number(fields.at(2));
    month = number(fields.at(3));
    year = number(fields.at(4));
  }
  std::tm date{};
  date.tm_year = year - 1900;
  date.tm_mon = month - 1;
  date.tm_mday = day;
  const std::int64_t midnight_s = ::timegm(&date);
  require(date.tm_mday == day && date.tm_mon == month - 1, "a date that was believed is one");
  return midnight_s + number(time.substr(0, 2)) * 3600 + number(time.substr(2, 2)) * 60 +
         number(time.substr(4, 2));
}

void run(Input input) {
  Reader reader(input);
  const bool is_mended = (reader.octet() & 1) != 0;
  const Octets stream = is_mended ? with_checksums(reader.rest()) : reader.rest();
  hwclock::NmeaReader line;
  std::optional<std::string> collected;  // from '$' on; nothing between sentences
  std::uint64_t dropped_before = 0;
  for (const std::uint8_t octet : stream) {
    const std::optional<hwclock::NmeaTime> told = line.take(octet);
    std::optional<hwclock::NmeaTime> expected;
    if (octet == '$') {
      collected = "$";
    } else if (collected && (octet == '\r' || octet == '\n')) {
      expected = hwclock::read_nmea(*collected);
      require(!expected || expected->utc_s == utc_s_of(collected->substr(1)), "the calendars agree");
      collected.reset();
    } else if (collected && octet >= ' ' && octet <= '~' &&
               collected->size() < hwclock::NmeaReader::sentence_max) {
      *collected += static_cast<char>(octet);
    } else {
      collected.reset();
    }
    require(told.has_value() == expected.has_value(),
            "the reader believes what the sentence says, and no more");
    require(!told || (told->utc_s == expected->utc_s && told->has_fix == expected->has_fix), "and the same");
    require(line.dropped_lines() - dropped_before <= 1, "an octet ends one line at most");
    dropped_before = line.dropped_lines();
  }
}

std::vector<Octets> seeds() {
  std::vector<Octets> all;
  for (const std::string text :
       {"$GPRMC,235959.00,A,4717.11,N,00833.91,E,0.0,,311216,,,A\r\n$GNZDA,000000.00,01,01,2017,00,00\r\n",
        "noise $GPRMC,12 $GNRMC,235960,V,,,,,,,300615,,\n",
        "$GPZDA,120000,29,02,2100,,\r\n$GPZDA,120000,29,02,2000,,\r\n",
        "$GPGGA,1,2,3*00\r\n$GPRMC,1\x01\r\n"}) {
    const Octets octets(text.begin(), text.end());
    all.push_back(with_flags(1, octets));
    all.push_back(with_flags(0, with_checksums(octets)));
  }
  return all;
}

const Registration registration({"nmea", run, seeds});

}  // namespace
}  // namespace fuzz
