// A card in trees of our own that look like /sys and /dev: every state in which an operator may leave one.
#include "dataplane/shm/pci_device.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "dataplane/shm/host_twin.h"

namespace {

namespace fs = std::filesystem;
using shm::Permission;

constexpr const char* address = "0000:3b:00.0";

class PciDevices : public ::testing::Test {
 protected:
  PciDevices() {
    std::string name = "/tmp/noonmark-pci-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no directory");
    top_ = name;
    roots_ = {top_ / "sys", top_ / "dev"};
    fs::create_directories(card());
    write("class", "0x020000\n");
  }
  ~PciDevices() override { fs::remove_all(top_); }

  fs::path card() const { return top_ / "sys/bus/pci/devices" / address; }
  void write(const std::string& file, const std::string& text) const { std::ofstream(card() / file) << text; }
  void bind(const std::string& driver) const {
    fs::remove(card() / "driver");
    fs::create_symlink("../../../bus/pci/drivers/" + driver, card() / "driver");
  }
  void give_iommu(const std::string& group) const {
    fs::create_symlink("../../../kernel/iommu_groups/" + group, card() / "iommu_group");
  }
  void give_vfio_files() const {
    fs::create_directories(roots_.dev / "vfio");
    std::ofstream(roots_.dev / "vfio/vfio") << "";
    std::ofstream(roots_.dev / "vfio/7") << "";
  }
  std::string trouble(Permission permission = Permission::asked) const {
    return shm::pci_trouble(address, permission, roots_);
  }
  static bool says(const std::string& text, std::initializer_list<const char*> words) {
    return std::all_of(words.begin(), words.end(),
                       [&](const char* word) { return text.find(word) != std::string::npos; });
  }

  fs::path top_;
  shm::MachineRoots roots_;
};

TEST(PciName, IsWhatLspciPrintsWithOrWithoutTheDriversOptions) {
  shm::PciName name;
  ASSERT_TRUE(shm::read_pci_name("0000:3B:00.7", name));
  EXPECT_EQ(name.address, "0000:3b:00.7");
  EXPECT_EQ(name.options, "");
  ASSERT_TRUE(shm::read_pci_name("10de:ff:1f.0,rx_vec_en=0,x=1", name));
  EXPECT_EQ(name.address, "10de:ff:1f.0");
  EXPECT_EQ(name.options, "rx_vec_en=0,x=1");
  for (const char* text : {"", "3b:00.0", "0000:3b:00", "0000:3b:00.8", "0000:3b:0g.0", "0000-3b:00.0",
                           "0000:3b:00.0x", "00000:3b:00.0", "0000:3b:00.0 ", "../../etc/passwd", ",a=1"}) {
    EXPECT_FALSE(shm::read_pci_name(text, name)) << text;
  }
}

TEST_F(PciDevices, OneThatIsNotThereIsSaidToBe) {
  fs::remove_all(card());
  EXPECT_TRUE(says(trouble(), {address, "not in this machine", "lspci -D"})) << trouble();
  fs::remove_all(roots_.sys);
  EXPECT_TRUE(says(trouble(), {"not in this machine"})) << "no PCI bus at all: " << trouble();
}

TEST_F(PciDevices, OneThatIsNoNetworkCardIsRefused) {
  write("class", "0x010802\n");
  bind("nvme");
  EXPECT_TRUE(says(trouble(), {"no network card", "lspci"})) << trouble();
}

TEST_F(PciDevices, OneThatTheKernelHoldsIsRefusedWithItsDriverAndInterfaceAndBothWaysOut) {
  bind("ixgbe");
  fs::create_directories(card() / "net/enp59s0f0");
  EXPECT_TRUE(says(trouble(), {"kernel's driver ixgbe", "enp59s0f0",
                               "dpdk-devbind.py -b vfio-pci 0000:3b:00.0", "af_xdp:enp59s0f0"}))
      << trouble();
  fs::remove_all(card() / "net");
  EXPECT_TRUE(says(trouble(), {"kernel's driver ixgbe", "dpdk-devbind.py"})) << trouble();
  EXPECT_FALSE(says(trouble(), {"af_xdp:"})) << "there is no interface to name";
}

TEST_F(PciDevices, OneWithoutADriverIsToldWhichToBind) {
  EXPECT_TRUE(says(trouble(), {"no driver", "dpdk-devbind.py -b vfio-pci"})) << trouble();
}

TEST_F(PciDevices, UioIsRefusedBecauseItNeedsRoot) {
  for (const char* driver : {"uio_pci_generic", "igb_uio"}) {
    bind(driver);
    EXPECT_TRUE(says(trouble(), {driver, "needs root", "vfio-pci"})) << trouble();
  }
}

TEST_F(PciDevices, VfioNeedsAnIommuAndItsGroupsFile) {
  bind("vfio-pci");
  EXPECT_TRUE(says(trouble(), {"no IOMMU", "intel_iommu=on"})) << trouble();
  give_iommu("7");
  EXPECT_TRUE(says(trouble(), {"IOMMU group 7", "vfio/7 is missing"})) << trouble();
  give_vfio_files();
  EXPECT_EQ(trouble(), "");
}

TEST_F(PciDevices, WhoMayNotOpenTheGroupIsToldWhichFileAndWhatToDo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  bind("vfio-pci");
  give_iommu("7");
  give_vfio_files();
  fs::permissions(top_, fs::perms(0755));
  fs::permissions(roots_.dev / "vfio/vfio", fs::perms(0666));
  fs::permissions(roots_.dev / "vfio/7", fs::perms(0600));
  // access(2) asks for the real user.
  ASSERT_EQ(::setresuid(65534, 65534, 0), 0);
  const std::string as_stranger = trouble();
  const std::string not_asked = trouble(Permission::not_asked);
  ASSERT_EQ(::setresuid(0, 0, 0), 0);
  EXPECT_TRUE(says(as_stranger, {"vfio/7", "Permission denied", "udev"})) << as_stranger;
  EXPECT_EQ(not_asked, "") << "`noonmark check` runs as somebody else";
}

TEST_F(PciDevices, AMellanoxCardStaysWithTheKernelAndNeedsItsVerbs) {
  bind("mlx5_core");
  fs::create_directories(card() / "net/ens1");
  EXPECT_TRUE(says(trouble(), {"mlx5_core", "modprobe mlx5_ib"})) << trouble();
  fs::create_directories(card() / "infiniband/mlx5_0");
  EXPECT_EQ(trouble(), "");
  const shm::PciDevice found = shm::look_at_pci_device(address, roots_);
  EXPECT_TRUE(found.is_bifurcated());
  EXPECT_EQ(found.interfaces, std::vector<std::string>{"ens1"});
}

TEST_F(PciDevices, ATwinStandsBesideACardThatIsTakenWholeAndWhereItIsAskedFor) {
  using shm::HostTwin;
  const auto has = [&](HostTwin wanted, const char* device) { return shm::has_twin(wanted, device, roots_); };
  bind("vfio-pci");
  EXPECT_TRUE(has(HostTwin::automatic, "pci:0000:3b:00.0,a=1"));
  EXPECT_TRUE(has(HostTwin::all, "pci:0000:3b:00.0"));
  EXPECT_FALSE(has(HostTwin::none, "pci:0000:3b:00.0"));
  EXPECT_FALSE(has(HostTwin::automatic, "pci:nonsense"));
  bind("mlx5_core");
  EXPECT_FALSE(has(HostTwin::automatic, "pci:0000:3b:00.0")) << "the kernel keeps its own interface";
  EXPECT_FALSE(has(HostTwin::all, "pci:0000:3b:00.0"));
  EXPECT_FALSE(has(HostTwin::automatic, "vdev:net_null0"));
  EXPECT_TRUE(has(HostTwin::all, "vdev:net_null0"));
  for (const char* device : {"af_packet:eth0", "af_xdp:eth0"}) EXPECT_FALSE(has(HostTwin::all, device));
  EXPECT_TRUE(shm::is_twin_name(shm::twin_name(3)));
  EXPECT_FALSE(shm::is_twin_name("eth0"));
}

}  // namespace
