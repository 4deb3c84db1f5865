// `noonmark query` in process against a whole NTS server on loopback.
#include "control/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "control/query_report.h"
#include "tests/control/loopback_server.h"

namespace {

using control::QueryFamily;
using control::QueryOptions;
using testing::HasSubstr;
using tests::Behaviour;
using tests::Certificates;
using tests::LoopbackServer;
using tests::Octets;

constexpr std::int64_t ahead_ns = 5'000'000'000;
// As it is printed: a measurement is wrong by up to half of its delay, and a busy machine takes its time.
constexpr const char* five_seconds = "(4\\.[5-9]|5\\.[0-4])[0-9][0-9] s";

class QueryTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { certificates = new Certificates; }
  static void TearDownTestSuite() { delete certificates; }
  void SetUp() override { ASSERT_TRUE(certificates->made()) << "the openssl command makes the certificates"; }

  QueryOptions options_for(const LoopbackServer& server) {
    QueryOptions options;
    options.host = "127.0.0.1";
    options.ke_port = server.ke_port();
    options.ca = certificates->file("ca.pem");
    options.samples = 2;
    return options;
  }

  int query(const QueryOptions& options) {
    std::ostringstream out, err;
    const int code = control::run_query(options, out, err);
    out_ = out.str();
    err_ = err.str();
    for (const char letter : out_ + err_) EXPECT_TRUE(letter == '\n' || (letter >= ' ' && letter <= '~'));
    json_ = options.json ? nlohmann::json::parse(out_) : nlohmann::json();
    return code;
  }
  int query_json(QueryOptions options) {
    options.json = true;
    const int code = query(options);
    EXPECT_EQ(err_, "");
    EXPECT_EQ(json_.at("ok").get<bool>(), code == 0);
    EXPECT_EQ(json_.contains("error"), code != 0);
    return code;
  }

  static inline Certificates* certificates = nullptr;
  std::string out_, err_;
  nlohmann::json json_;
};

TEST_F(QueryTest, TakesAuthenticatedTimeAndTellsItStepByStep) {
  const LoopbackServer server(*certificates, {.ahead_ns = ahead_ns});
  ASSERT_TRUE(server.is_up());
  EXPECT_EQ(query(options_for(server)), 0) << err_;
  EXPECT_EQ(err_, "");
  EXPECT_THAT(out_,
              HasSubstr("NTS-KE       127.0.0.1 port " + std::to_string(server.ke_port()) + ", TLSv1.3"));
  EXPECT_THAT(out_, testing::ContainsRegex("certificate  CN = time.test, valid for [12] more days?\n"));
  EXPECT_THAT(out_, HasSubstr("agreed       AEAD_AES_SIV_CMAC_256, 8 cookies of 100 octets\n"));
  EXPECT_THAT(out_, HasSubstr("NTP server   127.0.0.1 port " + std::to_string(server.ntp_port()) + "\n"));
  EXPECT_THAT(out_, testing::ContainsRegex("\\+" + std::string(five_seconds)));
  EXPECT_THAT(out_, HasSubstr("  GPS  "));
  EXPECT_THAT(out_, HasSubstr("authenticated\n"));
  EXPECT_THAT(out_, testing::ContainsRegex("the server's clock is " + std::string(five_seconds) +
                                           " ahead of this machine's"));
  EXPECT_THAT(out_, HasSubstr("8 cookies left"));
}

TEST_F(QueryTest, TakesAuthenticatedTimeUnderEveryAeadThatItIsToldToOffer) {
  for (const bool strict : {false, true}) {
    const LoopbackServer server(*certificates, {.policy = {.aeads = {30, 15, 16, 17},
                                                           .ntp_port = 0,
                                                           .ntp_server = {},
                                                           .ntp_servers_ours = {},
                                                           .is_gcm_siv_export_strict = strict}});
    QueryOptions options = options_for(server);
    EXPECT_EQ(query_json(options), 0) << out_;
    EXPECT_EQ(json_["ke"]["aead"], 30) << "what the server likes best of all";
    for (const nts::Aead& aead : nts::aeads) {
      options.aead = aead.number;
      EXPECT_EQ(query_json(options), 0) << out_;
      EXPECT_EQ(json_["ke"]["aead"], aead.number);
      EXPECT_EQ(json_["ke"]["aead_name"], aead.name);
      EXPECT_EQ(json_["ke"]["cookie_bytes"], aead.cookie_bytes());
      EXPECT_EQ(json_["ntp"][0]["authenticated"], true);
    }
  }
}

TEST_F(QueryTest, TheJsonHasTheShapeOfTheHeader) {
  const LoopbackServer server(*certificates, {.ahead_ns = -ahead_ns});
  ASSERT_EQ(query_json(options_for(server)), 0) << out_;
  EXPECT_EQ(json_["host"], "127.0.0.1");
  const auto& ke = json_["ke"];
  EXPECT_EQ(ke["address"], "127.0.0.1");
  EXPECT_EQ(ke["port"], server.ke_port());
  EXPECT_EQ(ke["tls"], "TLSv1.3");
  EXPECT_EQ(ke["certificate"]["subject"], "CN = time.test");
  EXPECT_GT(ke["certificate"]["expires_unix_s"], std::time(nullptr));
  EXPECT_EQ(ke["aead"], 15);
  EXPECT_EQ(ke["aead_name"], "AEAD_AES_SIV_CMAC_256");
  EXPECT_EQ(ke["cookies"], 8);
  EXPECT_EQ(ke["cookie_bytes"], 100);
  EXPECT_EQ(ke["ntp_server"], "127.0.0.1");
  EXPECT_EQ(ke["ntp_port"], server.ntp_port());
  EXPECT_GT(ke["took_ms"], 0);
  ASSERT_EQ(json_["ntp"].size(), 2U);
  std::int64_t least_delay_ns = std::numeric_limits<std::int64_t>::max();
  for (const auto& sample : json_["ntp"]) {
    EXPECT_EQ(sample["address"], "127.0.0.1");
    EXPECT_EQ(sample["port"], server.ntp_port());
    EXPECT_EQ(sample["verdict"], "good");
    EXPECT_EQ(sample["authenticated"], true);
    EXPECT_EQ(sample["stratum"], 1);
    EXPECT_EQ(sample["leap"], 0);
    EXPECT_EQ(sample["reference_id"], "GPS");
    EXPECT_EQ(sample["root_delay_ns"], nts::ns_from_short(0x100));
    EXPECT_EQ(sample["root_dispersion_ns"], nts::ns_from_short(0x200));
    EXPECT_EQ(sample["cookies_received"], 1);
    const std::int64_t delay_ns = sample["delay_ns"];
    EXPECT_GT(delay_ns, 0);
    EXPECT_LE(std::abs(sample["offset_ns"].get<std::int64_t>() + ahead_ns), delay_ns / 2 + 1)
        << "the truth lies within half the delay";
    least_delay_ns = std::min(least_delay_ns, delay_ns);
  }
  EXPECT_EQ(json_["delay_ns"], least_delay_ns);
  EXPECT_EQ(json_["cookies_left"], 8);
  const auto ports = server.client_ports();
  EXPECT_EQ(std::set(ports.begin(), ports.end()).size(), 2U) << "RFC 9109: another port each time";
}

TEST_F(QueryTest, WorksOverIpv6) {
  const LoopbackServer server(*certificates, {.address = "::1"});
  if (!server.is_up()) GTEST_SKIP() << "this machine has no IPv6 loopback";
  QueryOptions options = options_for(server);
  options.host = "::1";
  options.family = QueryFamily::ipv6;
  ASSERT_EQ(query_json(options), 0) << out_;
  EXPECT_EQ(json_["ke"]["ntp_server"], "::1");
  EXPECT_EQ(json_["ntp"][0]["address"], "::1");
  options.family = QueryFamily::ipv4;
  EXPECT_EQ(query(options), 1);
  EXPECT_THAT(err_, HasSubstr("is no IPv4 address"));
}

TEST_F(QueryTest, PlainAsksWithoutNtsAndSaysThatNothingIsAuthenticated) {
  const LoopbackServer server(*certificates, {});
  QueryOptions options = options_for(server);
  options.plain = true;
  options.ntp_port = server.ntp_port();
  EXPECT_EQ(query(options), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("not authenticated\n"));
  EXPECT_EQ(query_json(options), 0);
  EXPECT_FALSE(json_.contains("ke"));
  EXPECT_FALSE(json_.contains("cookies_left"));
  EXPECT_EQ(json_["ntp"][0]["authenticated"], false);
  EXPECT_EQ(server.connections(), 0U) << "no NTS-KE at all";
}

TEST_F(QueryTest, P08_P09_GoesToTheServerThatNtsKeTold) {
  const LoopbackServer server(
      *certificates,
      {.ntp_address = "127.0.0.2",
       .policy = {.aeads = {15}, .ntp_port = 0, .ntp_server = "127.0.0.2", .ntp_servers_ours = {}}});
  ASSERT_TRUE(server.is_up());
  ASSERT_EQ(query_json(options_for(server)), 0) << out_;
  EXPECT_EQ(json_["ke"]["ntp_server"], "127.0.0.2");
  EXPECT_EQ(json_["ntp"][0]["address"], "127.0.0.2");
  EXPECT_EQ(query(options_for(server)), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("told by NTS-KE as 127.0.0.2"));
}

TEST_F(QueryTest, AToldNameIsResolvedInTheFamilyOfTheSession) {
  const LoopbackServer server(
      *certificates,
      {.policy = {.aeads = {15}, .ntp_port = 0, .ntp_server = "localhost", .ntp_servers_ours = {}}});
  ASSERT_EQ(query_json(options_for(server)), 0) << out_;
  EXPECT_EQ(json_["ke"]["ntp_server"], "127.0.0.1");
  const LoopbackServer lost(
      *certificates,
      {.policy = {.aeads = {15}, .ntp_port = 0, .ntp_server = "no..such", .ntp_servers_ours = {}}});
  EXPECT_EQ(query_json(options_for(lost)), 1);
  EXPECT_THAT(json_["error"].get<std::string>(),
              HasSubstr("told an NTP server that cannot be asked: no..such"));
  EXPECT_EQ(json_["ke"]["cookies"], 8) << "what went well is told all the same";
}

TEST_F(QueryTest, B10_AnUnsynchronisedServerIsPrintedButNotBelieved) {
  const LoopbackServer server(*certificates, {.clock = {}, .ahead_ns = ahead_ns});
  EXPECT_EQ(query(options_for(server)), 1);
  EXPECT_THAT(out_, testing::ContainsRegex("\\+" + std::string(five_seconds)));
  EXPECT_THAT(out_, HasSubstr("not in sync"));
  EXPECT_THAT(out_, testing::ContainsRegex("not to be used: the server's clock is " +
                                           std::string(five_seconds) + " ahead"));
  EXPECT_THAT(err_, HasSubstr("does not know the time (leap 3, stratum 0, reference INIT)"));
  EXPECT_EQ(query_json(options_for(server)), 1);
  EXPECT_EQ(json_["ntp"][0]["verdict"], "unsynchronised");
  EXPECT_EQ(json_["ntp"][0]["authenticated"], true);
  EXPECT_EQ(json_["cookies_left"], 8);
}

TEST_F(QueryTest, P27_SaysWhenTheServerHasLostTheKeysOfItsCookies) {
  const LoopbackServer server(*certificates, {.ntp_has_other_keys = true});
  QueryOptions options = options_for(server);
  options.timeout_ms = 1000;
  EXPECT_EQ(query_json(options), 1);
  EXPECT_THAT(json_["error"].get<std::string>(), HasSubstr("(NTSN)"));
  ASSERT_EQ(json_["ntp"].size(), 1U) << "not asked again";
  EXPECT_EQ(json_["ntp"][0]["verdict"], "nts_nak");
  EXPECT_EQ(json_["cookies_left"], 7);
}

Octets nak_for(const Octets& request) {
  Octets nak(request.begin(), request.begin() + 84);
  nak[0] = 0xe4;
  nak[1] = 0;
  std::copy(request.begin() + 40, request.begin() + 48, nak.begin() + 24);
  nts::store_u32(nak.data() + 12, nts::kiss_ntsn);
  return nak;
}

TEST_F(QueryTest, WaitsOnWhenPacketsThatAreNoAnswerComeFirst) {
  Behaviour behaviour;
  behaviour.bend = [](const Octets& request, const Octets& answer) {
    Octets wrong_tag = answer, wrong_origin = answer;
    wrong_tag[5] ^= 1;
    wrong_origin[30] ^= 1;
    return std::vector<Octets>{Octets(7, 1), wrong_origin, wrong_tag, nak_for(request), answer};
  };
  const LoopbackServer server(*certificates, std::move(behaviour));
  EXPECT_EQ(query(options_for(server)), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("authenticated, 3 other packets ignored (last: refused_tag)"));
  EXPECT_THAT(out_, HasSubstr("8 cookies left"));
}

TEST_F(QueryTest, AForgedAnswerAloneIsNoTime) {
  Behaviour behaviour;
  behaviour.bend = [](const Octets&, const Octets& answer) {
    Octets forged = answer;
    forged[43] ^= 1;  // the transmit stamp
    return std::vector<Octets>{forged};
  };
  const LoopbackServer server(*certificates, std::move(behaviour));
  QueryOptions options = options_for(server);
  options.timeout_ms = 500;
  EXPECT_EQ(query_json(options), 1);
  EXPECT_EQ(json_["ntp"][0]["verdict"], "no_answer");
  EXPECT_THAT(json_["error"].get<std::string>(), HasSubstr("the last: refused_tag"));
  EXPECT_FALSE(json_.contains("offset_ns"));
  EXPECT_EQ(json_["cookies_left"], 6);
}

TEST_F(QueryTest, ALostAnswerCostsACookieThatTheNextRequestAsksFor) {
  Behaviour behaviour;
  behaviour.bend = [asked = 0](const Octets&, const Octets& answer) mutable {
    return asked++ == 0 ? std::vector<Octets>{} : std::vector<Octets>{answer};
  };
  const LoopbackServer server(*certificates, std::move(behaviour));
  QueryOptions options = options_for(server);
  options.timeout_ms = 1000;
  EXPECT_EQ(query_json(options), 0) << "one good answer is enough";
  EXPECT_EQ(json_["ntp"][0]["verdict"], "no_answer");
  EXPECT_EQ(json_["ntp"][1]["cookies_received"], 2);
  EXPECT_EQ(json_["cookies_left"], 8);
}

TEST_F(QueryTest, SaysWhenNoNtpServerAnswersOrListens) {
  Behaviour silent;
  silent.bend = [](const Octets&, const Octets&) { return std::vector<Octets>{}; };
  const LoopbackServer server(*certificates, std::move(silent));
  QueryOptions options = options_for(server);
  options.timeout_ms = 500;
  EXPECT_EQ(query(options), 1);
  EXPECT_THAT(err_, HasSubstr("no answer within 100 ms; does an NTP server run there"));
  EXPECT_THAT(out_, HasSubstr(" 2  no answer\n"));
  std::uint16_t gone = 0;
  {
    const LoopbackServer other(*certificates, {});
    gone = other.ntp_port();
  }
  options.ntp_port = gone;
  EXPECT_EQ(query(options), 1);
  EXPECT_THAT(err_, HasSubstr("UDP port " + std::to_string(gone) + ": cannot be asked (Connection refused)"));
}

TEST_F(QueryTest, ADenyIsHeardAndNotAskedAgain) {
  Behaviour behaviour;
  behaviour.bend = [](const Octets& request, const Octets&) {
    Octets kiss = nak_for(request);
    std::copy_n("DENY", 4, kiss.begin() + 12);
    return std::vector<Octets>{kiss};
  };
  const LoopbackServer server(*certificates, std::move(behaviour));
  QueryOptions options = options_for(server);
  options.timeout_ms = 500;
  EXPECT_EQ(query_json(options), 1);
  EXPECT_THAT(json_["error"].get<std::string>(), HasSubstr("(DENY)"));
  EXPECT_EQ(json_["ntp"].size(), 1U);
}

TEST_F(QueryTest, AFaultOfNtsKeIsOneSentenceAndExitCodeOne) {
  const LoopbackServer server(*certificates, {});
  QueryOptions options = options_for(server);
  options.ca = certificates->file("other-ca.pem");
  EXPECT_EQ(query(options), 1);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("was refused"));
  EXPECT_EQ(std::count(err_.begin(), err_.end(), '\n'), 1);
  EXPECT_EQ(query_json(options), 1);
  EXPECT_FALSE(json_.contains("ke"));
  options.ca = "/nonexistent.pem";
  EXPECT_EQ(query(options), 1);
  EXPECT_THAT(err_, HasSubstr("/nonexistent.pem"));
}

TEST(QueryReport, DurationsAreReadable) {
  using control::text_of_duration;
  EXPECT_EQ(text_of_duration(0), "0 ns");
  EXPECT_EQ(text_of_duration(999), "999 ns");
  EXPECT_EQ(text_of_duration(1'000), "1.0 us");
  EXPECT_EQ(text_of_duration(-45'120), "-45.1 us");
  EXPECT_EQ(text_of_duration(999'949), "999.9 us");
  EXPECT_EQ(text_of_duration(999'950), "1.0 ms");
  EXPECT_EQ(text_of_duration(12'345'678), "12.3 ms");
  EXPECT_EQ(text_of_duration(999'950'000), "1.000 s");
  EXPECT_EQ(text_of_duration(5'000'000'000), "5.000 s");
}

TEST(QueryReport, ReferenceIdsAreLettersAtStratumOneAndAddressesBelow) {
  using control::text_of_reference_id;
  EXPECT_EQ(text_of_reference_id(0x47505300, 1), "GPS");
  EXPECT_EQ(text_of_reference_id(0x494e4954, 0), "INIT");
  EXPECT_EQ(text_of_reference_id(0, 0), "-");
  EXPECT_EQ(text_of_reference_id(0xc0000201, 2), "192.0.2.1");
  EXPECT_EQ(text_of_reference_id(0x1b5b324a, 1), "?[2J") << "a server does not write to the terminal";
}

}  // namespace
