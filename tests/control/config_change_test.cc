#include "control/config_change.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <regex>

namespace control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Config config_with(const std::string& more) {
  return parse_config(
      "[dataplane]\ndevices = ['af_packet:nm0']\n[nts_ke]\ncertificate = '/c'\nprivate_key = '/k'\n" + more,
      "t.toml");
}

// From this very program upwards: it was built somewhere inside the tree.
std::filesystem::path annotated_configuration() {
  std::filesystem::path above = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  while (above != above.root_path() && !exists(above / "configs" / "appliance.toml"))
    above = above.parent_path();
  return above / "configs" / "appliance.toml";
}

// A key that nobody put into the table would be neither taken nor named: a reload would seem to have worked.
TEST(ConfigChange, HasARowForEveryKeyOfTheAnnotatedConfiguration) {
  std::ifstream file(annotated_configuration());
  ASSERT_TRUE(file);
  const std::regex section_line("^(?:# )?(\\[[a-z_]+\\]|\\[\\[[a-z_]+\\]\\])$");
  const std::regex key_line("^(# )?([a-z_]+) = .*");
  std::vector<std::string> keys;
  std::string section;
  for (std::string line; std::getline(file, line);) {
    std::smatch found;
    if (std::regex_match(line, found, section_line)) section = found[1];
    if (std::regex_match(line, found, key_line)) keys.push_back(section + " " + found[2].str());
  }
  EXPECT_GT(keys.size(), 20U);
  EXPECT_THAT(all_config_keys(), testing::UnorderedElementsAreArray(keys));
}

TEST(ConfigChange, NamesWhatDiffersAndWhatWaitsForARestart) {
  const Config running = config_with("[server]\nname = 'a.example.net'\naddresses = ['192.0.2.1/24']\n");
  const Config fresh = config_with(
      "port = 4461\n[server]\nname = 'b.example.net'\naddresses = ['192.0.2.1/25']\n[keys]\nretention_s = "
      "86400\n");
  const ConfigChange change = change_between(running, fresh);
  EXPECT_THAT(change.live, ElementsAre("[server] name", "[server] addresses", "[keys] retention_s"));
  EXPECT_THAT(change.at_restart, ElementsAre("[nts_ke] port"));
  EXPECT_THAT(change_between(running, running).live, IsEmpty());
  EXPECT_THAT(change_between(running, running).at_restart, IsEmpty());
}

// Addresses that the dataplane spares leap seconds, under a clock that does not smear, would be told nothing
// of one.
TEST(ConfigChange, B14_SmearedAddressesAreLiveUnlessTheSmearThatTheyAreForWaits) {
  const auto config = [](const std::string& smeared, const std::string& smear) {
    return config_with("[server]\nname = 'a.example.net'\naddresses = ['192.0.2.1/24', '192.0.2.2/24']\n" +
                       (smeared.empty() ? "" : "smeared_addresses = [" + smeared + "]\n") +
                       "[clock]\nsource = 'gnss'\nsmear = '" + smear + "'\n[gnss]\npulse = 'shm:2'\n");
  };
  const Config one = config("'192.0.2.1'", "linear");
  const Config both = config("'192.0.2.1', '192.0.2.2'", "linear");
  EXPECT_THAT(change_between(one, both).live, ElementsAre("[server] smeared_addresses"));
  EXPECT_THAT(change_between(one, both).at_restart, IsEmpty());
  EXPECT_EQ(with_live_keys(one, both).server.smeared_addresses.size(), 2U);

  const Config none = config("", "none");
  for (const auto& [running, fresh] : {std::pair(none, both), std::pair(one, none)}) {
    EXPECT_THAT(change_between(running, fresh).live, IsEmpty());
    EXPECT_THAT(change_between(running, fresh).at_restart,
                ElementsAre("[server] smeared_addresses", "[clock] smear"));
    const Config taken = with_live_keys(running, fresh);
    EXPECT_EQ(taken.server.smeared_addresses.size(), running.server.smeared_addresses.size());
    EXPECT_EQ(taken.clock.smear, running.clock.smear);
  }
}

TEST(ConfigChange, NamesWhatDiffersInAnyOfTheUpstreams) {
  const std::string server = "[server]\nname = 'a.example.net'\naddresses = ['192.0.2.1/24']\n";
  const std::string one = "[[upstream]]\nhost = 'u1.example.net'\n";
  const std::string two = "[[upstream]]\nhost = 'u2.example.net'\n";
  const Config running = config_with(server + one + two);
  const Config fresh = config_with(server + one + two + "trust = 'witness'\nmaxpoll = 7\n");
  EXPECT_THAT(change_between(running, fresh).at_restart,
              ElementsAre("[[upstream]] maxpoll", "[[upstream]] trust"));
  EXPECT_THAT(change_between(running, running).at_restart, IsEmpty());
  EXPECT_THAT(change_between(running, config_with(server + one)).at_restart,
              testing::Contains("[[upstream]] host"));
}

TEST(ConfigChange, TakesTheLiveKeysAndLeavesTheOthers) {
  const Config running = config_with("[server]\nname = 'a.example.net'\naddresses = ['192.0.2.1/24']\n");
  const Config fresh = config_with("port = 4461\n[server]\nname = 'b.example.net'\naddresses = 'auto'\n");
  const Config taken = with_live_keys(running, fresh);
  EXPECT_EQ(taken.server.name, "b.example.net");
  EXPECT_TRUE(taken.server.addresses_automatic);
  EXPECT_EQ(taken.nts_ke.port, 4460);
  EXPECT_THAT(change_between(taken, fresh).live, IsEmpty());
  EXPECT_THAT(change_between(taken, fresh).at_restart, ElementsAre("[nts_ke] port"));
}

// Each alone is a good configuration. Between them, until the restart that answer_nts waits for, nobody would
// be answered.
TEST(ConfigChange, F06_RefusesToStopAnsweringPlainBeforeARestartBringsNts) {
  const std::string server = "[server]\nname = 'a.example.net'\naddresses = ['192.0.2.1/24']\n";
  const Config plain_only = config_with(server + "answer_nts = false\n");
  const Config nts_only = config_with(server + "answer_plain = false\n");
  EXPECT_THROW(static_cast<void>(with_live_keys(plain_only, nts_only)), ConfigError);
  EXPECT_TRUE(with_live_keys(nts_only, plain_only).server.answer_plain) << "the other way both go on";
}

}  // namespace
}  // namespace control
