// Lines as gpsd 3.22 writes them, and lines as nobody should: what is believed, what is dropped, and that the
// library behind never gets what it does not come back from.

#include "hwclock/gpsd.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <utility>

namespace hwclock {
namespace {

constexpr std::uint64_t tick_hz = 1'000'000'000;
constexpr std::int64_t noon_ns = 1'795'521'600'000'000'000;  // 2026-11-24 12:00:00

struct Connection {
  GpsdReader reader;
  std::vector<GpsdMessage> messages;
  void say(const std::string& text) {
    messages.clear();
    reader.take({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, messages);
  }
};

template <class Kind>
Kind only(const std::string& line) {
  GpsdReader reader;
  const auto message = reader.read(line);
  const Kind* kind = message ? std::get_if<Kind>(&*message) : nullptr;
  EXPECT_NE(kind, nullptr) << line;
  return kind != nullptr ? *kind : Kind{};
}

std::string tpv(const std::string& members) {
  return R"({"class":"TPV","device":"/dev/ttyS0",)" + members + "}";
}
std::string pps(const std::string& members) {
  return R"({"class":"PPS","device":"/dev/pps0","real_sec":1795521600,"real_nsec":0,)" + members + "}";
}

TEST(GpsdReader, AFixHasATimeAPlaceAndLeapSeconds) {
  const auto fix = only<GpsdFix>(
      tpv(R"("status":2,"mode":3,"time":"2026-11-24T12:00:00.000Z","leapseconds":18,"ept":0.005,)"
          R"("lat":51.477900000,"lon":-0.000150000,"alt":46.2,"epx":2.1,"epy":3.3,"eph":4.5)"));
  EXPECT_EQ(fix.device, "/dev/ttyS0");
  EXPECT_TRUE(fix.has_fix);
  EXPECT_EQ(fix.utc_ns, noon_ns);
  EXPECT_EQ(fix.gps_minus_utc_s, 18);
  ASSERT_TRUE(fix.place);
  EXPECT_DOUBLE_EQ(fix.place->latitude_deg, 51.4779);
  EXPECT_DOUBLE_EQ(fix.place->longitude_deg, -0.00015);
  EXPECT_DOUBLE_EQ(fix.place->accuracy_m, 4.5);
}

TEST(GpsdReader, I02_AFixNeedsTwoDimensionsAndATime) {
  for (const char* members :
       {R"("mode":0)", R"("mode":1)", R"("mode":1,"time":"2026-11-24T12:00:00.000Z")", R"("mode":3)",
        R"("mode":4,"time":"2026-11-24T12:00:00.000Z")", R"("mode":-3,"time":"2026-11-24T12:00:00.000Z")",
        R"("mode":3,"time":"yesterday")", R"("mode":3,"time":"")"}) {
    EXPECT_FALSE(only<GpsdFix>(tpv(members)).has_fix) << members;
  }
  EXPECT_TRUE(only<GpsdFix>(tpv(R"("mode":2,"time":"2026-11-24T12:00:00.000Z")")).has_fix);
}

TEST(GpsdReader, AFixKeepsNothingOfTheOneBeforeIt) {
  GpsdReader reader;
  ASSERT_TRUE(
      reader.read(tpv(R"("mode":3,"time":"2026-11-24T12:00:00.000Z","leapseconds":18,"lat":1,"lon":2)")));
  const auto message = reader.read(tpv(R"("mode":2,"time":"2026-11-24T12:00:01.200Z")"));
  ASSERT_TRUE(message);
  const auto& fix = std::get<GpsdFix>(*message);
  EXPECT_EQ(fix.utc_ns, noon_ns + 1'200'000'000);
  EXPECT_EQ(fix.gps_minus_utc_s, 0);
  EXPECT_FALSE(fix.place);
}

TEST(GpsdReader, APlaceIsFiniteAndOnEarth) {
  const std::string good = R"("mode":3,"time":"2026-11-24T12:00:00.000Z",)";
  for (const char* place : {R"("lat":nan,"lon":1)", R"("lat":1,"lon":inf)", R"("lat":1e999,"lon":1)",
                            R"("lat":90.1,"lon":1)", R"("lat":1,"lon":-181)", R"("lon":1)"}) {
    const auto fix = only<GpsdFix>(tpv(good + place));
    EXPECT_TRUE(fix.has_fix) << place;
    EXPECT_FALSE(fix.place) << place;
  }
  for (const char* eph : {R"(,"eph":nan)", R"(,"eph":-1)", R"(,"eph":1e999)", ""}) {
    const auto fix = only<GpsdFix>(tpv(good + R"("lat":1,"lon":2)" + eph));
    ASSERT_TRUE(fix.place) << eph;
    EXPECT_DOUBLE_EQ(fix.place->accuracy_m, 30.0) << eph;
  }
}

TEST(GpsdReader, AnOffsetSaysWhenAMessageCame) {
  const auto offset = only<GpsdOffset>(
      R"({"class":"TOFF","device":"/dev/ttyS0","real_sec":1795521600, "real_nsec":402000000,)"
      R"("clock_sec":1795521600,"clock_nsec":81270548})");
  EXPECT_EQ(offset.device, "/dev/ttyS0");
  EXPECT_EQ(offset.reference_ns, noon_ns + 402'000'000);
  EXPECT_EQ(offset.clock_ns, noon_ns + 81'270'548);
}

TEST(GpsdReader, APulseBringsItsErrorAndItsSawtooth) {
  const auto pulse =
      only<GpsdPulse>(pps(R"("clock_sec":1795521599,"clock_nsec":999987654,"precision":-20,"qErr":-1234)"));
  EXPECT_EQ(pulse.device, "/dev/pps0");
  EXPECT_EQ(pulse.reference_ns, noon_ns);
  EXPECT_EQ(pulse.clock_ns, noon_ns - 12'346);
  EXPECT_NEAR(pulse.error_ns, 953.7, 0.1);
  EXPECT_DOUBLE_EQ(pulse.sawtooth_ns, -1.234);
  const std::string clock = R"("clock_sec":1795521600,"clock_nsec":5)";
  EXPECT_NEAR(only<GpsdPulse>(pps(clock + R"(,"precision":-10)")).error_ns, 976'562.5, 0.1) << "over USB";
  for (const char* unsaid : {"", R"(,"precision":7)", R"(,"precision":-99)"})
    EXPECT_NEAR(only<GpsdPulse>(pps(clock + unsaid)).error_ns, 976'562.5, 0.1) << unsaid;
  EXPECT_DOUBLE_EQ(only<GpsdPulse>(pps(clock + R"(,"precision":-1)")).error_ns, 5e8);
  EXPECT_DOUBLE_EQ(only<GpsdPulse>(pps(clock + R"(,"qErr":99999999)")).sawtooth_ns, 0.0) << "100 us is none";
}

TEST(GpsdReader, I05_TimesThatAreNoneMakeNoPulse) {
  GpsdReader reader;
  std::uint64_t dropped = 0;
  for (const char* clock :
       {R"("clock_sec":1795521600,"clock_nsec":1000000000)", R"("clock_sec":1795521600,"clock_nsec":-1)",
        R"("clock_sec":-5,"clock_nsec":0)", R"("clock_sec":99999999999,"clock_nsec":0)",
        R"("clock_sec":99999999999999999999999,"clock_nsec":0)", R"("clock_nsec":0)", R"("clock_sec":1e5)"}) {
    EXPECT_FALSE(reader.read(pps(clock))) << clock;
    EXPECT_EQ(reader.dropped_lines(), ++dropped) << clock;
  }
  EXPECT_TRUE(reader.read(pps(R"("clock_sec":1795521600,"clock_nsec":999999999)")));
}

TEST(GpsdReader, SecondsGoOnBehind2038) {
  constexpr std::int64_t in_2040_s = 2'208'988'800;
  EXPECT_EQ(only<GpsdFix>(tpv(R"("mode":3,"time":"2040-01-01T00:00:00.000Z")")).utc_ns,
            in_2040_s * 1'000'000'000);
  const auto offset = only<GpsdOffset>(
      R"({"class":"TOFF","device":"x","real_sec":2208988800,"real_nsec":0,"clock_sec":2208988800,"clock_nsec":7})");
  EXPECT_EQ(offset.reference_ns, in_2040_s * 1'000'000'000);
  EXPECT_EQ(offset.clock_ns, in_2040_s * 1'000'000'000 + 7);
}

TEST(GpsdReader, TheSkyTheVersionAndARefusalAreHeard) {
  const auto sky = only<GpsdSky>(
      R"({"class":"SKY","device":"/dev/ttyS0","nSat":3,"uSat":2,"satellites":[)"
      R"({"PRN":1,"el":10.0,"az":20.0,"ss":30.0,"used":true},{"PRN":2,"el":11.0,"az":21.0,"ss":31.0,"used":true},)"
      R"({"PRN":3,"ss":9.0,"used":false}]})");
  EXPECT_EQ(sky.used, 2);
  EXPECT_EQ(sky.device, "/dev/ttyS0");
  const auto version = only<GpsdVersion>(
      R"({"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14})");
  EXPECT_EQ(version.major, 3);
  EXPECT_EQ(version.minor, 14);
  EXPECT_EQ(only<GpsdRefusal>(R"({"class":"ERROR","message":"Unrecognized request"})").text,
            "Unrecognized request");
}

TEST(GpsdReader, ClassesThatSayNothingOfTheTimeAreNoMistakeOfAnybody) {
  GpsdReader reader;
  for (const char* line :
       {R"({"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyS0"}]})",
        R"({"class":"DEVICE","path":"/dev/ttyS0","activated":0})",
        R"({"class":"WATCH","enable":true,"json":true,"pps":true})",
        R"({"class":"AIS","device":"/dev/x","type":1})", R"({"class":"of another century"})"})
    EXPECT_FALSE(reader.read(line)) << line;
  EXPECT_EQ(reader.dropped_lines(), 0U);
}

// Debian's libgps 3.22 never returns from some of these when they get there; then this test hangs.
TEST(GpsdReader, I01_LinesThatLibgpsDoesNotComeBackFromDoNotReachIt) {
  GpsdReader reader;
  std::uint64_t dropped = 0;
  for (const char* line : {R"({"class":"TPV","device"class":"TPV"})", R"({"class":"TPV""class":"TPV")",
                           R"({"class":"SKY","device":"/dev{"class":"SKY","device":"/dev{)",
                           R"({"class":"PPS","device":"ec":1{"class":"PPS","device":"ec":1{"class":"PPS")",
                           R"({"class":"ERROR","mess{"class":"ERROR","mess{"class":"ERROR","mess)"}) {
    EXPECT_FALSE(reader.read(line)) << line;
    EXPECT_EQ(reader.dropped_lines(), ++dropped) << line;
  }
}

TEST(GpsdReader, I01_WhatIsNoMessageIsDroppedAndCounted) {
  GpsdReader reader;
  std::uint64_t dropped = 0;
  for (const std::string& line :
       {std::string("x"), std::string("{}"), std::string("$GPRMC,120000.00,A"),
        std::string(R"({"class":"TPV")"), std::string(R"({"class":"TPV","mode":"three"})"),
        std::string(R"({"class":"TPV")") + std::string(1, '\0') + "}",
        std::string("{\"class\":\"TPV\",\"device\":\"\xff\"}"), std::string(R"({"class":"PPS",5})"),
        std::string(R"({"class":"VERSION","release":")") + std::string(200, 'r') + "\"}",
        std::string(R"({ "class":"TPV","mode":3})")}) {
    EXPECT_FALSE(reader.read(line)) << line;
    EXPECT_EQ(reader.dropped_lines(), ++dropped) << line;
  }
}

TEST(GpsdReader, LinesComeInPiecesAndSeveralAtATime) {
  Connection connection;
  const std::string fix = tpv(R"("mode":2,"time":"2026-11-24T12:00:00.000Z")") + "\r\n";
  for (std::size_t i = 0; i + 1 < fix.size(); ++i) {
    connection.say(fix.substr(i, 1));
    ASSERT_TRUE(connection.messages.empty());
  }
  connection.say("\n" + fix + fix + "\r\n" + fix.substr(0, 9));
  EXPECT_EQ(connection.messages.size(), 3U);
  connection.reader.start_over();
  connection.say(fix);
  EXPECT_EQ(connection.messages.size(), 1U) << "half a line of an earlier connection is nobody's";
  EXPECT_EQ(connection.reader.dropped_lines(), 0U);
}

TEST(GpsdReader, I01_ALineWithoutEndIsDroppedAndTheNextOneHeard) {
  Connection connection;
  const std::string fix = tpv(R"("mode":2,"time":"2026-11-24T12:00:00.000Z")") + "\n";
  for (int i = 0; i < 100; ++i) connection.say(std::string(1000, i % 2 == 0 ? '{' : '\xee'));
  EXPECT_TRUE(connection.messages.empty());
  connection.say("\n" + fix);
  EXPECT_EQ(connection.messages.size(), 1U);
  EXPECT_EQ(connection.reader.dropped_lines(), 1U);
  const std::string longest = tpv(R"("mode":2,"time":"2026-11-24T12:00:00.000Z")");
  connection.say(longest + std::string(GpsdReader::line_octets_max - longest.size(), ' ') + "\n");
  EXPECT_EQ(connection.messages.size(), 1U) << "as long as a line may be";
  connection.say(longest + std::string(GpsdReader::line_octets_max - longest.size() + 1, ' ') + "\n");
  EXPECT_TRUE(connection.messages.empty());
}

TEST(GpsdDevices, OneIsFollowedUntilItHasNothingToSayAndAnotherOneHas) {
  GpsdDevices devices(tick_hz);
  EXPECT_TRUE(devices.follows("one", false, 0)) << "somebody has to say that there is no fix";
  EXPECT_FALSE(devices.follows("two", false, 1));
  EXPECT_TRUE(devices.follows("two", true, 2)) << "who has a fix is better than who never had one";
  EXPECT_FALSE(devices.follows("one", true, 3));
  EXPECT_TRUE(devices.follows("two", false, 4)) << "and says so when it has lost it";
  const auto patience = static_cast<std::uint64_t>(GpsdDevices::patience_s) * tick_hz;
  EXPECT_FALSE(devices.follows("one", true, 2 + patience));
  EXPECT_FALSE(devices.follows("one", false, 3 + patience));
  EXPECT_TRUE(devices.follows("one", true, 3 + patience));
  EXPECT_FALSE(devices.follows("two", true, 4 + patience));
  EXPECT_EQ(devices.followed(), "one");
}

}  // namespace
}  // namespace hwclock
