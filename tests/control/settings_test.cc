// From the configuration to the settings page, field by field.

#include "control/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Config config_of(const std::string& server, const std::string& dataplane) {
  return parse_config("[server]\nname = 'a.example'\n" + server + "[dataplane]\n" + dataplane +
                          "[nts_ke]\ncertificate = '/c'\nprivate_key = '/k'\n",
                      "t.toml");
}

shm::Address ipv4(std::uint8_t last, std::uint8_t prefix_bits = 24) {
  return {4, prefix_bits, 0, {}, {192, 0, 2, last}};
}

TEST(Settings, CarryEveryFieldOfTheConfiguration) {
  const Config config =
      config_of("addresses = ['192.0.2.1/24', '2001:db8::1/64']\nntp_port = 4123\nanswer_plain = false\n",
                "devices = ['vdev:net_null0', 'af_packet:eth0']\ncores = [3, 1]\nmemory = 'ordinary'\n"
                "siv_tier = 'portable_x4'\nhost_twin = 'all'\ndeparture_ns = 7000\nvlans = [0, 4094]\n"
                "reply_gateways = ['af_packet:eth0=02:00:00:aB:00:09']\n");
  const shm::Settings settings = settings_from(config, {}, 9);
  EXPECT_EQ(settings.revision, 0U);
  ASSERT_EQ(settings.address_count, 2U);
  EXPECT_EQ(settings.addresses[0].family, 4);
  EXPECT_EQ(settings.addresses[0].prefix_bits, 24);
  EXPECT_EQ(text_of(settings.addresses[0]), "192.0.2.1");
  EXPECT_EQ(settings.addresses[1].prefix_bits, 64);
  EXPECT_EQ(text_of(settings.addresses[1]), "2001:db8::1");
  ASSERT_EQ(settings.device_count, 2U);
  EXPECT_STREQ(settings.devices[0], "vdev:net_null0");
  EXPECT_STREQ(settings.devices[1], "af_packet:eth0");
  ASSERT_EQ(settings.core_count, 2U);
  EXPECT_EQ(settings.cores[0], 3U);
  EXPECT_EQ(settings.cores[1], 1U);
  EXPECT_EQ(settings.memory, shm::Memory::ordinary);
  EXPECT_EQ(settings.ntp_port, 4123);
  EXPECT_EQ(settings.answer_plain, 0);
  EXPECT_EQ(settings.answer_nts, 1);
  EXPECT_EQ(settings.departure_ns, 7000U);
  EXPECT_STREQ(settings.siv_tier, "portable_x4");
  ASSERT_EQ(settings.vlan_count, 2U);
  EXPECT_EQ(settings.vlans[1], 4094);
  EXPECT_EQ(settings.reply_gateways[0][0], 0) << "none for the first device";
  EXPECT_THAT(settings.reply_gateways[1], ElementsAre(2, 0, 0, 0xab, 0, 9, 0, 0));
  EXPECT_EQ(settings.host_twin, shm::HostTwin::all);
}

TEST(Settings, AutomaticOnesTakeWhatTheMachineHas) {
  const Config config = config_of("", "devices = ['af_packet:eth0']\n");
  const std::vector<shm::Address> found = {ipv4(7)};
  const shm::Settings settings = settings_from(config, found, 9);
  ASSERT_EQ(settings.address_count, 1U);
  EXPECT_EQ(text_of(settings.addresses[0]), "192.0.2.7");
  ASSERT_EQ(settings.core_count, 1U);
  EXPECT_EQ(settings.cores[0], 9U);
  EXPECT_EQ(settings.memory, shm::Memory::automatic);
  EXPECT_STREQ(settings.siv_tier, "");
  EXPECT_EQ(settings.vlan_count, 0U) << "all of them";
  EXPECT_EQ(settings.host_twin, shm::HostTwin::automatic);
  EXPECT_EQ(settings_from(config, {}, 9).address_count, 0U);
}

TEST(Settings, B14_SmearedAddressesAreMarkedWhereverTheyComeFrom) {
  const std::string clock = "[clock]\nsource = 'gnss'\nsmear = 'linear'\n[gnss]\npulse = 'shm:2'\n";
  const Config listed = config_of("addresses = ['192.0.2.1/24', '192.0.2.2/24', '2001:db8::1/64']\n"
                                  "smeared_addresses = ['2001:db8::1', '192.0.2.1']\n",
                                  "devices = ['af_packet:eth0']\n" + clock);
  const shm::Settings settings = settings_from(listed, {}, 9);
  ASSERT_EQ(settings.address_count, 3U);
  EXPECT_EQ(settings.addresses[0].is_smeared, 1);
  EXPECT_EQ(settings.addresses[1].is_smeared, 0);
  EXPECT_EQ(settings.addresses[2].is_smeared, 1);

  const Config automatic = config_of("smeared_addresses = ['192.0.2.8']\n",
                                     "devices = ['af_packet:eth0']\n" + clock);
  const std::vector<shm::Address> found = {ipv4(7), ipv4(8)};
  EXPECT_EQ(settings_from(automatic, found, 9).addresses[0].is_smeared, 0);
  EXPECT_EQ(settings_from(automatic, found, 9).addresses[1].is_smeared, 1);
}

TEST(Settings, AListIsUsedWhateverTheInterfaceHas) {
  const Config config = config_of("addresses = ['192.0.2.1/24']\n", "devices = ['af_packet:eth0']\n");
  const std::vector<shm::Address> found = {ipv4(7), ipv4(8)};
  const shm::Settings settings = settings_from(config, found, 0);
  ASSERT_EQ(settings.address_count, 1U);
  EXPECT_EQ(text_of(settings.addresses[0]), "192.0.2.1");
}

TEST(Settings, ADeviceWithATwinIsAskedForItsAddressesAndAVirtualOneHasNone) {
  const auto interfaces = [](const std::string& dataplane) {
    return interfaces_of(config_of("addresses = ['192.0.2.1/24']\n", dataplane));
  };
  const std::string devices = "devices = ['vdev:net_null0', 'af_packet:eth0', 'pci:0000:ff:1f.7']\n";
  EXPECT_THAT(interfaces(devices), ElementsAre("eth0", "nm-twin2"));
  EXPECT_THAT(interfaces(devices + "host_twin = 'all'\n"), ElementsAre("nm-twin0", "eth0", "nm-twin2"));
  EXPECT_THAT(interfaces(devices + "host_twin = 'none'\n"), ElementsAre("eth0"));
}

TEST(Settings, TakeNoMoreAddressesThanThePageHolds) {
  const Config config = config_of("", "devices = ['af_packet:eth0']\n");
  std::vector<shm::Address> found;
  for (std::uint32_t i = 0; i < shm::addresses_max; ++i) found.push_back(ipv4(static_cast<std::uint8_t>(i)));
  EXPECT_EQ(settings_from(config, found, 0).address_count, shm::addresses_max);
  found.push_back(ipv4(200));
  const shm::Settings settings = settings_from(config, found, 0);
  EXPECT_EQ(settings.address_count, shm::addresses_max);
  EXPECT_EQ(text_of(settings.addresses[shm::addresses_max - 1]), "192.0.2.63");
}

TEST(Settings, TheLongestDeviceKeepsItsEnd) {
  const std::string device = "vdev:" + std::string(shm::device_name_bytes - 6, 'x');  // 255 octets
  const Config config = config_of("addresses = ['192.0.2.1/24']\n", "devices = ['" + device + "']\n");
  EXPECT_EQ(settings_from(config, {}, 0).devices[0], device);
}

TEST(Settings, AChangeIsAnythingButTheRevision) {
  const Config config = config_of("", "devices = ['af_packet:eth0']\n");
  const std::vector<shm::Address> found = {ipv4(7)};
  const std::vector<shm::Address> other_prefix = {ipv4(7, 25)};
  const shm::Settings before = settings_from(config, found, 0);
  shm::Settings later = before;
  later.revision = 41;
  EXPECT_FALSE(is_change(before, later));
  EXPECT_TRUE(is_change(before, settings_from(config, other_prefix, 0)));
  EXPECT_TRUE(is_change(before, settings_from(config, {}, 0)));
  EXPECT_TRUE(is_change(before, settings_from(config, found, 1)));
}

TEST(Settings, InterfacesAreThoseOfAfPacketAndAfXdpWithoutOptions) {
  EXPECT_THAT(interfaces_of(config_of("", "devices = ['af_xdp:eth2,busy_budget=64', 'af_xdp:eth3']\n")),
              ElementsAre("eth2", "eth3"));
  EXPECT_THAT(
      interfaces_of(config_of("", "devices = ['af_packet:eth1', 'vdev:net_null0', 'af_packet:eth0']\n")),
      ElementsAre("eth1", "eth0"));
  EXPECT_THAT(interfaces_of(config_of("", "devices = ['vdev:net_null0']\n")), IsEmpty());
}

TEST(Settings, AutomaticAddressesNeedAnInterfaceToAsk) {
  try {
    require_address_source(config_of("", "devices = ['vdev:net_null0']\n"));
    FAIL() << "nobody was asked";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("write the addresses as a list"));
  }
  EXPECT_NO_THROW(require_address_source(config_of("", "devices = ['af_packet:eth0']\n")));
  EXPECT_NO_THROW(
      require_address_source(config_of("addresses = ['192.0.2.1/24']\n", "devices = ['vdev:net_null0']\n")));
}

}  // namespace
}  // namespace control
