// A receiver's line as it comes: what it says of the time is believed when the receiver is sure, and doubted
// otherwise.

#include "hwclock/receiver.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "hwclock/calendar.h"

namespace hwclock {
namespace {

constexpr std::uint64_t tick_hz = 1'000'000'000;
constexpr std::int64_t noon_utc_s = 1'795'521'600;  // 2026-11-24 12:00:00
constexpr std::int32_t tai_minus_utc_s = 37;

std::string sentence(const std::string& body) {
  unsigned sum = 0;
  for (const char c : body) sum ^= static_cast<unsigned char>(c);
  char end[8];
  std::snprintf(end, sizeof end, "*%02X\r\n", sum);
  return "$" + body + end;
}
std::string rmc(char fix, const std::string& time = "120000.00", const std::string& date = "241126",
                const std::string& place = "5128.67,N,00000.01,W") {
  return sentence("GPRMC," + time + "," + std::string(1, fix) + "," + place + ",0.0,0.0," + date + ",,,A");
}

std::vector<std::uint8_t> ubx(std::uint8_t message_class, std::uint8_t id,
                              const std::vector<std::uint8_t>& payload) {
  std::vector<std::uint8_t> body = {message_class, id, static_cast<std::uint8_t>(payload.size() & 0xff),
                                    static_cast<std::uint8_t>(payload.size() >> 8)};
  body.insert(body.end(), payload.begin(), payload.end());
  std::uint8_t a = 0;
  std::uint8_t b = 0;
  for (const std::uint8_t octet : body) {
    a = static_cast<std::uint8_t>(a + octet);
    b = static_cast<std::uint8_t>(b + a);
  }
  std::vector<std::uint8_t> message(2, 0xb5);
  message[1] = 0x62;
  for (const std::uint8_t octet : body) message.push_back(octet);
  message.push_back(a);
  message.push_back(b);
  return message;
}

// UBX-NAV-PVT of 2026-11-24 12:00:00.
std::vector<std::uint8_t> pvt(bool has_fix, bool is_resolved, std::int32_t nanoseconds = 0) {
  std::vector<std::uint8_t> payload(92, 0);
  payload[4] = 0xea;  // 2026
  payload[5] = 0x07;
  payload[6] = 11;
  payload[7] = 24;
  payload[8] = 12;
  payload[11] = is_resolved ? 0x07 : 0x03;
  for (int i = 0; i < 4; ++i)
    payload[16U + static_cast<unsigned>(i)] =
        static_cast<std::uint8_t>(static_cast<std::uint32_t>(nanoseconds) >> (8 * i));
  payload[21] = has_fix ? 1 : 0;
  payload[23] = 9;
  return ubx(0x01, 0x07, payload);
}

std::vector<std::uint8_t> tim_tp(std::int32_t ps) {
  std::vector<std::uint8_t> payload(16, 0);
  for (int i = 0; i < 4; ++i)
    payload[8U + static_cast<unsigned>(i)] =
        static_cast<std::uint8_t>(static_cast<std::uint32_t>(ps) >> (8 * i));
  return ubx(0x0d, 0x01, payload);
}

std::vector<std::uint8_t> mon_rf(std::uint8_t jamming_state, std::uint8_t antenna) {
  std::vector<std::uint8_t> payload(28, 0);
  payload[1] = 1;
  payload[5] = jamming_state;
  payload[6] = antenna;
  return ubx(0x0a, 0x38, payload);
}

std::vector<std::uint8_t> mon_hw(std::uint8_t antenna, std::uint8_t jamming_state) {
  std::vector<std::uint8_t> payload(60, 0);
  payload[20] = antenna;
  payload[22] = static_cast<std::uint8_t>(jamming_state << 2);
  return ubx(0x0a, 0x09, payload);
}

std::vector<std::uint8_t> nav_status(std::uint8_t spoofing_state) {
  std::vector<std::uint8_t> payload(16, 0);
  payload[7] = static_cast<std::uint8_t>(spoofing_state << 3);
  return ubx(0x01, 0x03, payload);
}

struct Line {
  explicit Line(double stands_within_m = 0.0) : receiver(tick_hz, leaps, written_utc_s, stands_within_m) {}
  LeapTable leaps = LeapTable::compiled();
  Receiver receiver;
  std::optional<TimeOfDay> say(const std::string& text, std::uint64_t tick) {
    return receiver.take({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, tick);
  }
  std::optional<TimeOfDay> say(const std::vector<std::uint8_t>& octets, std::uint64_t tick) {
    return receiver.take(octets, tick);
  }
};

TEST(Receiver, AFixGivesTheTimeOfDayInTaiAtTheMessagesBeginning) {
  Line line;
  const std::string text = rmc('A');
  EXPECT_FALSE(line.say(text.substr(0, 10), 500));
  const auto told = line.say(text.substr(10), 900);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tai_s, noon_utc_s + tai_minus_utc_s);
  EXPECT_EQ(told->tick, 500U) << "when it began: how long it takes to send says nothing";
  EXPECT_EQ(line.receiver.doubt(900), ReceiverDoubt::none);
}

// A time of day that begins with somebody else's message is a second too early, and so is every pulse then.
TEST(Receiver, I01_AMessageBeginsWhereItDoesWhateverStoodBeforeIt) {
  Line line;
  EXPECT_FALSE(line.say(ubx(0x01, 0x61, {0x00, 0x01, 0x02, 0x03}), 500)) << "NAV-EOE: nobody's business";
  auto told = line.say(pvt(true, true), 900);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tick, 900U);
  EXPECT_FALSE(line.say(rmc('A').substr(0, 30), 1000)) << "cut short, without an end";
  told = line.say(rmc('A'), 1900);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tick, 1900U);
  EXPECT_FALSE(line.say(std::vector<std::uint8_t>{0xb5, '$', 0xb5}, 2000));
  told = line.say(rmc('A'), 2900);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tick, 2900U);
}

TEST(Receiver, WhatLooksLikeABeginningWithinAMessageIsNone) {
  Line line;
  std::vector<std::uint8_t> payload(92, 0);
  const std::vector<std::uint8_t> plain = pvt(true, true);
  std::copy_n(plain.begin() + 6, payload.size(), payload.begin());
  payload[0] = '\n';  // of the time of week, which nobody reads
  payload[1] = 0xb5;
  payload[2] = '$';
  const std::vector<std::uint8_t> message = ubx(0x01, 0x07, payload);
  const auto half = message.begin() + 7;
  EXPECT_FALSE(line.say(std::vector<std::uint8_t>(message.begin(), half), 500));
  const auto told = line.say(std::vector<std::uint8_t>(half, message.end()), 900);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tick, 500U);
}

TEST(Receiver, I02_FixLostAndFoundAThousandTimesIsSaidEachTime) {
  Line line;
  EXPECT_EQ(line.receiver.doubt(0), ReceiverDoubt::silent);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    EXPECT_FALSE(line.say(rmc('V'), i * 10));
    ASSERT_EQ(line.receiver.doubt(i * 10), ReceiverDoubt::no_fix);
    EXPECT_TRUE(line.say(rmc('A'), i * 10 + 5));
    ASSERT_EQ(line.receiver.doubt(i * 10 + 5), ReceiverDoubt::none);
  }
}

TEST(Receiver, ZdaAloneKnowsNoFixAndIsNotBelieved) {
  Line line;
  EXPECT_FALSE(line.say(sentence("GPZDA,120000.00,24,11,2026,00,00"), 10));
  EXPECT_EQ(line.receiver.doubt(10), ReceiverDoubt::silent);
}

TEST(Receiver, SilenceIsDoubtedAfterHalfAMinute) {
  Line line;
  EXPECT_TRUE(line.say(rmc('A'), 0));
  EXPECT_EQ(line.receiver.doubt(30 * tick_hz), ReceiverDoubt::none);
  EXPECT_EQ(line.receiver.doubt(30 * tick_hz + 1), ReceiverDoubt::silent);
}

TEST(Receiver, UbxIsBelievedOnceDateAndTimeAreResolved) {
  Line line;
  EXPECT_FALSE(line.say(pvt(false, true), 10));
  EXPECT_EQ(line.receiver.doubt(10), ReceiverDoubt::no_fix);
  EXPECT_FALSE(line.say(pvt(true, false), 20));
  EXPECT_EQ(line.receiver.doubt(20), ReceiverDoubt::unresolved);
  const auto told = line.say(pvt(true, true), 30);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tai_s, noon_utc_s + tai_minus_utc_s);
  EXPECT_EQ(line.receiver.satellites(), 9);
}

TEST(Receiver, ASolutionBetweenTwoSecondsNumbersNoPulse) {
  Line line;
  EXPECT_FALSE(line.say(pvt(true, true, 200'000'000), 10));
  EXPECT_TRUE(line.say(pvt(true, true, -400), 20)) << "a little before the whole second is that second";
}

TEST(Receiver, NmeaAndUbxMayBeMixedOnOneLine) {
  Line line;
  std::vector<std::uint8_t> octets = tim_tp(1500);
  const std::string text = rmc('A');
  octets.insert(octets.end(), text.begin(), text.end());
  const std::vector<std::uint8_t> more = mon_rf(1, 2);
  octets.insert(octets.end(), more.begin(), more.end());
  EXPECT_TRUE(line.say(octets, 100));
  ASSERT_TRUE(line.receiver.radio());
  EXPECT_EQ(line.receiver.radio()->antenna, Antenna::good);
  EXPECT_DOUBLE_EQ(line.receiver.take_pulse_correction_ns(200), -1.5) << "an edge that is early by 1.5 ns";
}

TEST(Receiver, ACorrectionIsForTheNextPulseOnly) {
  Line line;
  static_cast<void>(line.say(tim_tp(2000), tick_hz));
  EXPECT_DOUBLE_EQ(line.receiver.take_pulse_correction_ns(tick_hz + 10), -2.0);
  EXPECT_DOUBLE_EQ(line.receiver.take_pulse_correction_ns(2 * tick_hz), 0.0) << "it was used";
  static_cast<void>(line.say(tim_tp(2000), 3 * tick_hz));
  EXPECT_DOUBLE_EQ(line.receiver.take_pulse_correction_ns(5 * tick_hz), 0.0) << "too old";
}

TEST(Receiver, I12_AnAntennaThatIsOpenOrShortedIsDoubtedWhateverTheFixSays) {
  Line line;
  EXPECT_TRUE(line.say(rmc('A'), 10));
  static_cast<void>(line.say(mon_rf(1, 4), 20));
  EXPECT_EQ(line.receiver.doubt(20), ReceiverDoubt::antenna);
  static_cast<void>(line.say(mon_rf(1, 3), 30));
  EXPECT_EQ(line.receiver.doubt(30), ReceiverDoubt::antenna);
  static_cast<void>(line.say(mon_rf(1, 2), 40));
  EXPECT_EQ(line.receiver.doubt(40), ReceiverDoubt::none);
}

// Seen once and never again, an open antenna would keep the pulses away for ever.
TEST(Receiver, I12_WhatItSaidOfAntennaJammingAndSpoofingIsBelievedForAWhile) {
  const auto last = static_cast<std::uint64_t>(Receiver::state_s_max) * tick_hz;
  for (const auto& said : {mon_rf(1, 4), mon_hw(4, 0), mon_rf(3, 2), nav_status(2)}) {
    Line line;
    static_cast<void>(line.say(said, 0));
    static_cast<void>(line.say(rmc('V'), last));
    const ReceiverDoubt doubt = line.receiver.doubt(last);
    EXPECT_TRUE(doubt == ReceiverDoubt::antenna || doubt == ReceiverDoubt::jammed ||
                doubt == ReceiverDoubt::spoofed);
    EXPECT_EQ(line.receiver.doubt(last + 1), ReceiverDoubt::no_fix);
    EXPECT_TRUE(line.say(rmc('A'), last + 2));
    EXPECT_EQ(line.receiver.doubt(last + 2), ReceiverDoubt::none);
    static_cast<void>(line.say(said, last + 3));
    static_cast<void>(line.say(rmc('V'), last + 3));
    EXPECT_EQ(line.receiver.doubt(last + 3), doubt) << "and again when it says so again";
  }
}

TEST(Receiver, JammingIsNamedWhenItCostsTheFix) {
  Line line;
  EXPECT_TRUE(line.say(rmc('A'), 10));
  static_cast<void>(line.say(mon_rf(3, 2), 20));
  EXPECT_EQ(line.receiver.doubt(20), ReceiverDoubt::none);
  static_cast<void>(line.say(rmc('V'), 30));
  EXPECT_EQ(line.receiver.doubt(30), ReceiverDoubt::jammed);
}

TEST(Receiver, OlderReceiversTellOfAntennaAndJammingInAMessageOfTheirOwn) {
  Line line;
  EXPECT_TRUE(line.say(rmc('A'), 10));
  static_cast<void>(line.say(mon_hw(4, 0), 20));
  EXPECT_EQ(line.receiver.doubt(20), ReceiverDoubt::antenna);
  static_cast<void>(line.say(mon_hw(2, 3), 30));
  static_cast<void>(line.say(rmc('V'), 40));
  EXPECT_EQ(line.receiver.doubt(40), ReceiverDoubt::jammed);
}

TEST(Receiver, SpoofingIsBelievedOfAReceiverThatSaysSo) {
  Line line;
  EXPECT_TRUE(line.say(rmc('A'), 10));
  for (std::uint8_t state = 0; state <= 3; ++state) {
    static_cast<void>(line.say(nav_status(state), 20));
    EXPECT_EQ(line.receiver.doubt(20), state < 2 ? ReceiverDoubt::none : ReceiverDoubt::spoofed)
        << int{state};
  }
  static_cast<void>(line.say(nav_status(1), 30));
  EXPECT_EQ(line.receiver.doubt(30), ReceiverDoubt::none);
}

TEST(Receiver, I12_OneThatStandsStillAndJumpsIsDoubtedByNmeaAndByUbx) {
  Line line(100.0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(line.say(rmc('A'), 10));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(line.receiver.doubt(10), ReceiverDoubt::none);
    EXPECT_TRUE(line.say(rmc('A', "120000.00", "241126", "5128.87,N,00000.01,W"), 10));  // 370 m
  }
  EXPECT_EQ(line.receiver.doubt(10), ReceiverDoubt::moved);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(line.say(rmc('A'), 20));
  EXPECT_EQ(line.receiver.doubt(20), ReceiverDoubt::none);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(line.say(pvt(true, true), 30));  // on the equator
  EXPECT_EQ(line.receiver.doubt(30), ReceiverDoubt::moved);
}

TEST(Receiver, OneThatTravelsIsNotWatchedAndOneWithoutAFixSaysNotWhereItIs) {
  Line line;
  EXPECT_TRUE(line.say(rmc('A'), 10));
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(line.say(pvt(true, true), 10));
  EXPECT_EQ(line.receiver.doubt(10), ReceiverDoubt::none);
  Line still(100.0);
  for (int i = 0; i < 9; ++i) static_cast<void>(still.say(pvt(false, true), 10));
  for (int i = 0; i < 9; ++i) static_cast<void>(still.say(rmc('V', "120000.00", "241126", ",,,"), 10));
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(still.say(rmc('A'), 10));
  EXPECT_EQ(still.receiver.doubt(10), ReceiverDoubt::none);
}

TEST(Receiver, I03_AWeekNumberThatRolledOverIsRepairedAndCounted) {
  Line line;
  const auto told = line.say(rmc('A', "120000.00", "100407"), 10);  // 2007-04-10: 1024 weeks earlier
  ASSERT_TRUE(told);
  EXPECT_EQ(told->tai_s, noon_utc_s + tai_minus_utc_s);
  EXPECT_EQ(line.receiver.rollovers_repaired(), 1U);
}

TEST(Receiver, I03_ADateBeforeThisProgramIsRefused) {
  Line line;
  EXPECT_FALSE(line.say(rmc('A', "120000.00", "010126"), 10));
  EXPECT_EQ(line.receiver.doubt(10), ReceiverDoubt::impossible);
}

TEST(Receiver, I01_GarbageOfAnyKindIsDroppedAndTheNextSentenceIsHeard) {
  Line line;
  std::vector<std::uint8_t> noise;
  for (unsigned i = 0; i < 20'000; ++i) noise.push_back(static_cast<std::uint8_t>(i * 2654435761U >> 13));
  EXPECT_FALSE(line.say(noise, 10));
  EXPECT_FALSE(line.say("$" + std::string(10'000, 'x') + "\r\n", 20));
  EXPECT_FALSE(line.say(rmc('A').substr(0, 30), 30));
  EXPECT_TRUE(line.say("\r\n" + rmc('A'), 40));
  EXPECT_GE(line.receiver.dropped(), 2U);
}

}  // namespace
}  // namespace hwclock
