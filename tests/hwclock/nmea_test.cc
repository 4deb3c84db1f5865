// Sentences that tell the time, and a line that carries anything else.

#include "hwclock/nmea.h"

#include <cstdio>
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace hwclock {
namespace {

std::string with_checksum(const std::string& body) {
  unsigned sum = 0;
  for (const char octet : body) sum ^= static_cast<unsigned char>(octet);
  char digits[8];
  std::snprintf(digits, sizeof digits, "*%02X", sum);
  return "$" + body + digits;
}

const std::string rmc = with_checksum("GPRMC,235959.00,A,4717.11,N,00833.91,E,0.004,77.52,311224,,,A");
constexpr std::int64_t rmc_s = 1'735'689'599;  // 2024-12-31 23:59:59

int times_in(NmeaReader& reader, const std::string& octets) {
  int times = 0;
  for (const char octet : octets) times += reader.take(static_cast<std::uint8_t>(octet)) ? 1 : 0;
  return times;
}

TEST(Nmea, ReadsTheTimeOfRmcAndZda) {
  const auto of_rmc = read_nmea(rmc);
  ASSERT_TRUE(of_rmc);
  EXPECT_EQ(of_rmc->utc_s, rmc_s);
  EXPECT_TRUE(of_rmc->has_fix);
  const auto of_zda = read_nmea(with_checksum("GNZDA,235959.00,31,12,2024,00,00"));
  ASSERT_TRUE(of_zda);
  EXPECT_EQ(of_zda->utc_s, rmc_s);
  EXPECT_FALSE(of_zda->has_fix);
}

TEST(Nmea, AReceiverWithoutAFixSaysSo) {
  const auto time = read_nmea(with_checksum("GPRMC,235959.00,V,,,,,,,311224,,,N"));
  ASSERT_TRUE(time);
  EXPECT_FALSE(time->has_fix);
}

TEST(Nmea, I09_ALeapSecondIsTheNextMinuteOfPosix) {
  const auto time = read_nmea(with_checksum("GPRMC,235960.00,A,,,,,,,311216,,,A"));
  ASSERT_TRUE(time);
  EXPECT_EQ(time->utc_s, 1'483'228'800);
}

TEST(Nmea, SaysWhereItStandsWithAFix) {
  const auto time = read_nmea(with_checksum("GPRMC,235959.00,A,4717.1140,S,00833.9160,W,,,311224,,,A"));
  ASSERT_TRUE(time && time->place);
  EXPECT_NEAR(time->place->latitude_deg, -47.285233, 1e-6);
  EXPECT_NEAR(time->place->longitude_deg, -8.565267, 1e-6);
  EXPECT_FALSE(read_nmea(with_checksum("GPRMC,235959.00,V,4717.1,N,00833.9,E,,,311224,,,A"))->place);
  for (const char* place :
       {",,,", "4717.1,N,00833.9,", "4717.1,,00833.9,E", "4717.1,E,00833.9,N", "471.1,N,00833.9,E",
        "4760.0,N,00833.9,E", "47.171,N,00833.9,E", "4717.1,N,0833.9,E", "4717.x,N,00833.9,E",
        "-717.1,N,00833.9,E", "4717.1,NN,00833.9,E"}) {
    const auto one = read_nmea(with_checksum(std::string("GPRMC,235959.00,A,") + place + ",,,311224,,,A"));
    ASSERT_TRUE(one) << place << ": the time is good all the same";
    EXPECT_FALSE(one->place) << place;
  }
}

TEST(Nmea, I01_OneWrongOctetAnywhereIsRefused) {
  for (std::size_t i = 0; i < rmc.size(); ++i) {
    std::string broken = rmc;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    EXPECT_FALSE(read_nmea(broken)) << i;
  }
  for (std::size_t i = 0; i < rmc.size(); ++i) EXPECT_FALSE(read_nmea(rmc.substr(0, i))) << i;
}

TEST(Nmea, DatesThatAreNoneAreRefused) {
  for (const char* body :
       {"GPRMC,240000.00,A,,,,,,,311224", "GPRMC,236000.00,A,,,,,,,311224", "GPRMC,235961.00,A,,,,,,,311224",
        "GPRMC,235959.00,A,,,,,,,310224", "GPRMC,235959.50,A,,,,,,,311224", "GPRMC,,A,,,,,,,311224",
        "GPRMC,235959.00,A,,,,,,,", "GPRMC,235959,A", "GPRMC", "GPGGA,235959.00",
        "GNZDA,235959.00,31,12,,00,00"}) {
    EXPECT_FALSE(read_nmea(with_checksum(body))) << body;
  }
}

TEST(Nmea, I01_AStarWithinASentenceIsDamageWhateverTheChecksumSays) {
  EXPECT_FALSE(read_nmea(with_checksum("GPRMC*,235959.00,A,4717.11,N,00833.91,E,0.0,,311224,,,A")));
  EXPECT_FALSE(read_nmea(with_checksum("GPRMC,235959.00,A,4717.11,N,00833.91,E,0.0,,311224*00,,,A")));
}

TEST(NmeaReader, I01_FindsSentencesBetweenGarbageHalfAndEndlessLines) {
  NmeaReader reader;
  EXPECT_EQ(times_in(reader, rmc + "\r\n"), 1);
  EXPECT_EQ(times_in(reader, "\x01\xff\xb5 no dollar\r\n" + rmc.substr(0, 30) + rmc + "\n"), 1);
  EXPECT_EQ(reader.dropped_lines(), 1U);
  EXPECT_EQ(times_in(reader, "$" + std::string(10'000, 'x') + "\r\n" + rmc + "\r\n"), 1);
  EXPECT_EQ(reader.dropped_lines(), 2U);
  EXPECT_EQ(times_in(reader, rmc.substr(0, 20) + std::string(1, '\0') + rmc.substr(20) + "\r\n"), 0);
}

TEST(NmeaReader, I01_RandomOctetsTellNoTime) {
  std::mt19937_64 random(1);
  NmeaReader reader;
  for (int i = 0; i < 1'000'000; ++i) {
    ASSERT_FALSE(reader.take(static_cast<std::uint8_t>(random() & 0x7f)));
  }
}

}  // namespace
}  // namespace hwclock
