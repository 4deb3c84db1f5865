// The ports of a page, as `noonmark ports` tells them: by good pages and by garbage.

#include "control/port_status.h"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <unistd.h>

#include "control/cli_text.h"

namespace control {
namespace {

using nlohmann::json;
using shm::PortFeature;
using testing::HasSubstr;

void store_text(char* place, std::string_view text) { std::memcpy(place, text.data(), text.size() + 1); }

// A dataplane of this very process with one card, and a twin beside it.
std::unique_ptr<shm::StatsPage> serving_page() {
  auto page = std::make_unique<shm::StatsPage>();
  page->instance_id = 77;
  page->pid = static_cast<std::uint64_t>(::getpid());
  page->serving = 1;
  shm::PortReport& report = page->ports[0].report;
  store_text(report.device, "pci:0000:3b:00.0");
  store_text(report.driver, "net_ice");
  store_text(report.twin, "nm-twin0");
  const std::uint8_t mac[] = {0x02, 0, 0x5e, 0x10, 0, 0xff};
  std::memcpy(report.mac, mac, sizeof mac);
  report.queues = 2;
  report.receive_queues_max = 64;
  report.transmit_queues_max = 32;
  report.mtu_bytes = 1500;
  report.offered.set(PortFeature::receive_stamps);
  report.offered.set(PortFeature::rss_ipv4);
  report.used.set(PortFeature::rss_ipv4);
  page->ports[0].link_is_up = 1;
  page->ports[0].link_mbps = 25000;
  return page;
}

TEST(PortStatus, TellsEachFieldAndWhatIsUsedOfWhatIsOffered) {
  const auto page = serving_page();
  const json report = ports_status(page.get(), ::geteuid());
  EXPECT_EQ(report["running"], true);
  ASSERT_EQ(report["ports"].size(), 1U);
  const json& port = report["ports"][0];
  EXPECT_EQ(port["device"], "pci:0000:3b:00.0");
  EXPECT_EQ(port["driver"], "net_ice");
  EXPECT_EQ(port["interface"], nullptr);
  EXPECT_EQ(port["twin"], "nm-twin0");
  EXPECT_EQ(port["mac"], "02:00:5e:10:00:ff");
  EXPECT_EQ(port["mtu"], 1500);
  EXPECT_EQ(port["queues"], 2);
  EXPECT_EQ(port["queues_max"], (json{{"receive", 64}, {"transmit", 32}}));
  EXPECT_EQ(port["link"], (json{{"up", true}, {"mbps", 25000}}));
  ASSERT_EQ(port["features"].size(), shm::port_feature_count);
  EXPECT_EQ(port["features"]["rss_ipv4"], "used");
  EXPECT_EQ(port["features"]["receive_stamps"], "offered");
  EXPECT_EQ(port["features"]["launch_time"], "none");
}

TEST(PortStatus, SaysSoWhenNothingIsKnown) {
  const json nothing = {{"running", false}, {"ports", json::array()}};
  EXPECT_EQ(ports_status(nullptr, ::geteuid()), nothing);
  const auto page = serving_page();
  EXPECT_EQ(ports_status(page.get(), ::geteuid() + 1), nothing);
  page->serving = 0;
  EXPECT_EQ(ports_status(page.get(), ::geteuid()), nothing);
  EXPECT_FALSE(has_ports(nothing));
  EXPECT_THAT(ports_text(nothing), HasSubstr("NOT running"));
}

TEST(PortStatus, AnUnknownSpeedIsNull) {
  const auto page = serving_page();
  page->ports[0].link_is_up = 0;
  page->ports[0].link_mbps = 0;
  const json report = ports_status(page.get(), ::geteuid());
  EXPECT_EQ(report["ports"][0]["link"], (json{{"up", false}, {"mbps", nullptr}}));
  EXPECT_THAT(ports_text(report), HasSubstr("DOWN, speed not known"));
}

TEST(PortStatus, G14_GarbageEndsWithItsFieldsAndIsPrintable) {
  const auto page = serving_page();
  for (shm::PortState& state : page->ports) {
    std::memset(static_cast<void*>(&state.report), 0x1b, sizeof state.report);
  }
  const json report = ports_status(page.get(), ::geteuid());
  ASSERT_EQ(report["ports"].size(), shm::devices_max);
  EXPECT_EQ(report["ports"][7]["device"], std::string(shm::device_name_bytes, '?'));
  EXPECT_EQ(report["ports"][7]["twin"], std::string(16, '?'));
  for (const std::string& line : port_lines(*page)) {
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_LT(line.size(), 700U);
  }
}

TEST(PortsText, IsReadByAPerson) {
  const auto page = serving_page();
  const json report = ports_status(page.get(), ::geteuid());
  EXPECT_TRUE(has_ports(report));
  const std::string text = ports_text(report);
  EXPECT_THAT(text, HasSubstr("pci:0000:3b:00.0\n"));
  EXPECT_THAT(text, HasSubstr("link     up, 25000 Mbit/s\n"));
  EXPECT_THAT(text, HasSubstr("queues   2 in use, of 64 and 32\n"));
  EXPECT_THAT(text, HasSubstr("twin     nm-twin0"));
  EXPECT_THAT(text, HasSubstr("uses     rss_ipv4\n"));
  EXPECT_THAT(text, HasSubstr("could    receive_stamps\n"));
  EXPECT_EQ(text.find('?'), std::string::npos);
  EXPECT_THAT(ports_text({{"running", true}, {"ports", {{{"device", 3}}}}}), HasSubstr("?"))
      << "another version's";
  EXPECT_EQ(ports_text({{"running", true}, {"ports", json::array()}}), "no ports\n");
}

}  // namespace
}  // namespace control
