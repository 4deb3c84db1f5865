// The line about a port says what is so of it, feature by feature.
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/shm/port_report.h"

namespace {

using shm::PortFeature;
using testing::HasSubstr;

shm::PortReport report_of(std::initializer_list<PortFeature> used) {
  shm::PortReport report{};
  std::strcpy(report.device, "pci:0000:3b:00.0");
  std::strcpy(report.driver, "net_ice");
  report.queues = 4;
  for (const PortFeature feature : used) {
    report.offered.set(feature);
    report.used.set(feature);
  }
  return report;
}

TEST(SummaryOfAPort, SaysWhichAddressesSpreadFrames) {
  using enum PortFeature;
  EXPECT_THAT(summary_of(report_of({})), HasSubstr("RSS none"));
  EXPECT_THAT(summary_of(report_of({rss_source_only})), HasSubstr("RSS none")) << "no family to spread";
  EXPECT_THAT(summary_of(report_of({rss_ipv4, rss_ipv6, rss_source_only})),
              testing::EndsWith("RSS by source address alone"));
  EXPECT_THAT(summary_of(report_of({rss_ipv4, rss_ipv6})),
              testing::EndsWith("RSS by source and destination address"));
  EXPECT_THAT(summary_of(report_of({rss_ipv4})), HasSubstr("destination address, IPv4 only"));
  EXPECT_THAT(summary_of(report_of({rss_ipv6, rss_source_only})),
              HasSubstr("source address alone, IPv6 only"));
}

TEST(SummaryOfAPort, DoesNotTakeWhatIsOfferedForWhatIsUsed) {
  shm::PortReport report = report_of({PortFeature::rss_ipv4, PortFeature::rss_ipv6});
  report.offered.set(PortFeature::rss_source_only);
  EXPECT_THAT(summary_of(report), HasSubstr("by source and destination address"));
}

}  // namespace
