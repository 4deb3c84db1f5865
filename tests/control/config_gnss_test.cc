// [gnss]: which inputs a configuration may name, and what it is told when it names others.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "control/config.h"

namespace control {
namespace {

using testing::HasSubstr;

std::string with_gnss(const std::string& lines, const std::string& clock_lines = "") {
  return "[server]\nname = 'time.example'\nanswer_nts = false\n[dataplane]\ndevices = ['af_packet:eth0']\n"
         "[clock]\nsource = 'gnss'\n" +
         clock_lines + "[gnss]\n" + lines + "\n";
}

PulseInput pulse_of(const std::string& text) {
  return parse_config(with_gnss("receiver = '/dev/ttyS0'\npulse = '" + text + "'"), "t").gnss.pulse;
}

std::string error_of(const std::string& lines, const std::string& clock_lines = "") {
  try {
    static_cast<void>(parse_config(with_gnss(lines, clock_lines), "t"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ParseConfigGnss, TakesEveryKindOfPulseInput) {
  EXPECT_EQ(pulse_of("pps:/dev/pps0").kind, PulseKind::kernel_pps_assert);
  EXPECT_EQ(pulse_of("pps-clear:/dev/pps1").kind, PulseKind::kernel_pps_clear);
  EXPECT_EQ(pulse_of("sock:/run/noonmark/clock/pulse").kind, PulseKind::sock);
  EXPECT_EQ(pulse_of("shm:2").unit, 2U);
  EXPECT_EQ(pulse_of("phc-tai:/dev/ptp0").kind, PulseKind::phc_tai);
  EXPECT_EQ(pulse_of("phc-utc:/dev/ptp1").path, "/dev/ptp1");
  const PulseInput edges = pulse_of("extts:/dev/ptp0:3:1");
  EXPECT_EQ(edges.kind, PulseKind::extts_rising);
  EXPECT_EQ(edges.path, "/dev/ptp0");
  EXPECT_EQ(edges.pin, 3U);
  EXPECT_EQ(edges.channel, 1U);
  EXPECT_EQ(pulse_of("extts-falling:/dev/ptp0:0:0").kind, PulseKind::extts_falling);
}

TEST(ParseConfigGnss, SaysWhatIsWrongWithAPulseInput) {
  for (const char* text :
       {"extts:/dev/ptp0", "extts:/dev/ptp0:0", "extts:/dev/ptp0:0:", "extts:/dev/ptp0::0",
        "extts:/dev/ptp0:a:0", "extts:/dev/ptp0:0:256", "extts:/dev/ptp0:-1:0", "extts:0:0", "extts::0:0",
        "phc-tai:ptp0", "phc:/dev/ptp0", "phc-tai:", "shm:256", "shm:2x"}) {
    const std::string error = error_of(std::string("receiver = '/dev/ttyS0'\npulse = '") + text + "'");
    EXPECT_THAT(error, HasSubstr("[gnss] pulse")) << text;
    EXPECT_THAT(error, HasSubstr("write")) << text;
  }
}

TEST(ParseConfigGnss, APinNeedsSomebodyWhoNumbersItsEdgesAndAClockNamesThemItself) {
  EXPECT_EQ(error_of("pulse = 'phc-tai:/dev/ptp0'"), "");
  EXPECT_EQ(error_of("pulse = 'phc-utc:/dev/ptp0'"), "");
  EXPECT_THAT(error_of("pulse = 'extts:/dev/ptp0:0:0'"), HasSubstr("[gnss] receiver"));
  EXPECT_THAT(error_of("pulse = 'pps:/dev/pps0'"), HasSubstr("[gnss] receiver"));
}

// Whom the clock role would not ask for the second may be named, but not relied upon.
TEST(ParseConfigGnss, PulsesAloneNeedSomebodyWhoMayNameTheirSecond) {
  const std::string pulse = "pulse = 'pps:/dev/pps0'\n";
  const std::string plain = "[[upstream]]\nhost = 'plain.example.net'\n";
  const std::string sealed = "[[upstream]]\nhost = 'sealed.example.net'\nnts = true\n";
  const std::string witness = "trust = 'witness'\n";
  const std::string any = "unauthenticated_date = true\n";
  for (const std::string& upstreams : {std::string(), plain, plain + witness}) {
    const std::string error = error_of(pulse + upstreams);
    EXPECT_THAT(error, HasSubstr("[gnss] receiver")) << upstreams;
    EXPECT_THAT(error, HasSubstr("[[upstream]] with nts = true")) << upstreams;
    EXPECT_THAT(error, HasSubstr("[clock] unauthenticated_date = true")) << upstreams;
    EXPECT_EQ(error_of(pulse + upstreams, any), upstreams.empty() ? error : "") << upstreams;
    EXPECT_EQ(error_of(pulse + "receiver = '/dev/ttyS0'\n" + upstreams), "") << upstreams;
  }
  EXPECT_EQ(error_of(pulse + sealed), "");
  EXPECT_EQ(error_of(pulse + sealed + witness), "") << "it names the second, and gives no time";
  EXPECT_EQ(error_of(pulse + plain + sealed + witness), "");
}

TEST(ParseConfigGnss, GpsdIsAnAddressWithAPort) {
  const auto gpsd = [](const std::string& text) {
    return *parse_config(with_gnss("pulse = 'gpsd'\ngpsd = '" + text + "'"), "t").gnss.gpsd;
  };
  EXPECT_EQ(gpsd("127.0.0.1"), (GpsdAddress{"127.0.0.1", 2947}));
  EXPECT_EQ(gpsd("127.0.0.2:1"), (GpsdAddress{"127.0.0.2", 1}));
  EXPECT_EQ(gpsd("[::1]:65535"), (GpsdAddress{"::1", 65535}));
  EXPECT_EQ(gpsd("[::1]").text(), "[::1]:2947");
  for (const char* text : {"", ":2947", "localhost", "localhost:2947", "127.0.0.1:", "127.0.0.1:0",
                           "127.0.0.1:65536", "127.0.0.1:2947x", "127.0.0.1:-1", "::1", "[::1", "[::1]2947",
                           "[::1]:", "[127.0.0.1]", "127.0.0.1 ", "[]:2947"}) {
    const std::string error = error_of(std::string("pulse = 'gpsd'\ngpsd = '") + text + "'");
    EXPECT_THAT(error, HasSubstr("[gnss] gpsd")) << text;
    EXPECT_THAT(error, HasSubstr("write one like")) << text;
  }
}

TEST(ParseConfigGnss, GpsdOfAnotherMachineHasToBeAskedForByName) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "[2001:db8::1]:2947", "[::]:2947", "[::ffff:127.0.0.1]"}) {
    const std::string lines = std::string("pulse = 'gpsd'\ngpsd = '") + text + "'\n";
    EXPECT_THAT(error_of(lines), HasSubstr("gpsd_over_network = true")) << text;
    EXPECT_EQ(error_of(lines + "gpsd_over_network = true"), "") << text;
  }
}

TEST(ParseConfigGnss, GpsdNumbersPulsesAndIsWhatItsOwnPulsesNeed) {
  EXPECT_EQ(error_of("pulse = 'pps:/dev/pps0'\ngpsd = '127.0.0.1'"), "");
  EXPECT_EQ(error_of("pulse = 'gpsd'\ngpsd = '127.0.0.1'"), "");
  EXPECT_THAT(error_of("pulse = 'gpsd'"), HasSubstr("[gnss] gpsd is missing"));
  EXPECT_THAT(error_of("pulse = 'gpsd'\nreceiver = '/dev/ttyS0'"), HasSubstr("[gnss] gpsd is missing"));
  EXPECT_THAT(error_of("pulse = 'gpsd-messages'"), HasSubstr("[gnss] gpsd is missing"));
  EXPECT_THAT(error_of("pulse = 'gpsd'\ngpsd = '127.0.0.1'\nreceiver = '/dev/ttyS0'"), HasSubstr("both set"));
}

TEST(ParseConfigGnss, MessagesWithoutPulsesAreTakenOnlyWhereTheyCouldEverLock) {
  const std::string messages = "pulse = 'gpsd-messages'\ngpsd = '127.0.0.1'\n";
  EXPECT_THAT(error_of(messages), HasSubstr("would never lock: its error is 500000 us"));
  EXPECT_THAT(error_of(messages + "lock_error_max_us = 900000"), HasSubstr("would never lock"))
      << "[clock] holdover_max_error_us is 1000";
  const std::string wide = "holdover_max_error_us = 2000000\n";
  EXPECT_EQ(error_of(messages + "lock_error_max_us = 900000", wide), "");
  EXPECT_THAT(error_of(messages + "lock_error_max_us = 500000", wide), HasSubstr("would never lock"));
  EXPECT_EQ(error_of(messages + "reference_error_ns = 20000000\nlock_error_max_us = 30000", wide), "");
}

TEST(ParseConfigGnss, AMemoryHasADirectoryThatIsNotTheKeepers) {
  const std::string pulse = "pulse = 'shm:2'\n";
  EXPECT_EQ(parse_config(with_gnss(pulse), "t").gnss.memory, "") << "nothing is kept";
  EXPECT_EQ(parse_config(with_gnss(pulse + "memory = '/var/lib/noonmark/clock/oscillator'"), "t").gnss.memory,
            "/var/lib/noonmark/clock/oscillator");
  EXPECT_THAT(error_of(pulse + "memory = 'clock/oscillator'"), HasSubstr("[gnss] memory"));
  EXPECT_THAT(error_of(pulse + "memory = '/var/lib/noonmark/keeper/oscillator'"),
              HasSubstr("which is the keeper's alone"));
  EXPECT_THAT(error_of(pulse + "memory = '/run/noonmark/clock/oscillator'"),
              HasSubstr("in the page directory"));
}

TEST(ParseConfigGnss, AReceiverStandsWithinAHundredMetresUnlessItIsSaidToTravel) {
  const std::string pulse = "pulse = 'shm:2'\n";
  EXPECT_EQ(parse_config(with_gnss(pulse), "t").gnss.stands_within_m, 100U);
  EXPECT_EQ(parse_config(with_gnss(pulse + "stands_within_m = 0"), "t").gnss.stands_within_m, 0U);
  EXPECT_EQ(parse_config(with_gnss(pulse + "stands_within_m = 100000"), "t").gnss.stands_within_m, 100'000U);
  EXPECT_THAT(error_of(pulse + "stands_within_m = 100001"), HasSubstr("[gnss] stands_within_m"));
  EXPECT_THAT(error_of(pulse + "stands_within_m = -1"), HasSubstr("[gnss] stands_within_m"));
}

}  // namespace
}  // namespace control
