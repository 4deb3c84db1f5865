// The settings page: every count and number from both sides of its bound, refused whole or taken whole (G01).
#include "dataplane/service.h"

#include <cstring>
#include <gtest/gtest.h>
#include <memory>

#include "tests/support/frame_builder.h"

namespace {

using dataplane::Service;
using shm::Settings;

Settings good_settings() {
  Settings settings{};
  settings.revision = 1;
  settings.address_count = 1;
  settings.device_count = 1;
  settings.core_count = 1;
  settings.ntp_port = 123;
  settings.answer_plain = settings.answer_nts = 1;
  settings.departure_ns = 500;
  settings.addresses[0] = tests::address_of(tests::server_ipv4);
  return settings;
}

struct Change {
  const char* name;
  bool is_valid;
  void (*apply)(Settings&);
};

const std::vector<Change> changes = {
    {"revision 0", false, [](Settings& s) { s.revision = 0; }},
    {"port 0", false, [](Settings& s) { s.ntp_port = 0; }},
    {"port 65535", true, [](Settings& s) { s.ntp_port = 65535; }},
    {"no addresses", true, [](Settings& s) { s.address_count = 0; }},
    {"one address too many", false, [](Settings& s) { s.address_count = shm::addresses_max + 1; }},
    {"addresses past any end", false, [](Settings& s) { s.address_count = 0xffffffff; }},
    {"an address that was never written", false, [](Settings& s) { s.address_count = 2; }},
    {"family 5", false, [](Settings& s) { s.addresses[0].family = 5; }},
    {"prefix 32", true, [](Settings& s) { s.addresses[0].prefix_bits = 32; }},
    {"prefix 33", false, [](Settings& s) { s.addresses[0].prefix_bits = 33; }},
    {"prefix 128 of IPv6", true,
     [](Settings& s) { s.addresses[0] = tests::address_of(tests::server_ipv6, 128); }},
    {"prefix 129 of IPv6", false,
     [](Settings& s) { s.addresses[0] = tests::address_of(tests::server_ipv6, 129); }},
    {"no device", false, [](Settings& s) { s.device_count = 0; }},
    {"all devices", true, [](Settings& s) { s.device_count = shm::devices_max; }},
    {"one device too many", false, [](Settings& s) { s.device_count = shm::devices_max + 1; }},
    {"devices past any end", false, [](Settings& s) { s.device_count = 0xffffffff; }},
    {"a device name without end", false,
     [](Settings& s) { std::memset(s.devices[0], 'x', sizeof s.devices[0]); }},
    {"the same in a device that is not used", true,
     [](Settings& s) { std::memset(s.devices[1], 'x', sizeof s.devices[1]); }},
    {"no core", false, [](Settings& s) { s.core_count = 0; }},
    {"all cores", true, [](Settings& s) { s.core_count = shm::cores_max; }},
    {"one core too many", false, [](Settings& s) { s.core_count = shm::cores_max + 1; }},
    {"memory that nobody knows", false, [](Settings& s) { s.memory = static_cast<shm::Memory>(3); }},
    {"departure of a second", true, [](Settings& s) { s.departure_ns = 1'000'000'000; }},
    {"departure beyond a second", false, [](Settings& s) { s.departure_ns = 1'000'000'001; }},
    {"all VLAN places", true, [](Settings& s) { s.vlan_count = shm::vlans_max; }},
    {"one VLAN too many", false, [](Settings& s) { s.vlan_count = shm::vlans_max + 1; }},
    {"VLANs past any end", false, [](Settings& s) { s.vlan_count = 0xffffffff; }},
    {"VLAN 4095", true, [](Settings& s) { s.vlan_count = 1, s.vlans[0] = 4095; }},
    {"VLAN 4096", false, [](Settings& s) { s.vlan_count = 1, s.vlans[0] = 4096; }},
    {"VLAN 4096 that is not used", true, [](Settings& s) { s.vlans[0] = 4096; }},
    {"a gateway", true, [](Settings& s) { s.reply_gateways[7][0] = 2; }},
    {"a gateway that is a group", false, [](Settings& s) { s.reply_gateways[7][0] = 1; }},
    {"a tier name without end", false, [](Settings& s) { std::memset(s.siv_tier, 'x', sizeof s.siv_tier); }}};

TEST(SettingsPage, G01_EachCountAndNumberIsTakenWithinItsBoundAndRefusedBeyond) {
  ASSERT_TRUE(dataplane::is_valid(good_settings()));
  for (const Change& change : changes) {
    Settings settings = good_settings();
    change.apply(settings);
    EXPECT_EQ(dataplane::is_valid(settings), change.is_valid) << change.name;
  }
}

TEST(Service, G01_APageThatIsRefusedLeavesWhatWasServedBefore) {
  const auto page = std::make_unique<shm::SettingsPage>();
  Service service;
  EXPECT_FALSE(service.refresh(page.get())) << "nothing published";
  EXPECT_FALSE(service.local().addresses.serves_ipv4(tests::server_ipv4.data())) << "so nothing is ours";
  page->settings.publish(good_settings());
  ASSERT_TRUE(service.refresh(page.get()));
  EXPECT_FALSE(service.refresh(page.get())) << "once";
  for (const Change& change : changes) {
    if (change.is_valid) continue;
    Settings settings = good_settings();
    settings.answer_plain = 0;
    settings.departure_ns = 7;
    change.apply(settings);
    page->settings.publish(settings);
    EXPECT_FALSE(service.refresh(page.get())) << change.name;
    EXPECT_TRUE(service.policy().answer_plain) << change.name;
    EXPECT_EQ(service.departure_ns(), 500U) << change.name;
    EXPECT_EQ(service.local().ntp_port, 123) << change.name;
    EXPECT_TRUE(service.local().addresses.serves_ipv4(tests::server_ipv4.data())) << change.name;
  }
}

TEST(Service, G04_AWriteInProgressLeavesWhatWasServedBeforeAndIsTakenOnceItIsDone) {
  const auto page = std::make_unique<shm::SettingsPage>();
  auto& generation = reinterpret_cast<std::atomic<std::uint64_t>&>(page->settings);
  Service service;
  page->settings.publish(good_settings());
  ASSERT_TRUE(service.refresh(page.get()));
  generation.store(3);
  EXPECT_FALSE(service.refresh(page.get()));
  EXPECT_EQ(service.local().ntp_port, 123);
  Settings settings = good_settings();
  settings.ntp_port = 4123;
  page->settings.publish(settings);
  EXPECT_TRUE(service.refresh(page.get()));
  EXPECT_EQ(service.local().ntp_port, 4123);
}

TEST(Service, APageThatIsNotThereLeavesWhatWasServedBefore) {
  const auto page = std::make_unique<shm::SettingsPage>();
  Service service;
  EXPECT_FALSE(service.refresh(nullptr));
  page->settings.publish(good_settings());
  ASSERT_TRUE(service.refresh(page.get()));
  EXPECT_FALSE(service.refresh(nullptr));
  EXPECT_TRUE(service.local().addresses.serves_ipv4(tests::server_ipv4.data()));
}

}  // namespace
