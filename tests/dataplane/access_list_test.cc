// Access rules against the plain way to read them: go through all, and the longest prefix wins.
#include "dataplane/access_list.h"

#include <arpa/inet.h>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace dataplane {
namespace {

shm::AccessRule rule(Access access, const std::string& address, unsigned bits) {
  shm::AccessRule made{};
  made.family = address.find(':') == std::string::npos ? 4 : 6;
  made.prefix_bits = static_cast<std::uint8_t>(bits);
  made.access = access;
  EXPECT_EQ(::inet_pton(made.family == 4 ? AF_INET : AF_INET6, address.c_str(), made.octets), 1);
  return made;
}

Access of(const AccessList& list, const std::string& address) {
  std::uint8_t octets[16];
  const bool is_ipv6 = address.find(':') != std::string::npos;
  EXPECT_EQ(::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address.c_str(), octets), 1);
  return is_ipv6 ? list.of_ipv6(octets) : list.of_ipv4(octets);
}

TEST(AccessList, B17_TheLongestPrefixDecidesWhateverTheOrder) {
  AccessList list;
  EXPECT_TRUE(list.is_empty());
  list.assign(std::vector{rule(Access::allow, "10.1.2.3", 32), rule(Access::deny, "10.0.0.0", 8),
                          rule(Access::require_nts, "10.1.0.0", 16), rule(Access::deny, "2001:db8::", 32),
                          rule(Access::allow, "2001:db8:1::", 48)});
  EXPECT_EQ(of(list, "10.255.255.255"), Access::deny);
  EXPECT_EQ(of(list, "10.0.0.0"), Access::deny);
  EXPECT_EQ(of(list, "9.255.255.255"), Access::allow);
  EXPECT_EQ(of(list, "11.0.0.0"), Access::allow);
  EXPECT_EQ(of(list, "10.1.2.4"), Access::require_nts);
  EXPECT_EQ(of(list, "10.1.2.3"), Access::allow);
  EXPECT_EQ(of(list, "2001:db8:2::1"), Access::deny);
  EXPECT_EQ(of(list, "2001:db8:1:ffff::"), Access::allow);
  EXPECT_EQ(of(list, "2001:db9::"), Access::allow);
}

TEST(AccessList, B17_TheWholeWorldOfOneFamilyIsNotTheOther) {
  AccessList list;
  list.assign(std::vector{rule(Access::deny, "0.0.0.0", 0)});
  EXPECT_EQ(of(list, "0.0.0.0"), Access::deny);
  EXPECT_EQ(of(list, "255.255.255.255"), Access::deny);
  EXPECT_EQ(of(list, "2001:db8::1"), Access::allow);
  list.assign(std::vector{rule(Access::require_nts, "::", 0)});
  EXPECT_EQ(of(list, "192.0.2.1"), Access::allow);
  EXPECT_EQ(of(list, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Access::require_nts);
  list.assign({});
  EXPECT_TRUE(list.is_empty());
}

TEST(AccessList, B17_AFullListAgreesWithALookThroughAll) {
  std::mt19937 generator(17);  // NOLINT: the same every time
  const auto random = [&generator] { return static_cast<std::uint32_t>(generator()); };
  for (int round = 0; round < 50; ++round) {
    std::vector<shm::AccessRule> rules;
    while (rules.size() < shm::access_rules_max) {
      // Few distinct bits, so that prefixes lie in each other.
      const unsigned bits = random() % 33;
      const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
      const std::uint32_t address = (random() & 0xc0c00303) & mask;
      shm::AccessRule one{};
      one.family = 4;
      one.prefix_bits = static_cast<std::uint8_t>(bits);
      one.access = static_cast<Access>(random() % 3);
      const std::uint32_t swapped = htonl(address);
      std::memcpy(one.octets, &swapped, sizeof swapped);
      ASSERT_TRUE(is_valid(one));
      rules.push_back(one);
    }
    AccessList list;
    list.assign(rules);
    for (int i = 0; i < 2000; ++i) {
      const std::uint32_t address = random() & 0xc0c00303;
      int longest = -1;
      Access expected = Access::allow;
      for (const shm::AccessRule& one : rules) {
        std::uint32_t prefix;
        std::memcpy(&prefix, one.octets, sizeof prefix);
        const bool holds = one.prefix_bits == 0 || (ntohl(prefix) ^ address) >> (32 - one.prefix_bits) == 0;
        if (!holds || one.prefix_bits <= longest) continue;
        longest = one.prefix_bits;
        expected = one.access;
      }
      const std::uint32_t swapped = htonl(address);
      std::uint8_t octets[4];
      std::memcpy(octets, &swapped, sizeof octets);
      ASSERT_EQ(list.of_ipv4(octets), expected) << std::hex << address;
    }
  }
}

TEST(AccessList, B17_RulesOutOfRangeAreNotValid) {
  EXPECT_TRUE(is_valid(rule(Access::deny, "10.0.0.0", 8)));
  EXPECT_FALSE(is_valid(rule(Access::deny, "10.0.0.1", 8)));
  EXPECT_FALSE(is_valid(rule(Access::deny, "10.0.0.0", 33)));
  EXPECT_FALSE(is_valid(rule(static_cast<Access>(3), "10.0.0.0", 8)));
  EXPECT_TRUE(is_valid(rule(Access::deny, "::", 0)));
  EXPECT_FALSE(is_valid(rule(Access::deny, "2001:db8::1", 127)));
  shm::AccessRule none{};
  EXPECT_FALSE(is_valid(none));
}

}  // namespace
}  // namespace dataplane
