// vdev: any driver of DPDK's by its name, with several queues; and what is said when it does not go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "dataplane/port/capabilities.h"
#include "dataplane/port/port.h"
#include "tests/support/ring_port.h"

namespace {

using dataplane::Port;
using dataplane::PortError;
using shm::PortFeature;
using testing::AllOf;
using testing::HasSubstr;

class Vdev : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!tests::eal_trouble.empty()) GTEST_SKIP() << tests::eal_trouble;
  }
  static std::string error_of(const std::string& device, const dataplane::PortPlan& plan = {}) {
    try {
      const Port port(device, 11, 1, tests::shared_buffers(), plan);
      return "it opens";
    } catch (const PortError& error) {
      return error.what();
    }
  }
};

TEST_F(Vdev, OpensWithAQueueForEachWorkerOrAsManyAsTheDriverHas) {
  for (const char* device : {"vdev:net_null71,size=64", "vdev:net_ring71"}) {
    const Port port(device, 0, 2, tests::shared_buffers());
    EXPECT_LE(port.queue_count(), 2) << device;
    EXPECT_GE(port.queue_count(), 1) << device;
    EXPECT_STREQ(port.report().device, device);
    EXPECT_EQ(port.report().mtu_bytes, 1500);
  }
  EXPECT_EQ(Port("vdev:net_null72", 0, 2, tests::shared_buffers()).queue_count(), 2);
  // One file, one queue, however many workers there are.
  const std::string out = "/dev/shm/noonmark-vdev-test-" + std::to_string(::getpid()) + ".pcap";
  EXPECT_EQ(Port("vdev:net_pcap71,tx_pcap=" + out, 0, 2, tests::shared_buffers()).queue_count(), 1);
  ::unlink(out.c_str());
}

TEST_F(Vdev, ItsCapabilitiesAreThoseOfTheDriverAndNoneIsMadeUp) {
  const Port port("vdev:net_null73", 0, 1, tests::shared_buffers());
  const shm::PortReport& report = port.report();
  EXPECT_STREQ(report.driver, "net_null");
  EXPECT_STREQ(report.interface, "");
  EXPECT_STREQ(report.twin, "");
  EXPECT_GE(report.receive_queues_max, 1);
  for (const PortFeature feature :
       {PortFeature::receive_stamps, PortFeature::launch_time, PortFeature::device_clock,
        PortFeature::timesync_clock, PortFeature::flow_rules, PortFeature::receive_udp_checksum,
        PortFeature::transmit_udp_checksum}) {
    EXPECT_FALSE(report.offered.has(feature)) << static_cast<int>(feature);
    EXPECT_FALSE(report.used.has(feature)) << static_cast<int>(feature);
  }
  EXPECT_TRUE(dataplane::link_of(port.port_id()).is_up);
  EXPECT_FALSE(dataplane::link_of(60'000).is_up) << "a port that is not there has no link";
}

TEST_F(Vdev, AWrongDriverGivesASentenceWithAWayOut) {
  EXPECT_THAT(error_of("vdev:net_nonesuch0"), AllOf(HasSubstr("vdev:net_nonesuch0 cannot be made"),
                                                    HasSubstr("no such driver"), HasSubstr("net_null0")));
  EXPECT_THAT(error_of("vdev:net_null74,nonsense=1"), HasSubstr("vdev:net_null74,nonsense=1"));
  const Port first("vdev:net_null75", 0, 1, tests::shared_buffers());
  EXPECT_THAT(error_of("vdev:net_null75"), HasSubstr("a number of its own"));
}

TEST_F(Vdev, NoInterfaceNoCardAndNoMemoryAreSaidWithAWayOut) {
  EXPECT_THAT(error_of("af_packet:nm-nonesuch"), AllOf(HasSubstr("does not exist"), HasSubstr("ip link")));
  EXPECT_THAT(error_of("af_xdp:nm-nonesuch"), AllOf(HasSubstr("does not exist"), HasSubstr("ip link")));
  EXPECT_THAT(error_of("pci:0000:ff:1f.7"), HasSubstr("0000:ff:1f.7"));
  EXPECT_THAT(error_of("pci:3b:00.0"), AllOf(HasSubstr("DOMAIN:BUS:DEVICE.FUNCTION"), HasSubstr("lspci -D")));
  try {
    const dataplane::BufferPool too_large("huge", 20'000);
    ADD_FAILURE() << "this machine gave a test 100 GiB";
  } catch (const PortError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no memory for packet buffers"), HasSubstr("hugepages")));
  }
}

}  // namespace
