// Which capabilities the dataplane gets for which port: those it needs, and none for another's sake.

#include "control/port_rights.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<unsigned> rights_of(std::vector<std::string> devices,
                                shm::HostTwin host_twin = shm::HostTwin::automatic,
                                const shm::MachineRoots& roots = {}) {
  Config config;
  config.dataplane.devices = std::move(devices);
  config.dataplane.host_twin = host_twin;
  config.server.ntp_port = 4123;
  return dataplane_capabilities(config, roots);
}

TEST(PortRights, EachKindOfPortHasItsOwn) {
  EXPECT_THAT(rights_of({"vdev:net_null0"}), IsEmpty());
  EXPECT_THAT(rights_of({"vdev:net_ring0"}), IsEmpty());
  EXPECT_THAT(rights_of({"af_packet:eth0"}), UnorderedElementsAre(CAP_NET_RAW, CAP_NET_ADMIN));
  EXPECT_THAT(rights_of({"af_xdp:eth0"}),
              UnorderedElementsAre(CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_IPC_LOCK));
  EXPECT_THAT(rights_of({"vdev:net_af_xdp0,iface=eth0"}),
              UnorderedElementsAre(CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_IPC_LOCK));
  EXPECT_THAT(rights_of({"vdev:net_tap0"}), UnorderedElementsAre(CAP_NET_ADMIN));
  EXPECT_THAT(rights_of({"vdev:net_null0", "af_packet:eth0", "af_packet:eth1"}),
              UnorderedElementsAre(CAP_NET_RAW, CAP_NET_ADMIN))
      << "each once";
}

TEST(PortRights, OnlyATwinBringsTheRightToMakeOne) {
  EXPECT_THAT(rights_of({"vdev:net_null0"}, shm::HostTwin::all), UnorderedElementsAre(CAP_NET_ADMIN));
  EXPECT_THAT(rights_of({"pci:0000:3b:00.0"}), UnorderedElementsAre(CAP_IPC_LOCK, CAP_NET_ADMIN));
  EXPECT_THAT(rights_of({"pci:0000:3b:00.0"}, shm::HostTwin::none), UnorderedElementsAre(CAP_IPC_LOCK));
}

TEST(PortRights, ACardThatStaysWithTheKernelNeedsTheKernelsLeaveInsteadOfATwin) {
  const tests::Scratch scratch;
  const auto card = scratch.path() / "sys/bus/pci/devices/0000:3b:00.0";
  std::filesystem::create_directories(card);
  std::filesystem::create_symlink("../mlx5_core", card / "driver");
  EXPECT_THAT(rights_of({"pci:0000:3b:00.0"}, shm::HostTwin::none, {scratch.path() / "sys", "/dev"}),
              UnorderedElementsAre(CAP_IPC_LOCK, CAP_NET_RAW, CAP_NET_ADMIN));
}

TEST(PortRights, TheGuardOfAPrivilegedPortIsForAfPacketAlone) {
  Config config;
  config.dataplane.devices = {"af_packet:eth0"};
  config.server.ntp_port = 123;
  EXPECT_THAT(dataplane_capabilities(config),
              UnorderedElementsAre(CAP_NET_RAW, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE));
  config.dataplane.devices = {"af_xdp:eth0"};
  EXPECT_THAT(dataplane_capabilities(config),
              UnorderedElementsAre(CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_IPC_LOCK));
}

}  // namespace
}  // namespace control
