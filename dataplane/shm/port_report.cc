#include "dataplane/shm/port_report.h"

#include <cstring>

namespace shm {
namespace {

template <std::size_t Bytes>
std::string text_in(const char (&place)[Bytes]) {
  return {place, ::strnlen(place, Bytes)};
}

}  // namespace

std::string summary_of(const PortReport& report) {
  const auto receive_stamps = [&] {
    if (report.used.has(PortFeature::receive_stamps)) return "by the device";
    return report.offered.has(PortFeature::receive_stamps)
               ? "offered by the device, not used yet: one TSC reading per burst"
               : "by TSC per burst";
  };
  const auto by = [&](PortFeature feature) {
    return report.used.has(feature) ? std::string("the device") : std::string("software");
  };
  const auto spreads = [&]() -> std::string {
    const bool ipv4 = report.used.has(PortFeature::rss_ipv4);
    const bool ipv6 = report.used.has(PortFeature::rss_ipv6);
    if (!ipv4 && !ipv6) return "none";
    // With both addresses in it, a client still meets one core as long as it asks one address of ours.
    return std::string(report.used.has(PortFeature::rss_source_only) ? "by source address alone"
                                                                     : "by source and destination address") +
           (ipv4 && ipv6 ? ""
            : ipv4       ? ", IPv4 only"
                         : ", IPv6 only");
  };
  std::string line = text_in(report.device) + ": " + text_in(report.driver) + ", queues " +
                     std::to_string(report.queues) + ", receive stamps " + receive_stamps() +
                     ", UDP checksums read by " + by(PortFeature::receive_udp_checksum) + " and written by " +
                     by(PortFeature::transmit_udp_checksum) + ", RSS " + spreads();
  if (report.twin[0] != '\0') line += ", the kernel's share through " + text_in(report.twin);
  return line;
}

}  // namespace shm
