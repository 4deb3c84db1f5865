// Sections [access] and [rate_limit]: who is served, and how often.
#include "control/config_access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/control/config_text.h"

namespace control {
namespace {

using testing::HasSubstr;
using tests::error_of;
using tests::with;

TEST(ParseAccess, B17_TakesAccessRulesAndRefusesThoseThatAreAmbiguous) {
  const Config config = parse_config(
      with("access", "deny = ['10.0.0.0/8', '2001:db8::/32']\nallow = ['10.1.2.3']\nkiss = true"), "t");
  ASSERT_EQ(config.access.deny.size(), 2U);
  EXPECT_EQ(config.access.deny[1].family, 6);
  EXPECT_EQ(config.access.deny[1].prefix_bits, 32);
  EXPECT_EQ(config.access.allow.at(0).prefix_bits, 32);
  EXPECT_EQ(config.access.allow[0].access, shm::Access::allow);
  EXPECT_TRUE(config.access.kiss);
  for (const std::string bad :
       {"['10.0.0.1/8']", "['10.0.0.0/33']", "['::/129']", "['host']", "['10.0.0.0/']", "[7]",
        "['10.0.0.0/08']", "['10.0.0.0/8', '10.0.0.0/8']", "'10.0.0.0/8'", "['10.0.0.0/-1']"}) {
    EXPECT_THAT(error_of(with("access", "deny = " + bad)), HasSubstr("[access] deny")) << bad;
  }
  EXPECT_THAT(error_of(with("access", "deny = ['10.0.0.1/8']")), HasSubstr("write \"10.0.0.0/8\""));
  EXPECT_THAT(error_of(with("access", "deny = ['10.0.0.0/8']\nrequire_nts = ['10.0.0.0/8']")),
              HasSubstr("both decide 10.0.0.0/8"));
  std::string list;
  for (int i = 0; i < 100; ++i) list += "'10.0.0." + std::to_string(i) + "',";
  EXPECT_THAT(error_of(with(
                  "access", "deny = [" + list + "]\nallow = ['::1', '::2'" +
                                [] {
                                  std::string more;
                                  for (int i = 0; i < 30; ++i) more += ", '10.1.0." + std::to_string(i) + "'";
                                  return more;
                                }() +
                                "]")),
              HasSubstr("132 prefixes"));
}

TEST(ParseAccess, B15_TakesARateLimitOrTheWordOff) {
  const auto limit = [](const std::string& line) {
    return parse_config(with("rate_limit", line), "t").rate_limit;
  };
  EXPECT_EQ(limit("requests_per_s = 'off'").requests_per_s, 0U);
  EXPECT_EQ(limit("requests_per_s = 20").requests_per_s, 20U);
  EXPECT_EQ(limit("leak = 0").leak, 0U);
  for (const std::string bad : {"requests_per_s = 0", "requests_per_s = 'on'", "burst = 0", "leak = -1",
                                "network_factor = 257", "sources = 10", "kisses_per_s = 0", "kiss = 1"}) {
    EXPECT_THAT(error_of(with("rate_limit", bad)), HasSubstr("[rate_limit] " + bad.substr(0, bad.find(' '))))
        << bad;
  }
}

// On the wire such a source is an IPv4 one, so a rule that names it so would never hold, and nobody would
// know.
TEST(ParseAccess, B17_AnIpv4PrefixWrittenAsAnIpv6OneIsRefusedAndGivenAsOne) {
  EXPECT_THAT(error_of(with("access", "deny = ['::ffff:192.0.2.0/120']")),
              HasSubstr("write \"192.0.2.0/24\""));
  EXPECT_THAT(error_of(with("access", "deny = ['::ffff:192.0.2.7']")), HasSubstr("write \"192.0.2.7/32\""));
  EXPECT_THAT(error_of(with("access", "allow = ['::ffff:0:0/96']")), HasSubstr("write \"0.0.0.0/0\""));
  EXPECT_EQ(error_of(with("access", "deny = ['::/0', '::/80', '::fffe:0:0/96']")), "");
}

}  // namespace
}  // namespace control
