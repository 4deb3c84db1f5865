// [clock] smear and [server] smeared_addresses: one without the other means nothing, and both need to know
// leap seconds beforehand.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/config.h"

namespace control {
namespace {

using testing::HasSubstr;

std::string text_of(const std::string& server, const std::string& clock) {
  return "[server]\nname = 'a.example'\naddresses = ['192.0.2.1/24', '2001:db8::1/64']\n" + server +
         "[dataplane]\ndevices = ['af_packet:eth0']\n[nts_ke]\ncertificate = '/c'\nprivate_key = "
         "'/k'\n[clock]\n" +
         clock + "[gnss]\npulse = 'shm:2'\n";
}

std::string error_of(const std::string& server, const std::string& clock) {
  try {
    static_cast<void>(parse_config(text_of(server, clock), "t.toml"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(ParseConfig, B14_TakesASmearAndTheAddressesItIsFor) {
  const Config config = parse_config(
      text_of("smeared_addresses = ['2001:db8::1', '192.0.2.1']\n", "source = 'gnss'\nsmear = 'quadratic'\n"),
      "t");
  EXPECT_EQ(config.clock.smear, hwclock::SmearKind::quadratic);
  ASSERT_EQ(config.server.smeared_addresses.size(), 2U);
  EXPECT_EQ(config.server.smeared_addresses[0].family, 6);
  EXPECT_EQ(config.server.smeared_addresses[1].octets[3], 1);
}

TEST(ParseConfig, B14_F02_RefusesHalfASmear) {
  const std::string gnss = "source = 'gnss'\n";
  EXPECT_THAT(error_of("", gnss + "smear = 'linear'\n"), HasSubstr("name the addresses"));
  EXPECT_THAT(error_of("smeared_addresses = ['192.0.2.1']\n", gnss), HasSubstr("[clock] smear is \"none\""));
  EXPECT_THAT(error_of("smeared_addresses = ['192.0.2.1']\n", "smear = 'linear'\n"),
              HasSubstr("write [clock] source = \"gnss\""));
  EXPECT_THAT(error_of("smeared_addresses = ['192.0.2.9']\n", gnss + "smear = 'linear'\n"),
              HasSubstr("not in [server] addresses"));
  for (const std::string bad :
       {"'192.0.2.1/24'", "'localhost'", "'224.0.0.1'", "7", "'192.0.2.1', '192.0.2.1'"}) {
    EXPECT_THAT(error_of("smeared_addresses = [" + bad + "]\n", gnss + "smear = 'linear'\n"),
                HasSubstr("[server] smeared_addresses"))
        << bad;
  }
  EXPECT_THAT(error_of("smeared_addresses = ['192.0.2.1']\n", gnss + "smear = 'cosine'\n"),
              HasSubstr("[clock] smear"));
}

}  // namespace
}  // namespace control
