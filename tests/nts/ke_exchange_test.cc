#include "nts/ke_exchange.h"

#include <gtest/gtest.h>
#include <random>

#include "nts/wire.h"

namespace {

using nts::ke::Decision;
using nts::ke::ErrorCode;
using nts::ke::Message;
using nts::ke::Policy;
using nts::ke::RecordType;
using Octets = std::vector<std::uint8_t>;
using Numbers = std::vector<std::uint16_t>;

// Records one after the other, right or wrong.
class Records {
 public:
  Records& add(std::uint16_t type, bool critical, const Octets& body) {
    nts::ke::append_record(octets_, static_cast<RecordType>(type), critical, body);
    return *this;
  }
  Records& numbers(std::uint16_t type, bool critical, const Numbers& values) {
    nts::ke::append_record(octets_, static_cast<RecordType>(type), critical, values);
    return *this;
  }
  Records& protocol(const Numbers& values = {0}) { return numbers(1, true, values); }
  Records& aead(const Numbers& values = {15}) { return numbers(4, false, values); }  // as NTPsec sends it
  Octets end() { return add(0, true, {}).octets_; }
  Octets open() { return octets_; }

 private:
  Octets octets_;
};

Policy policy() {
  return {.aeads = {15}, .ntp_port = 123, .ntp_server = "", .ntp_servers_ours = {"10.0.0.1", "time.example"}};
}

Decision decide(const Octets& octets, const Policy& with = policy()) {
  Message message;
  message.append(octets);
  return nts::ke::read_request(message, with);
}

TEST(KeRequest, D01_TheMinimalRequestIsServedInAnyOrderAndWithUnknownRecordsBetween) {
  for (const Octets& request :
       {Records().protocol().aead().end(), Records().aead().protocol().end(),
        Records().add(77, false, {1, 2, 3}).protocol().add(0x3fff, false, {}).aead().end()}) {
    const Decision decision = decide(request);
    EXPECT_FALSE(decision.error);
    EXPECT_EQ(decision.aead, 15);
    EXPECT_TRUE(decision.wants_cookies());
  }
}

TEST(KeRequest, D02_P05_AnUnknownCriticalRecordIsError0WhateverElseIsWrong) {
  EXPECT_EQ(decide(Records().add(77, true, {}).end()).error, ErrorCode::unrecognised_critical_record);
  EXPECT_EQ(decide(Records().protocol().aead().add(77, true, {}).end()).error,
            ErrorCode::unrecognised_critical_record);
  EXPECT_EQ(decide(Records().protocol().protocol().add(77, true, {}).end()).error,
            ErrorCode::unrecognised_critical_record);
}

TEST(KeRequest, D03_P04_NextProtocolStandsExactlyOnceWithAWholeList) {
  EXPECT_EQ(decide(Records().aead().end()).error, ErrorCode::bad_request) << "none";
  EXPECT_EQ(decide(Records().protocol().protocol().aead().end()).error, ErrorCode::bad_request) << "two";
  EXPECT_EQ(decide(Records().protocol({}).aead().end()).error, ErrorCode::bad_request) << "empty";
  EXPECT_EQ(decide(Records().add(1, true, {0, 0, 0}).aead().end()).error, ErrorCode::bad_request) << "odd";
  const Decision unknown = decide(Records().protocol({7, 8}).aead().end());
  EXPECT_FALSE(unknown.error);
  EXPECT_FALSE(unknown.wants_cookies());
  EXPECT_EQ(nts::ke::write_reply(unknown, {}), Records().protocol({}).end()) << "an empty list";
  EXPECT_TRUE(decide(Records().protocol({9, 0}).aead().end()).wants_cookies()) << "0 plus unknown";
}

TEST(KeRequest, D04_P06_TheAeadRecordStandsExactlyOnceWithAWholeList) {
  EXPECT_EQ(decide(Records().protocol().end()).error, ErrorCode::bad_request) << "none";
  EXPECT_EQ(decide(Records().protocol().aead().aead().end()).error, ErrorCode::bad_request) << "two";
  EXPECT_EQ(decide(Records().protocol().aead({}).end()).error, ErrorCode::bad_request) << "empty";
  EXPECT_EQ(decide(Records().protocol().add(4, true, {0}).end()).error, ErrorCode::bad_request) << "odd";
  const Decision unsupported = decide(Records().protocol().aead({17, 30}).end());
  EXPECT_FALSE(unsupported.error);
  EXPECT_FALSE(unsupported.wants_cookies());
  EXPECT_EQ(nts::ke::write_reply(unsupported, {}), Records().protocol().numbers(4, true, {}).end());
  EXPECT_EQ(decide(Records().protocol().aead({30, 17, 15}).end()).aead, 15);
}

TEST(KeRequest, D04_OurOrderOfPreferenceDecides) {
  Policy both = policy();
  both.aeads = {30, 15};
  EXPECT_EQ(decide(Records().protocol().aead({15, 30}).end(), both).aead, 30);
}

TEST(KeRequest, D05_AMissingCriticalBitIsTolerated) {
  EXPECT_TRUE(decide(Records().numbers(1, false, {0}).aead().add(0, false, {}).open()).wants_cookies());
}

TEST(KeRequest, D06_ARequestWithoutEndIsBad) {
  EXPECT_EQ(decide(Records().protocol().aead().open()).error, ErrorCode::bad_request);
  EXPECT_EQ(decide({}).error, ErrorCode::bad_request);
}

TEST(KeRequest, D07_P03_AnEndWithABodyIsBadAndWhatFollowsTheEndIsIgnored) {
  EXPECT_EQ(decide(Records().protocol().aead().add(0, true, {1}).open()).error, ErrorCode::bad_request);
  Octets twice = Records().protocol().aead().end();
  twice.insert(twice.end(), {0x80, 77, 0, 0});
  EXPECT_TRUE(decide(twice).wants_cookies());
}

TEST(KeRequest, D08_P02_ARequestOf1024OctetsIsTakenAndOneOverTheCapIsNot) {
  const std::size_t fixed = Records().protocol().aead().end().size() + 4;
  EXPECT_TRUE(decide(Records().protocol().aead().add(99, false, Octets(1024 - fixed)).end()).wants_cookies());
  const auto padded = [&](std::size_t total) {
    Message message;
    message.append(Records().protocol().aead().add(99, false, Octets(total - fixed)).end());
    return message.state();
  };
  EXPECT_EQ(padded(nts::ke::message_bytes_max), Message::State::complete);
  EXPECT_EQ(padded(nts::ke::message_bytes_max + 1), Message::State::too_long);
  Message announced;
  EXPECT_EQ(announced.append(Octets{0, 99, 0xff, 0xff}), Message::State::too_long) << "said, not yet sent";
}

TEST(KeRequest, D09_ArrivesOneOctetAtATimeOrSplitAnywhere) {
  const Octets whole = Records().protocol().add(50, false, Octets(30, 7)).aead().end();
  Message slow;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(slow.state(), Message::State::incomplete);
    slow.append(std::span(whole).subspan(i, 1));
  }
  EXPECT_TRUE(nts::ke::read_request(slow, policy()).wants_cookies());
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    Message message;
    message.append(std::span(whole).first(cut));
    message.append(std::span(whole).subspan(cut));
    EXPECT_TRUE(nts::ke::read_request(message, policy()).wants_cookies()) << cut;
  }
}

TEST(KeRequest, D10_P05_RecordsThatOnlyAServerSendsAndOddLengthsAreBad) {
  for (const std::uint16_t type : {std::uint16_t{2}, std::uint16_t{3}, std::uint16_t{5}}) {
    EXPECT_EQ(decide(Records().protocol().aead().add(type, true, {0, 1}).end()).error,
              ErrorCode::bad_request);
  }
  EXPECT_EQ(decide(Records().protocol().aead().add(7, true, {1}).end()).error, ErrorCode::bad_request);
  EXPECT_EQ(decide(Records().protocol().aead().add(7, true, {1, 2, 3}).end()).error, ErrorCode::bad_request);
  EXPECT_EQ(decide(Records().protocol().aead().add(6, true, {}).end()).error, ErrorCode::bad_request);
  EXPECT_EQ(decide(Records().protocol().aead().add(6, true, {'a', 0, 'b'}).end()).error,
            ErrorCode::bad_request);
}

TEST(KeRequest, D13_P08_P09_ServerAndPortAreNegotiatedBothWays) {
  const Octets asks = Records()
                          .protocol()
                          .aead()
                          .add(6, false, {'t', 'i', 'm', 'e', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e'})
                          .end();
  EXPECT_EQ(decide(asks).ntp_server, "time.example");
  EXPECT_EQ(decide(Records().protocol().aead().add(6, false, {'x'}).end()).ntp_server, "") << "not ours";
  Policy elsewhere = policy();
  elsewhere.ntp_server = "10.9.9.9";
  elsewhere.ntp_port = 4123;
  const Decision decision = decide(Records().protocol().aead().end(), elsewhere);
  const Octets cookie(100, 0xcc);
  const std::vector<Octets> cookies(8, cookie);
  Records expected;
  expected.protocol()
      .numbers(4, true, {15})
      .numbers(7, true, {4123})
      .add(6, true, {'1', '0', '.', '9', '.', '9', '.', '9'});
  for (int i = 0; i < 8; ++i) expected.add(5, false, cookie);
  EXPECT_EQ(nts::ke::write_reply(decision, cookies), expected.end());
}

TEST(KeReply, P12_TheUsualReplyHasTheLengthNtpsecLogs) {
  const std::vector<Octets> cookies(8, Octets(100, 1));
  const Octets reply = nts::ke::write_reply(decide(Records().protocol().aead().end()), cookies);
  EXPECT_EQ(reply.size(), 848U);
}

TEST(KeReply, D12_EveryErrorIsARecordOnTheWireFollowedByTheEnd) {
  for (const ErrorCode code :
       {ErrorCode::unrecognised_critical_record, ErrorCode::bad_request, ErrorCode::internal_server_error}) {
    const auto low = static_cast<std::uint8_t>(code);
    EXPECT_EQ(nts::ke::write_error(code), (Octets{0x80, 2, 0, 2, 0, low, 0x80, 0, 0, 0}));
  }
}

TEST(KeReply, P10_TheExporterContextNamesProtocolAeadAndDirection) {
  EXPECT_EQ(nts::ke::exporter_context(15, nts::ke::Direction::client_to_server), (Octets{0, 0, 0, 15, 0}));
  EXPECT_EQ(nts::ke::exporter_context(30, nts::ke::Direction::server_to_client), (Octets{0, 0, 0, 30, 1}));
}

TEST(KeClient, ReadsWhatTheServerWrites) {
  Policy elsewhere = policy();
  elsewhere.ntp_server = "fd00::1";
  elsewhere.ntp_port = 4123;
  Message request;
  const Numbers offered = {15};
  request.append(nts::ke::write_client_request(offered));
  const Decision decision = nts::ke::read_request(request, elsewhere);
  Message message;
  message.append(nts::ke::write_reply(decision, std::vector<Octets>(8, Octets(100, 3))));
  const nts::ke::Reply reply = nts::ke::read_reply(message, offered);
  EXPECT_EQ(reply.fault, "");
  EXPECT_EQ(reply.aead, 15);
  EXPECT_EQ(reply.cookies.size(), 8U);
  EXPECT_EQ(reply.ntp_server, "fd00::1");
  EXPECT_EQ(reply.ntp_port, 4123);
}

TEST(KeClient, RefusesErrorsSurprisesAndEmptyReplies) {
  const Numbers offered = {15};
  const auto fault = [&](const Octets& octets) {
    Message message;
    message.append(octets);
    return nts::ke::read_reply(message, offered).fault;
  };
  EXPECT_NE(fault(nts::ke::write_error(ErrorCode::bad_request)), "");
  EXPECT_NE(fault(Records().protocol().aead().end()), "") << "no cookie";
  EXPECT_NE(fault(Records().protocol().aead({17}).add(5, false, Octets(100)).end()), "") << "not offered";
  EXPECT_NE(fault(Records().protocol().aead({}).end()), "");
  EXPECT_NE(fault(Records().protocol({}).end()), "");
  EXPECT_NE(fault(Records().protocol().aead().add(5, false, {}).end()), "");
  EXPECT_NE(fault(Records().protocol().aead().add(5, false, Octets(100)).add(88, true, {}).end()), "");
  EXPECT_EQ(fault(Records().protocol().aead().add(5, false, Octets(100)).add(88, false, {}).end()), "");
}

TEST(KeRequest, D18_RandomStreamsNeverDoMoreThanFail) {
  std::mt19937 random(3);
  const Octets seed = Records().protocol().aead().add(6, false, {'x', 'y'}).numbers(7, false, {9}).end();
  for (int i = 0; i < 100'000; ++i) {
    Octets request = seed;
    for (unsigned long flips = random() % 5; flips > 0; --flips)
      request[random() % request.size()] = static_cast<std::uint8_t>(random());
    if (random() % 4 == 0) request.resize(random() % (request.size() + 1));
    const Decision decision = decide(request);
    ASSERT_TRUE(!decision.wants_cookies() || decision.aead == 15);
    Message message;
    message.append(request);
    (void)nts::ke::read_reply(message, Numbers{15});
  }
}

}  // namespace
