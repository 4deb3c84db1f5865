// u-blox messages, whole, cut, broken and between other things.

#include "hwclock/ubx.h"

#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace hwclock {
namespace {

using Octets = std::vector<std::uint8_t>;

Octets framed(std::uint8_t message_class, std::uint8_t id, const Octets& payload) {
  Octets frame;
  frame.reserve(payload.size() + 8);
  for (const std::size_t octet : {std::size_t{0xb5}, std::size_t{0x62}, std::size_t{message_class},
                                  std::size_t{id}, payload.size() & 0xff, payload.size() >> 8}) {
    frame.push_back(static_cast<std::uint8_t>(octet));
  }
  for (const std::uint8_t octet : payload) frame.push_back(octet);
  std::uint8_t a = 0;
  std::uint8_t b = 0;
  for (std::size_t i = 2; i < frame.size(); ++i) {
    a = static_cast<std::uint8_t>(a + frame[i]);
    b = static_cast<std::uint8_t>(b + a);
  }
  frame.push_back(a);
  frame.push_back(b);
  return frame;
}

void put(Octets& payload, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) payload[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// 2016-12-31 23:59:59, 25 ns accurate, resolved, with a fix of 11 satellites.
Octets pvt() {
  Octets payload(92);
  put(payload, 4, 2016);
  payload[6] = 12;
  payload[7] = 31;
  payload[8] = 23;
  payload[9] = payload[10] = 59;
  payload[11] = 0x07;
  put(payload, 12, 25);
  put(payload, 16, static_cast<std::uint32_t>(-7));
  payload[20] = 3;
  payload[21] = 0x01;
  payload[23] = 11;
  return payload;
}

Octets timing_pulse() {
  Octets payload(16);
  put(payload, 8, static_cast<std::uint32_t>(-8'123));
  return payload;
}

Octets radio(std::uint8_t antenna, std::uint8_t jamming) {
  Octets payload(4 + 2 * 24);
  payload[1] = 2;
  payload[4 + 2] = 2;
  payload[4 + 24 + 1] = jamming;
  payload[4 + 24 + 2] = antenna;
  payload[4 + 24 + 16] = 77;
  return payload;
}

std::vector<UbxMessage> messages_in(UbxReader& reader, const Octets& octets) {
  std::vector<UbxMessage> found;
  for (const std::uint8_t octet : octets) {
    if (auto message = reader.take(octet)) found.push_back(*message);
  }
  return found;
}

template <typename Kind>
Kind only(const Octets& frame) {
  UbxReader reader;
  const auto found = messages_in(reader, frame);
  EXPECT_EQ(found.size(), 1U);
  return found.size() == 1 && std::holds_alternative<Kind>(found[0]) ? std::get<Kind>(found[0]) : Kind{};
}

TEST(Ubx, ReadsTheTimeAndWhetherToBelieveIt) {
  const auto time = only<UbxTime>(framed(0x01, 0x07, pvt()));
  EXPECT_EQ(time.utc_s, 1'483'228'799);
  EXPECT_EQ(time.nanoseconds, -7);
  EXPECT_EQ(time.accuracy_ns, 25U);
  EXPECT_TRUE(time.has_fix);
  EXPECT_TRUE(time.is_resolved);
  EXPECT_EQ(time.satellites, 11);
  Octets unresolved = pvt();
  unresolved[11] = 0x03;
  EXPECT_FALSE(only<UbxTime>(framed(0x01, 0x07, unresolved)).is_resolved);
}

TEST(Ubx, ReadsTheSawtoothOfTheNextPulse) {
  const auto pulse = only<UbxPulse>(framed(0x0d, 0x01, timing_pulse()));
  EXPECT_EQ(pulse.quantisation_ps, -8'123);
  EXPECT_TRUE(pulse.has_quantisation);
  Octets invalid = timing_pulse();
  invalid[14] = 0x10;
  EXPECT_FALSE(only<UbxPulse>(framed(0x0d, 0x01, invalid)).has_quantisation);
  Octets absurd = timing_pulse();
  put(absurd, 8, 2'000'000'000);
  EXPECT_FALSE(only<UbxPulse>(framed(0x0d, 0x01, absurd)).has_quantisation);
}

TEST(Ubx, I09_ReadsLeapSecondsAndTheNextChange) {
  Octets payload(24);
  payload[9] = 18;
  payload[11] = 0xff;
  put(payload, 12, 3'600);
  payload[23] = 0x03;
  const auto leap = only<UbxLeap>(framed(0x01, 0x26, payload));
  EXPECT_TRUE(leap.is_current_valid);
  EXPECT_EQ(leap.gps_minus_utc_s, 18);
  EXPECT_TRUE(leap.is_change_valid);
  EXPECT_EQ(leap.change_s, -1);
  EXPECT_EQ(leap.seconds_to_change, 3'600);
  payload[11] = 5;
  EXPECT_FALSE(only<UbxLeap>(framed(0x01, 0x26, payload)).is_change_valid);
}

TEST(Ubx, I12_SaysTheWorstOfAllBands) {
  const auto state = only<UbxRadio>(framed(0x0a, 0x38, radio(4, 3)));
  EXPECT_EQ(state.antenna, Antenna::open);
  EXPECT_EQ(state.jamming_state, 3);
  EXPECT_EQ(state.jamming_indicator, 77);
}

TEST(Ubx, SaysWhereItStandsAndHowSureItIs) {
  Octets payload = pvt();
  put(payload, 24, static_cast<std::uint32_t>(-15'000));      // 1e-7 degrees east
  put(payload, 28, static_cast<std::uint32_t>(514'779'000));  // and north
  put(payload, 40, 5'250);                                    // mm
  const auto time = only<UbxTime>(framed(0x01, 0x07, payload));
  EXPECT_DOUBLE_EQ(time.place.longitude_deg, -0.0015);
  EXPECT_DOUBLE_EQ(time.place.latitude_deg, 51.4779);
  EXPECT_DOUBLE_EQ(time.place.accuracy_m, 5.25);
}

TEST(Ubx, I12_OlderReceiversSayAntennaAndJammingInMonHw) {
  for (const auto& [bytes, indicator_at] : {std::pair{60U, 45U}, {68U, 53U}}) {
    Octets payload(bytes);
    payload[20] = 3;
    payload[22] = 0x03 | 2 << 2;
    payload[indicator_at] = 99;
    const auto state = only<UbxRadio>(framed(0x0a, 0x09, payload));
    EXPECT_EQ(state.antenna, Antenna::short_circuit);
    EXPECT_EQ(state.jamming_state, 2);
    EXPECT_EQ(state.jamming_indicator, 99);
  }
  for (const std::size_t bytes : {0U, 59U, 61U, 67U, 69U})
    EXPECT_FALSE(read_ubx(0x0a, 0x09, Octets(bytes))) << bytes;
  Octets impossible(60);
  impossible[20] = 5;
  EXPECT_FALSE(read_ubx(0x0a, 0x09, impossible));
}

TEST(Ubx, SaysWhetherItHoldsItsSignalsToBeFalse) {
  Octets payload(16);
  payload[7] = 0x07 | 2 << 3 | 0x20;
  const auto status = only<UbxStatus>(framed(0x01, 0x03, payload));
  EXPECT_EQ(status.spoofing_state, 2);
  EXPECT_FALSE(read_ubx(0x01, 0x03, Octets(15)));
}

TEST(Ubx, I01_PayloadsCutAtAnyLengthAreRefusedWithARightChecksum) {
  UbxReader reader;
  for (std::size_t bytes = 0; bytes < 92; ++bytes) {
    Octets cut = pvt();
    cut.resize(bytes);
    EXPECT_TRUE(messages_in(reader, framed(0x01, 0x07, cut)).empty()) << bytes;
  }
  Octets more_blocks = radio(2, 0);
  more_blocks[1] = 255;
  EXPECT_TRUE(messages_in(reader, framed(0x0a, 0x38, more_blocks)).empty());
}

TEST(UbxReader, I01_OneWrongOctetAnywhereLosesThatMessageAlone) {
  const Octets good = framed(0x0d, 0x01, timing_pulse());
  for (std::size_t i = 0; i < good.size(); ++i) {
    UbxReader reader;
    Octets broken = good;
    broken[i] ^= 0x40;
    EXPECT_TRUE(messages_in(reader, broken).empty()) << i;
    // A broken length may swallow what follows, at most payload_max of it.
    Octets rest(UbxReader::payload_max + 8);
    rest.insert(rest.end(), good.begin(), good.end());
    EXPECT_EQ(messages_in(reader, rest).size(), 1U) << i;
  }
}

TEST(UbxReader, FindsMessagesBetweenSentencesAndRepeatedSyncs) {
  UbxReader reader;
  Octets line{'$', 'G', 'P', 'R', 'M', 'C', '\r', '\n', 0xb5, 0xb5};
  const Octets good = framed(0x0d, 0x01, timing_pulse());
  line.insert(line.end(), good.begin() + 1, good.end());
  EXPECT_EQ(messages_in(reader, line).size(), 1U);
}

TEST(UbxReader, I01_RandomOctetsAreSurvived) {
  std::mt19937_64 random(1);
  UbxReader reader;
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t chance = random();
    // Often a sync and a class of ours, so that the insides are reached.
    for (const std::uint8_t octet : Octets{0xb5, 0x62, 0x01, 0x07}) {
      if ((chance & 0xf00) == 0) reader.take(octet);
    }
    reader.take(static_cast<std::uint8_t>(chance));
  }
  EXPECT_GT(reader.dropped_messages(), 100U);
}

}  // namespace
}  // namespace hwclock
