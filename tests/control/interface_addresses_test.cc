// Addresses come and go in a network namespace of this test's own; no interface of the host is touched.

#include "control/interface_addresses.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iostream>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/settings.h"

namespace control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Runs `body` in a child with an empty network namespace; its EXPECTs are printed there and fail here.
void in_new_namespace(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0) ::_exit(77);
    body();
    std::cout << std::flush;
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "a network namespace needs root";
  if (WEXITSTATUS(status) == 78) GTEST_SKIP() << "/proc/sys is read-only here";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "see above for what failed in the namespace";
}

void ip(const std::string& words) {
  const std::string command = "ip " + words;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

// An interface that is up and has a carrier: one end of a pair.
void add_interface(const std::string& name) {
  ip("link add " + name + " type veth peer name " + name + "far");
  ip("link set " + name + " up");
  ip("link set " + name + "far up");
}

// "address/prefix" of each, in the order given.
std::vector<std::string> found_on(const std::vector<std::string>& interfaces) {
  std::vector<std::string> texts;
  for (const shm::Address& address : addresses_of(interfaces)) {
    texts.push_back(text_of(address) + "/" + std::to_string(address.prefix_bits));
  }
  return texts;
}

bool hears_something(const AddressWatch& watch) {
  pollfd waiting{watch.fd(), POLLIN, 0};
  return ::poll(&waiting, 1, 2000) == 1;
}

TEST(InterfaceAddresses, AreThoseOfTheGivenInterfacesOnly) {
  in_new_namespace([] {
    add_interface("nm0");
    add_interface("nm1");
    ip("addr add 192.0.2.1/24 dev nm0");
    ip("addr add 192.0.2.9/24 dev nm0");  // a secondary of the same net
    ip("addr add 2001:db8::1/64 dev nm0 nodad");
    ip("addr add fd00:123::1/48 dev nm0 nodad");
    ip("addr add 198.51.100.1/25 dev nm1");
    EXPECT_THAT(found_on({"nm0"}),
                UnorderedElementsAre("192.0.2.1/24", "192.0.2.9/24", "2001:db8::1/64", "fd00:123::1/48"));
    EXPECT_THAT(found_on({"nm1"}), ElementsAre("198.51.100.1/25"));
    EXPECT_EQ(found_on({"nm1", "nm0"}).size(), 5U);
    EXPECT_THAT(found_on({"absent"}), IsEmpty());
    EXPECT_THAT(found_on({}), IsEmpty());
  });
}

TEST(InterfaceAddresses, LeaveOutWhatNobodyWasTold) {
  in_new_namespace([] {
    add_interface("nm0");  // brings an IPv6 link-local address along
    ip("addr add 192.0.2.1/24 dev nm0 scope link");
    ip("addr add 127.1.2.3/32 dev nm0 scope host");
    ip("addr add fe80::7/64 dev nm0 nodad");
    EXPECT_THAT(found_on({"nm0"}), IsEmpty());
    ip("addr add 198.51.100.2/24 dev nm0 scope site");
    EXPECT_THAT(found_on({"nm0"}), ElementsAre("198.51.100.2/24"));
  });
}

TEST(InterfaceAddresses, OneThatTwoInterfacesHaveIsThereOnce) {
  in_new_namespace([] {
    add_interface("nm0");
    add_interface("nm1");
    for (const std::string name : {"nm0", "nm1"}) {
      ip("addr add 192.0.2.1/24 dev " + name);
      ip("addr add 2001:db8::1/64 dev " + name + " nodad");
    }
    ip("addr add 192.0.2.2/24 dev nm1");
    EXPECT_THAT(found_on({"nm0", "nm1"}),
                UnorderedElementsAre("192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64"));
  });
}

// The kernel makes a temporary address (RFC 8981) for one whose prefix it manages.
TEST(InterfaceAddresses, LeaveOutTemporaryOnes) {
  in_new_namespace([] {
    add_interface("nm0");
    // /proc/sys may be read-only here; netlink has no way to switch these on.
    // Without detection of duplicates, or it would be left out as a tentative one.
    if (std::system("cd /proc/sys/net/ipv6/conf/nm0 && echo 2 >use_tempaddr && echo 0 >accept_dad") != 0) {
      ::_exit(78);
    }
    ip("addr add 2001:db8::1/64 dev nm0 nodad mngtmpaddr");
    EXPECT_EQ(std::system("ip -6 addr show dev nm0 | grep -q temporary"), 0) << "the kernel made one";
    EXPECT_THAT(found_on({"nm0"}), ElementsAre("2001:db8::1/64"));
  });
}

// Duplicate address detection cannot end while a veth has no other end to send to: the address stays
// tentative.
TEST(InterfaceAddresses, LeaveOutTentativeOnesAndKeepDeprecatedOnes) {
  in_new_namespace([] {
    ip("link add nm0 type veth peer name nm0far");
    ip("link set nm0 up");
    ip("addr add 2001:db8::1/64 dev nm0");
    ip("addr add 2001:db8::2/64 dev nm0 nodad preferred_lft 0");  // deprecated at once
    EXPECT_THAT(found_on({"nm0"}), ElementsAre("2001:db8::2/64"));
  });
}

TEST(InterfaceAddresses, OnAPointToPointLinkOursIsNotThePeers) {
  in_new_namespace([] {
    add_interface("nm0");
    ip("addr add 192.0.2.1 peer 192.0.2.2/32 dev nm0");
    ip("addr add 2001:db8::1 peer 2001:db8::2/128 dev nm0 nodad");
    EXPECT_THAT(found_on({"nm0"}), UnorderedElementsAre("192.0.2.1/32", "2001:db8::1/128"));
  });
}

TEST(InterfaceAddresses, ALongListArrivesWhole) {
  in_new_namespace([] {
    add_interface("nm0");
    const std::string add_many =
        "for i in $(seq 1 250); do for j in 1 2; do echo addr add 10.1.$j.$i/16 dev nm0; done; done | ip "
        "-batch -";
    ASSERT_EQ(std::system(add_many.c_str()), 0);
    EXPECT_EQ(addresses_of(std::vector<std::string>{"nm0"}).size(), 500U);
  });
}

TEST(AddressWatch, HearsOfAddressesThatComeAndGo) {
  in_new_namespace([] {
    add_interface("nm0");
    AddressWatch watch;
    while (watch.take()) {
    }  // what the interface still has to say of its own start
    ip("addr add 192.0.2.1/24 dev nm0");
    EXPECT_TRUE(hears_something(watch));
    EXPECT_TRUE(watch.take());
    EXPECT_THAT(found_on({"nm0"}), ElementsAre("192.0.2.1/24"));
    ip("addr del 192.0.2.1/24 dev nm0");
    EXPECT_TRUE(hears_something(watch));
    EXPECT_TRUE(watch.take());
    EXPECT_THAT(found_on({"nm0"}), IsEmpty());
  });
}

TEST(AddressWatch, HearsOfAnInterfaceThatTakesTheName) {
  in_new_namespace([] {
    ip("link add other type veth peer name otherfar");
    ip("addr add 192.0.2.1/24 dev other");
    AddressWatch watch;
    EXPECT_THAT(found_on({"nm0"}), IsEmpty());
    ip("link set other name nm0");
    EXPECT_TRUE(hears_something(watch));
    EXPECT_THAT(found_on({"nm0"}), ElementsAre("192.0.2.1/24"));
  });
}

}  // namespace
}  // namespace control
