// What a person reads: the whole of a good report, the sums, and reports that make no sense.

#include "control/cli_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace control {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const json lab_status = json::parse(R"({
  "server": "time.noonmark.test", "version": "0.1.0", "ntp_port": 123,
  "addresses": ["10.123.0.1", "fd00:123::1"],
  "dataplane": {"running": true, "pid": 4711, "uptime_s": 3700, "tier": "aesni", "instruction_sets": "AES-NI",
                "aeads": [{"aead": 15, "name": "A", "tier": "wide", "instruction_sets": "AES, VAES"},
                          {"aead": 16, "name": "B", "tier": "aesni", "instruction_sets": "AES"},
                          {"aead": 17, "name": "C", "tier": "aesni", "instruction_sets": "AES"},
                          {"aead": 30, "name": "D", "tier": "gcm", "instruction_sets": "PCLMULQDQ"}],
                "cores": [{"cpu": 1, "state": "in service", "queues": 2, "received_packets": 9, "sent_packets": 8,
                           "heartbeat_age_ms": 0, "acknowledged_keys": 3},
                          {"cpu": 3, "state": "drained", "queues": 0, "received_packets": 5, "sent_packets": 5,
                           "heartbeat_age_ms": 9, "acknowledged_keys": 2}], "ports": ["af_packet:nm-srv"]},
  "clock": {"running": true, "synchronised": false, "state": "local", "source": "kernel clock", "stratum": 10,
            "leap": 0, "reference_id": "LOCL", "root_delay_us": 0, "root_dispersion_us": 12, "valid_for_s": 66,
            "age_ms": 80},
  "keys": {"running": true, "generation": 3, "current_id": 17, "accepting": 1, "rotation_pending": false,
           "alarm": ""},
  "nts_ke": {"port": 4460, "workers": [{"worker": 0, "running": true, "served": 2, "open_now": 0},
                                       {"worker": 1, "running": false}]},
  "upstream": {"sources": 0}})");

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

TEST(StatusText, TellsAWholeReport) {
  EXPECT_EQ(status_text(lab_status),
            "Noonmark 0.1.0: serving, NOT synchronised (local clock, stratum 10 declared)\n"
            "server     time.noonmark.test\n"
            "addresses  10.123.0.1 fd00:123::1, UDP port 123\n"
            "dataplane  up 1 h 1 min, pid 4711, crypto aesni\n"
            "  crypto   AEAD 15: wide (AES, VAES)\n"
            "  crypto   AEAD 16, 17: aesni (AES)\n"
            "  crypto   AEAD 30: gcm (PCLMULQDQ)\n"
            "  port     af_packet:nm-srv\n"
            "  core     CPU 1 in service, 2 queues, packets 9 in 8 out, seen 0 ms ago, keys of generation 3\n"
            "  core     CPU 3 drained, 0 queues, packets 5 in 5 out, seen 9 ms ago, keys of generation 2\n"
            "clock      local (kernel clock), reference LOCL\n"
            "  told     stratum 10, leap 0\n"
            "  error    root delay 0 us, dispersion 12 us\n"
            "  good for 1 min 6 s, last news 80 ms ago\n"
            "keys       current 17, 1 more accepted, generation 3\n"
            "nts-ke     port 4460, worker 0: served 2, open now 0\n"
            "           port 4460, worker 1: NOT running\n"
            "upstream   0 sources\n");
}

TEST(StatusText, TheFirstLineIsTheAnswer) {
  json status = lab_status;
  status["clock"]["stratum"] = 0;
  EXPECT_EQ(first_line(status_text(status)),
            "Noonmark 0.1.0: serving, NOT synchronised (local clock, run out)");
  status["clock"]["state"] = "holdover";
  EXPECT_EQ(first_line(status_text(status)), "Noonmark 0.1.0: serving, NOT synchronised (holdover)");
  status["clock"]["synchronised"] = true;
  status["clock"]["stratum"] = 2;
  EXPECT_EQ(first_line(status_text(status)),
            "Noonmark 0.1.0: serving, synchronised (kernel clock, holdover, stratum 2)");
  status["clock"] = {{"running", false}};
  status["dataplane"] = {{"running", false}};
  EXPECT_EQ(first_line(status_text(status)),
            "Noonmark 0.1.0: NOT serving (no dataplane), NOT synchronised (no clock)");
}

TEST(StatusText, AnAlarmAndAWaitingKeyAreShown) {
  json status = lab_status;
  status["keys"]["alarm"] = "core 1 is silent";
  status["keys"]["rotation_pending"] = true;
  EXPECT_THAT(status_text(status), HasSubstr("  ALARM    core 1 is silent\n"));
  EXPECT_THAT(status_text(status), HasSubstr("a new key waits for the cores\n"));
  EXPECT_THAT(keys_text(status["keys"], 0), HasSubstr("ALARM: core 1 is silent\n"));
  EXPECT_THAT(status_text(lab_status), Not(HasSubstr("ALARM")));
}

TEST(CountersText, AddsUpExactlyAndLeavesZerosOut) {
  json counters = json::parse(R"({
    "dataplane": {"running": true, "received_packets": 20, "sent_packets": 12, "cookies_issued": 0, "verdicts": 20,
                  "frame": {"pass_other": 2, "drop_ttl": 4, "drop_vlan": 0},
                  "nts": {"answer_plain": 5, "answer_nts": 6, "nak_cookie": 1, "drop_mode": 2}},
    "nts_ke": {"running": true, "served": 3, "timeouts": 0}})");
  const std::string text = counters_text(counters);
  EXPECT_THAT(text, StartsWith("received 20 = answered 12 + dropped 6 + not ours 2\n"));
  EXPECT_THAT(text, HasSubstr("  drop_ttl 4\n"));
  EXPECT_THAT(text, HasSubstr("nts-ke\n  served 3\n"));
  for (const char* zero : {"drop_vlan", "cookies_issued", "timeouts"})
    EXPECT_THAT(text, Not(HasSubstr(zero)));
  counters["dataplane"]["received_packets"] = 21;
  EXPECT_THAT(counters_text(counters),
              StartsWith("received 21 = answered 12 + dropped 6 + not ours 2 + on the way 1\n"));
  counters["dataplane"]["received_packets"] = 18;
  counters["dataplane"]["frame"]["pass_other"] = 0;
  EXPECT_THAT(counters_text(counters), StartsWith("received 18 = answered 12 + dropped 6\n"));
  counters["dataplane"]["running"] = false;
  EXPECT_THAT(counters_text(counters), HasSubstr("has ended"));
}

TEST(KeysText, SaysHowOldEachIs) {
  const json keys = json::parse(R"({"generation": 4, "current_id": 8, "rotation_pending": false, "alarm": "",
    "keys": [{"id": 7, "state": "retired", "created_unix_s": 1000}, {"id": 8, "state": "current",
    "created_unix_s": 90000}, {"id": 9, "state": "accepting", "created_unix_s": 90061}]})");
  EXPECT_EQ(keys_text(keys, 90060),
            "generation 4\n"
            "7          retired, made 1 d 0 h ago\n"
            "8          current, made 1 min 0 s ago\n"
            "9          accepting, made in the future\n");
}

// Found by reading for the fuzz target operator_socket: such differences and conversions are undefined.
TEST(Texts, ATimeBeyondAllTimeAndANumberThatIsNoCountAreUnknown) {
  const json beyond = json::parse(R"({"keys": [{"id": 1, "created_unix_s": -9223372036854775808}],
    "certificate_expires_unix_s": -9223372036854775808})");
  EXPECT_THAT(keys_text(beyond, 1'800'000'000), HasSubstr("made ? ago\n"));
  EXPECT_THAT(check_text(beyond, 1'800'000'000), HasSubstr("expired\n"));
  const json fractions = json::parse(R"({"dataplane": {"running": true, "received_packets": -1e300,
    "uptime_s": 1e300}})");
  EXPECT_THAT(counters_text(fractions), StartsWith("received 0 = "));
  EXPECT_THAT(status_text(fractions), HasSubstr("up ?"));
}

TEST(Texts, AReportOfAnotherVersionIsReadAsFarAsItGoes) {
  for (const json& strange :
       {json(), json(7), json("text"), json::array({1, 2}), json{{"dataplane", 3}},
        json{{"dataplane", {{"running", "yes"}, {"cores", 7}}}, {"clock", {{"state", 5}}}},
        json{{"keys", {1, "two", {{"id", nullptr}}}}}, json{{"addresses", {1, nullptr}}}}) {
    SCOPED_TRACE(strange.dump());
    EXPECT_THAT(status_text(strange), HasSubstr("NOT synchronised"));
    EXPECT_THAT(counters_text(strange), HasSubstr("NOT running"));
    EXPECT_THAT(keys_text(strange, 0), StartsWith("generation ?"));
    EXPECT_THAT(rotate_text(strange), StartsWith("new key ?"));
    EXPECT_EQ(drain_text(strange), "?\n");
    EXPECT_THAT(check_text(strange, 0), StartsWith("server"));
  }
}

}  // namespace
}  // namespace control
