#include "nts/ke_exchange.h"

#include <algorithm>
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

// Octets written by hand, so that a mistake in append_record cannot hide one in a reply.
const Octets next_protocol_ntpv4 = {0x80, 1, 0, 2, 0, 0};
const Octets next_protocol_none = {0x80, 1, 0, 0};
const Octets aead_15 = {0x80, 4, 0, 2, 0, 15};
const Octets aead_none = {0x80, 4, 0, 0};
const Octets end_of_message = {0x80, 0, 0, 0};
const Octets error_0 = {0x80, 2, 0, 2, 0, 0, 0x80, 0, 0, 0};
const Octets error_1 = {0x80, 2, 0, 2, 0, 1, 0x80, 0, 0, 0};

Octets joined(std::initializer_list<Octets> parts) {
  Octets all;
  for (const Octets& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// Eight cookies of 100 octets, each different; as records their critical bit is clear.
std::vector<Octets> eight_cookies() {
  std::vector<Octets> cookies;
  for (std::uint8_t i = 0; i < 8; ++i) cookies.emplace_back(100, static_cast<std::uint8_t>(0xc0 + i));
  return cookies;
}
Octets cookie_records() {
  Octets records;
  for (const Octets& cookie : eight_cookies()) {
    records.insert(records.end(), {0x00, 5, 0, 100});
    records.insert(records.end(), cookie.begin(), cookie.end());
  }
  return records;
}
const Octets usual_reply = joined({next_protocol_ntpv4, aead_15, cookie_records(), end_of_message});

// What a server puts on the wire for these octets, as control/ke_session does it.
Octets reply_to(const Octets& octets, const Policy& with = policy()) {
  const Decision decision = decide(octets, with);
  if (decision.error) return nts::ke::write_error(*decision.error);
  return nts::ke::write_reply(decision, decision.wants_cookies() ? eight_cookies() : std::vector<Octets>{});
}

TEST(KeRequest, D01_P07_P12_TheMinimalRequestIsServedInAnyOrderAndWithUnknownRecordsBetween) {
  struct Piece {
    std::uint16_t type;
    bool critical;
    Octets body;
  };
  std::vector<Piece> pieces = {{1, true, {0, 0}},
                               {4, false, {0, 15}},
                               {77, false, {1, 2, 3}},
                               {0x3fff, false, {}},
                               {0x7fff, false, {9}}};
  const auto by_type = [](const Piece& a, const Piece& b) { return a.type < b.type; };
  std::sort(pieces.begin(), pieces.end(), by_type);
  int orders = 0;
  do {
    Records records;
    for (const Piece& piece : pieces) records.add(piece.type, piece.critical, piece.body);
    ASSERT_EQ(reply_to(records.end()), usual_reply);
    ++orders;
  } while (std::next_permutation(pieces.begin(), pieces.end(), by_type));
  EXPECT_EQ(orders, 120);
  EXPECT_EQ(reply_to(Records().protocol().numbers(4, true, {15}).end()), usual_reply) << "AEAD critical";
}

TEST(KeRequest, D02_P05_AnUnknownCriticalRecordIsError0WhateverElseIsWrong) {
  for (const std::uint16_t type : {std::uint16_t{8}, std::uint16_t{77}, std::uint16_t{0x7fff}}) {
    EXPECT_EQ(reply_to(Records().add(type, true, {}).end()), error_0) << "alone";
    EXPECT_EQ(reply_to(Records().add(type, true, {1, 2}).protocol().aead().end()), error_0) << "before";
    EXPECT_EQ(reply_to(Records().protocol().aead().add(type, true, {}).end()), error_0) << "behind";
    EXPECT_EQ(reply_to(Records().protocol().protocol().add(type, true, {}).end()), error_0)
        << "two protocols";
    EXPECT_EQ(reply_to(Records().add(2, true, {0, 1}).add(type, true, {}).end()), error_0) << "an Error too";
  }
}

TEST(KeRequest, D03_P04_NextProtocolStandsExactlyOnceWithAWholeList) {
  EXPECT_EQ(reply_to(Records().aead().end()), error_1) << "none";
  EXPECT_EQ(reply_to(Records().protocol().protocol().aead().end()), error_1) << "two";
  EXPECT_EQ(reply_to(Records().protocol({}).aead().end()), error_1) << "empty";
  EXPECT_EQ(reply_to(Records().add(1, true, {0}).aead().end()), error_1) << "one octet";
  EXPECT_EQ(reply_to(Records().add(1, true, {0, 0, 0}).aead().end()), error_1) << "odd";
  EXPECT_EQ(reply_to(Records().protocol({7, 8}).aead().end()), joined({next_protocol_none, end_of_message}))
      << "only unknown ones";
  EXPECT_EQ(reply_to(Records().protocol({9, 0}).aead().end()), usual_reply) << "0 plus unknown";
  EXPECT_EQ(reply_to(Records().protocol({0, 9, 0}).aead().end()), usual_reply);
}

TEST(KeRequest, D04_P06_TheAeadRecordStandsExactlyOnceWithAWholeList) {
  EXPECT_EQ(reply_to(Records().protocol().end()), error_1) << "none";
  EXPECT_EQ(reply_to(Records().protocol().aead().aead().end()), error_1) << "two";
  EXPECT_EQ(reply_to(Records().protocol().aead({}).end()), error_1) << "empty";
  EXPECT_EQ(reply_to(Records().protocol().add(4, true, {0}).end()), error_1) << "one octet";
  EXPECT_EQ(reply_to(Records().protocol().add(4, true, {0, 15, 0}).end()), error_1) << "odd";
  EXPECT_EQ(reply_to(Records().protocol().aead({16, 17, 30}).end()),
            joined({next_protocol_ntpv4, aead_none, end_of_message}))
      << "only unsupported ones: no cookies";
  EXPECT_EQ(reply_to(Records().protocol().aead({30, 17, 15}).end()), usual_reply);
}

TEST(KeRequest, D04_OurOrderOfPreferenceDecides) {
  Policy both = policy();
  both.aeads = {30, 15};
  EXPECT_EQ(decide(Records().protocol().aead({15, 30}).end(), both).aead, 30);
  both.aeads = {15, 30};
  EXPECT_EQ(decide(Records().protocol().aead({30, 15}).end(), both).aead, 15);
}

// RFC 8915 section 4.1 asks senders for the bit; nothing is gained by refusing those that forget it.
TEST(KeRequest, D05_AMissingCriticalBitIsTolerated) {
  EXPECT_EQ(reply_to(Records().numbers(1, false, {0}).aead().add(0, false, {}).open()), usual_reply);
  EXPECT_EQ(reply_to(Records().numbers(1, false, {0}).aead().end()), usual_reply);
  EXPECT_EQ(reply_to(Records().protocol().aead().add(0, false, {}).open()), usual_reply);
}

TEST(KeRequest, D06_P05_ARequestWithoutEndIsBad) {
  const Octets whole = Records().protocol().aead().end();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_EQ(reply_to(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes))), error_1)
        << bytes;
  }
  EXPECT_EQ(reply_to(whole), usual_reply);
}

TEST(KeRequest, D07_P03_AnEndWithABodyIsBadAndWhatFollowsTheEndIsIgnored) {
  EXPECT_EQ(reply_to(Records().protocol().aead().add(0, true, {1}).open()), error_1);
  EXPECT_EQ(reply_to(Records().protocol().aead().add(0, true, {0, 0}).end()), error_1);
  for (const Octets& behind : {Octets{0x80, 77, 0, 0}, Octets{0x80}, Records().protocol({}).end(),
                               Records().add(2, true, {}).end()}) {
    EXPECT_EQ(reply_to(joined({Records().protocol().aead().end(), behind})), usual_reply);
  }
}

TEST(KeRequest, D07_NothingIsTakenAfterTheEnd) {
  Message message;
  ASSERT_EQ(message.append(Records().protocol().aead().end()), Message::State::complete);
  EXPECT_EQ(message.append(Records().add(77, true, {}).end()), Message::State::complete);
  EXPECT_EQ(message.records().size(), 3U);
}

TEST(KeRequest, D08_P02_ARequestOf1024OctetsIsTakenAndOneOverTheCapIsNot) {
  const std::size_t fixed = Records().protocol().aead().end().size() + 4;
  const auto padded = [&](std::size_t total) {
    return Records().protocol().aead().add(99, false, Octets(total - fixed)).end();
  };
  static_assert(nts::ke::message_bytes_max > 1024);
  EXPECT_EQ(reply_to(padded(1024)), usual_reply);
  EXPECT_EQ(reply_to(padded(nts::ke::message_bytes_max)), usual_reply);
  for (std::size_t over = 1; over <= 8; ++over) {
    EXPECT_EQ(reply_to(padded(nts::ke::message_bytes_max + over)), error_1) << over;
  }
}

TEST(KeRequest, D08_ALengthBeyondTheCapIsRefusedBeforeItsOctetsCome) {
  Message announced;
  EXPECT_EQ(announced.append(Octets{0, 99, 0xff, 0xff}), Message::State::too_long);
  EXPECT_EQ(announced.append(Octets(70'000)), Message::State::too_long) << "and stays so";
  EXPECT_TRUE(announced.records().empty()) << "nothing of it was kept";
  EXPECT_EQ(nts::ke::read_request(announced, policy()).error, ErrorCode::bad_request);
  Message within;
  const auto most = static_cast<std::uint16_t>(nts::ke::message_bytes_max - 4);
  const auto high = static_cast<std::uint8_t>(most >> 8);
  EXPECT_EQ(within.append(Octets{0, 99, high, static_cast<std::uint8_t>(most)}), Message::State::incomplete);
  Message beyond;
  EXPECT_EQ(beyond.append(Octets{0, 99, high, static_cast<std::uint8_t>(most + 1)}),
            Message::State::too_long);
}

TEST(KeRequest, D08_AFloodOfSmallRecordsEndsAtTheCap) {
  Message message;
  std::size_t sent = 0;
  while (message.state() == Message::State::incomplete && sent < 100'000) {
    message.append(Octets{0, 99, 0, 0});
    sent += 4;
  }
  EXPECT_EQ(message.state(), Message::State::too_long);
  EXPECT_LE(sent, nts::ke::message_bytes_max + 4);
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
    for (const bool critical : {false, true}) {
      for (const Octets& body : {Octets{}, Octets{0, 1}, Octets(100, 7)}) {
        EXPECT_EQ(reply_to(Records().protocol().aead().add(type, critical, body).end()), error_1) << type;
      }
    }
  }
}

TEST(KeRequest, D10_D13_ServerAndPortRecordsOfAnyWrongShapeAreBad) {
  for (const Octets& port : {Octets{}, Octets{1}, Octets{1, 2, 3}, Octets{0, 123, 0, 124}}) {
    EXPECT_EQ(reply_to(Records().protocol().aead().add(7, true, port).end()), error_1);
  }
  for (const Octets& name : {Octets{}, Octets{'a', 0, 'b'}, Octets{'a', ' ', 'b'}, Octets{'a', 0x7f},
                             Octets{0xc3, 0xa4}, Octets(256, 'x')}) {
    EXPECT_EQ(reply_to(Records().protocol().aead().add(6, false, name).end()), error_1);
  }
  EXPECT_EQ(reply_to(Records().protocol().aead().add(6, false, {'x'}).add(6, false, {'x'}).end()), error_1);
  EXPECT_EQ(reply_to(Records().protocol().aead().numbers(7, false, {123}).numbers(7, false, {123}).end()),
            error_1);
  EXPECT_EQ(reply_to(Records().protocol().aead().add(6, false, Octets(255, 'x')).end()), usual_reply)
      << "the longest name there is, but none of ours";
}

Octets octets_of(std::string_view text) { return Octets(text.begin(), text.end()); }

Octets server_record(std::string_view name) {
  return joined({{0x80, 6, 0, static_cast<std::uint8_t>(name.size())}, octets_of(name)});
}

TEST(KeRequest, D13_P08_AServerRecordHoldsPrintableAsciiAndNoBlank) {
  for (const unsigned octet : {0x21U, 0x7eU}) {
    EXPECT_FALSE(
        decide(Records().protocol().aead().add(6, false, {static_cast<std::uint8_t>(octet)}).end()).error);
  }
  for (const unsigned octet : {0U, 0x20U, 0x7fU, 0x80U, 0xffU}) {
    EXPECT_EQ(
        decide(Records().protocol().aead().add(6, false, {static_cast<std::uint8_t>(octet)}).end()).error,
        ErrorCode::bad_request)
        << octet;
  }
}

// Where to ask is told only to who has something to ask with.
TEST(KeRequest, D04_P08_P09_WithoutCookiesNoServerAndNoPortIsNamed) {
  Policy elsewhere = policy();
  elsewhere.ntp_port = 4123;
  elsewhere.ntp_server = "time.example";
  EXPECT_EQ(reply_to(Records().protocol().aead({99}).end(), elsewhere),
            joined({next_protocol_ntpv4, aead_none, end_of_message}));
  EXPECT_EQ(reply_to(Records().protocol({7}).aead().end(), elsewhere),
            joined({next_protocol_none, end_of_message}));
}

// The first and the last letter, and what stands beside the letters in ASCII: the same but for the bit that
// tells cases apart, and not the same name.
TEST(KeRequest, D13_P08_OnlyLettersAreTheSameInEitherCase) {
  Policy ours = policy();
  ours.ntp_servers_ours = {"az.example", "[.example", "`.example"};
  const auto named = [&](const std::string& wish) {
    return decide(Records().protocol().aead().add(6, false, Octets(wish.begin(), wish.end())).end(), ours)
        .ntp_server;
  };
  EXPECT_EQ(named("AZ.EXAMPLE"), "az.example");
  EXPECT_EQ(named("aZ.example"), "az.example");
  EXPECT_EQ(named("{.example"), "");
  EXPECT_EQ(named("@.example"), "");
}

TEST(KeRequest, D13_P08_AClientsWishForAServerOfOursIsHonoured) {
  Policy many = policy();
  const std::string longest = std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') +
                              "." + std::string(63, 'd');
  ASSERT_EQ(longest.size(), 255U);
  many.ntp_servers_ours = {"192.0.2.1", "2001:db8::1", "time.example", longest};
  for (const std::string& wish : many.ntp_servers_ours) {
    EXPECT_EQ(reply_to(Records().protocol().aead().add(6, false, octets_of(wish)).end(), many),
              joined({next_protocol_ntpv4, aead_15, server_record(wish), cookie_records(), end_of_message}));
  }
  // Names and the digits of addresses are the same in either case; we answer with our own spelling.
  EXPECT_EQ(
      decide(Records().protocol().aead().add(6, false, octets_of("TIME.Example")).end(), many).ntp_server,
      "time.example");
  EXPECT_EQ(
      decide(Records().protocol().aead().add(6, false, octets_of("2001:DB8::1")).end(), many).ntp_server,
      "2001:db8::1");
  for (const char* other : {"time.example.org", "time.exampl", "192.0.2.11", "2001:db8::1%eth0", "x"}) {
    EXPECT_EQ(reply_to(Records().protocol().aead().add(6, false, octets_of(other)).end(), many), usual_reply)
        << other << " is none of ours";
  }
}

TEST(KeRequest, D13_P09_OurPortIsSentWhenItIsNot123AndAWishForAnotherMovesNothing) {
  const Octets port_4123 = {0x80, 7, 0, 2, 0x10, 0x1b};
  Policy elsewhere = policy();
  elsewhere.ntp_port = 4123;
  EXPECT_EQ(reply_to(Records().protocol().aead().end(), elsewhere),
            joined({next_protocol_ntpv4, aead_15, port_4123, cookie_records(), end_of_message}));
  EXPECT_EQ(reply_to(Records().protocol().aead().numbers(7, false, {999}).end()), usual_reply) << "alone";
  elsewhere.ntp_server = "fd00::1";
  EXPECT_EQ(reply_to(Records().protocol().aead().numbers(7, false, {999}).end(), elsewhere),
            joined({next_protocol_ntpv4, aead_15, port_4123, server_record("fd00::1"), cookie_records(),
                    end_of_message}));
  const Octets both =
      Records().protocol().aead().add(6, false, octets_of("10.0.0.1")).numbers(7, false, {999}).end();
  EXPECT_EQ(reply_to(both, elsewhere), joined({next_protocol_ntpv4, aead_15, port_4123,
                                               server_record("10.0.0.1"), cookie_records(), end_of_message}))
      << "the server as wished, on the port where it really listens";
}

TEST(KeRequest, P11_TheRecordOfACompliantExporterMeansNothingWithoutAead30) {
  for (const bool critical : {false, true}) {
    EXPECT_EQ(reply_to(Records().protocol().aead({30, 15}).add(1024, critical, {}).end()), usual_reply);
  }
}

// chrony 4.4 to 4.6.0 exports the keys of AEAD 30 as if it were 15, and sends no record 1024.
TEST(KeRequest, P11_Aead30IsExportedAsTheClientDoesAndRecord1024Echoed) {
  const Octets aead_30 = {0x80, 4, 0, 2, 0, 30};
  const Octets compliant = {0x04, 0x00, 0, 0};
  Policy both = policy();
  both.aeads = {30, 15};
  const Octets new_client = Records().protocol().aead({15, 30}).add(1024, false, {}).end();
  const Octets old_client = Records().protocol().aead({30, 15}).end();
  const Octets other_client = Records().protocol().aead({15}).add(1024, false, {}).end();
  for (const bool strict : {false, true}) {
    both.is_gcm_siv_export_strict = strict;
    EXPECT_EQ(decide(new_client, both).exporter_aead, 30);
    EXPECT_EQ(reply_to(new_client, both),
              joined({next_protocol_ntpv4, aead_30, compliant, cookie_records(), end_of_message}));
    EXPECT_EQ(decide(old_client, both).exporter_aead, strict ? 30 : 15);
    EXPECT_EQ(reply_to(old_client, both),
              joined({next_protocol_ntpv4, aead_30, cookie_records(), end_of_message}));
    EXPECT_EQ(decide(other_client, both).exporter_aead, 15);
    EXPECT_EQ(reply_to(other_client, both), usual_reply);
  }
  EXPECT_EQ(reply_to(Records().protocol().aead({30}).add(1024, false, {1}).end(), both), error_1) << "a body";
}

TEST(KeClient, P11_OffersItsExportWithAead30OnlyAndExportsAsTheServerDoes) {
  const Octets compliant = {0x04, 0x00, 0, 0};
  const Numbers both = {30, 15};
  const Numbers one = {15};
  const auto holds = [&](const Octets& request) {
    return std::search(request.begin(), request.end(), compliant.begin(), compliant.end()) != request.end();
  };
  EXPECT_TRUE(holds(nts::ke::write_client_request(both)));
  EXPECT_FALSE(holds(nts::ke::write_client_request(one)));
  for (const bool echoes : {false, true}) {
    Message message;
    Records records;
    records.protocol().aead({30});
    if (echoes) records.add(1024, false, {});
    message.append(records.add(5, false, Octets(68)).end());
    const nts::ke::Reply reply = nts::ke::read_reply(message, both);
    EXPECT_EQ(reply.fault, "");
    EXPECT_EQ(reply.has_compliant_export, echoes);
    EXPECT_EQ(nts::ke::exporter_aead_of(reply.aead, reply.has_compliant_export), echoes ? 30 : 15);
  }
  for (const std::uint16_t aead : {std::uint16_t{15}, std::uint16_t{16}, std::uint16_t{17}}) {
    EXPECT_EQ(nts::ke::exporter_aead_of(aead, false), aead);
  }
}

TEST(KeReply, P07_P12_TheUsualReplyHasTheLengthNtpsecLogs) {
  EXPECT_EQ(usual_reply.size(), 848U);
  Policy elsewhere = policy();
  elsewhere.ntp_port = 4123;
  EXPECT_EQ(reply_to(Records().protocol().aead().end(), elsewhere).size(), 854U);
}

TEST(KeReply, D12_P05_EveryErrorIsARecordOnTheWireFollowedByTheEnd) {
  for (const ErrorCode code :
       {ErrorCode::unrecognised_critical_record, ErrorCode::bad_request, ErrorCode::internal_server_error}) {
    const auto low = static_cast<std::uint8_t>(code);
    EXPECT_EQ(nts::ke::write_error(code), (Octets{0x80, 2, 0, 2, 0, low, 0x80, 0, 0, 0}));
  }
}

TEST(KeReply, D14_P10_TheExporterContextNamesProtocolAeadAndDirection) {
  EXPECT_STREQ(nts::ke::exporter_label, "EXPORTER-network-time-security");
  const std::vector<std::pair<std::uint16_t, std::uint32_t>> aeads = {{15, 32}, {16, 48}, {17, 64}, {30, 16}};
  for (const auto& [aead, key_bytes] : aeads) {
    const auto low = static_cast<std::uint8_t>(aead);
    EXPECT_EQ(nts::ke::exporter_context(aead, nts::ke::Direction::client_to_server),
              (Octets{0, 0, 0, low, 0}));
    EXPECT_EQ(nts::ke::exporter_context(aead, nts::ke::Direction::server_to_client),
              (Octets{0, 0, 0, low, 1}));
    EXPECT_EQ(nts::ke::key_bytes_of(aead), key_bytes);
  }
  EXPECT_EQ(nts::ke::exporter_context(0x1234, nts::ke::Direction::server_to_client),
            (Octets{0, 0, 0x12, 0x34, 1}));
  for (const std::uint16_t unknown : {std::uint16_t{0}, std::uint16_t{14}, std::uint16_t{31}}) {
    EXPECT_EQ(nts::ke::key_bytes_of(unknown), 0U);
  }
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
