// The queue of a frame, as a machine for classic BPF of our own computes it; the kernel's own is asked in
// tests/peers/queue_skew_test.py.
#include "dataplane/port/source_spread.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace {

using dataplane::source_spread;
using dataplane::SourceSpread;

constexpr std::array<std::uint32_t, 2> ip_protocols = {ETH_P_IP, ETH_P_IPV6};

struct Packet {
  std::uint32_t protocol;
  std::array<std::uint8_t, 40> ip{};
};

// What the program returns; nothing when it does what a program must not, or what this machine does not know.
std::optional<std::uint32_t> result_of(const SourceSpread& steps, const Packet& packet) {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  for (std::size_t at = 0; at < steps.size(); ++at) {
    const sock_filter& step = steps[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS: {
        if (step.k == static_cast<std::uint32_t>(SKF_AD_OFF) + SKF_AD_PROTOCOL) {
          a = packet.protocol;
          break;
        }
        const std::uint32_t offset = step.k - static_cast<std::uint32_t>(SKF_NET_OFF);
        if (offset > packet.ip.size() - 4) return {};
        a = 0;
        for (std::uint32_t i = 0; i < 4; ++i) a = a << 8 | packet.ip[offset + i];
        break;
      }
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == step.k ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JA:
        at += step.k;
        break;
      case BPF_ALU | BPF_MUL | BPF_K:
        a *= step.k;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= step.k;
        break;
      case BPF_ALU | BPF_RSH | BPF_K:
        a >>= step.k;
        break;
      case BPF_ALU | BPF_XOR | BPF_X:
        a ^= x;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_RET | BPF_K:
        return step.k;
      case BPF_RET | BPF_A:
        return a;
      default:
        return {};
    }
  }
  return {};
}

class SourceSpreadTest : public ::testing::Test {
 protected:
  std::uint32_t random() { return static_cast<std::uint32_t>(random_()); }
  Packet some(std::uint32_t protocol) {
    Packet packet{protocol};
    std::generate(packet.ip.begin(), packet.ip.end(), [&] { return static_cast<std::uint8_t>(random()); });
    return packet;
  }
  std::uint32_t queue_of(const Packet& packet, std::uint32_t queues) {
    const std::optional<std::uint32_t> result = result_of(source_spread(factor_), packet);
    EXPECT_TRUE(result.has_value());
    return result.value_or(0) % queues;
  }

  std::mt19937 random_{4};
  std::uint32_t factor_ = 0x3c6ef373;
};

TEST_F(SourceSpreadTest, B15_NothingButTheSourceCounts) {
  for (const std::uint32_t protocol : ip_protocols) {
    const std::size_t from = protocol == ETH_P_IP ? 12 : 8;
    const std::size_t to = protocol == ETH_P_IP ? 16 : 15;  // of IPv6 a /56
    for (int i = 0; i < 1000; ++i) {
      const Packet one = some(protocol);
      Packet other = some(protocol);
      std::copy(one.ip.begin() + static_cast<std::ptrdiff_t>(from),
                one.ip.begin() + static_cast<std::ptrdiff_t>(to),
                other.ip.begin() + static_cast<std::ptrdiff_t>(from));
      ASSERT_EQ(queue_of(one, 64), queue_of(other, 64));
    }
  }
}

TEST_F(SourceSpreadTest, EveryOctetOfTheSourceCounts) {
  for (const std::uint32_t protocol : ip_protocols) {
    for (std::size_t at = protocol == ETH_P_IP ? 12 : 8; at < (protocol == ETH_P_IP ? 16U : 15U); ++at) {
      std::set<std::uint32_t> queues;
      Packet packet = some(protocol);
      for (int value = 0; value < 256; ++value) {
        packet.ip[at] = static_cast<std::uint8_t>(value);
        queues.insert(queue_of(packet, 4));
      }
      EXPECT_EQ(queues.size(), 4U) << at;
    }
  }
}

TEST_F(SourceSpreadTest, NeighboursSpreadEvenlyOverAnyNumberOfQueues) {
  constexpr std::uint32_t sources = 4096;
  for (const std::uint32_t queues : {2U, 3U, 4U, 7U, 16U}) {
    std::vector<std::uint32_t> each(queues);
    Packet packet = some(ETH_P_IP);
    for (std::uint32_t source = 0; source < sources; ++source) {
      packet.ip[14] = static_cast<std::uint8_t>(source >> 8);
      packet.ip[15] = static_cast<std::uint8_t>(source);
      ++each[queue_of(packet, queues)];
    }
    EXPECT_GT(*std::min_element(each.begin(), each.end()), sources / queues * 7 / 10) << queues;
  }
}

TEST_F(SourceSpreadTest, AnotherFactorIsAnotherSpread) {
  const std::uint32_t before = factor_;
  int moved = 0;
  for (int i = 0; i < 1000; ++i) {
    const Packet packet = some(ETH_P_IP);
    factor_ = before;
    const std::uint32_t queue = queue_of(packet, 2);
    factor_ = random() | 1;
    moved += queue_of(packet, 2) == queue ? 0 : 1;
  }
  EXPECT_GT(moved, 350);
  EXPECT_LT(moved, 650);
}

TEST_F(SourceSpreadTest, WhatIsNoIpMeetsTheFirst) {
  for (const std::uint32_t protocol : std::array<std::uint32_t, 4>{ETH_P_ARP, ETH_P_8021Q, ETH_P_8021AD, 0}) {
    EXPECT_EQ(queue_of(some(protocol), 64), 0U) << protocol;
  }
}

}  // namespace
