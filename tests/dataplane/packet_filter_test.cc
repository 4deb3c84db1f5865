// The filter as the kernel runs it: attached to a socket of a pair, through which frames are sent as
// datagrams. What only a network interface knows (direction, a tag that was taken off) is asked in
// tests/peers.
#include "dataplane/port/packet_filter.h"

#include <gtest/gtest.h>
#include <initializer_list>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/frame_builder.h"

namespace {

using tests::FrameSpec;
using tests::Octets;
using U8s = std::initializer_list<std::uint8_t>;
using U16s = std::initializer_list<std::uint16_t>;

class Filtered {
 public:
  Filtered(std::span<const shm::Address> addresses, std::uint16_t port) {
    std::vector<sock_filter> steps = dataplane::packet_filter(addresses, port);
    const sock_fprog program = {static_cast<unsigned short>(steps.size()), steps.data()};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair_), 0);
    EXPECT_EQ(::setsockopt(pair_[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0)
        << steps.size();
  }
  ~Filtered() {
    ::close(pair_[0]);
    ::close(pair_[1]);
  }
  Filtered(const Filtered&) = delete;
  Filtered& operator=(const Filtered&) = delete;

  [[nodiscard]] bool takes(const Octets& frame) const {
    EXPECT_EQ(::send(pair_[0], frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
    Octets got(frame.size() + 1);
    const ssize_t bytes = ::recv(pair_[1], got.data(), got.size(), 0);
    if (bytes < 0) return false;
    EXPECT_EQ(static_cast<std::size_t>(bytes), frame.size()) << "taken, but cut";
    return true;
  }

 private:
  int pair_[2] = {-1, -1};
};

FrameSpec request(bool is_ipv6) {
  FrameSpec spec;
  spec.is_ipv6 = is_ipv6;
  spec.payload[0] = 0x23;  // version 4, mode 3
  return spec;
}

class PacketFilter : public ::testing::Test {
 protected:
  std::array<shm::Address, 2> addresses_ = {tests::address_of(tests::server_ipv4),
                                            tests::address_of(tests::server_ipv6)};
  Filtered filtered_{addresses_, 123};
};

TEST_F(PacketFilter, TakesRequestsToUsWithAndWithoutATag) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = request(is_ipv6);
    EXPECT_TRUE(filtered_.takes(spec.build())) << is_ipv6;
    spec.payload.resize(1400);
    EXPECT_TRUE(filtered_.takes(spec.build())) << is_ipv6;
    spec.tags = {0xe007};
    EXPECT_TRUE(filtered_.takes(spec.build())) << is_ipv6;
  }
}

// The driver would put back the wrong type, or make of two tags what nobody serves.
TEST_F(PacketFilter, A05_LeavesOtherTagsToTheKernel) {
  FrameSpec spec = request(false);
  spec.tags = {7};
  spec.tag_types = {0x88a8};
  EXPECT_FALSE(filtered_.takes(spec.build()));
  spec.tags = {7, 8};
  EXPECT_FALSE(filtered_.takes(spec.build()));
  spec.tag_types = {};
  EXPECT_FALSE(filtered_.takes(spec.build()));
}

TEST_F(PacketFilter, TakesModeThreeOfEveryVersionAndNoOtherMode) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = request(is_ipv6);
    for (int first = 0; first < 256; ++first) {
      spec.payload[0] = static_cast<std::uint8_t>(first);
      EXPECT_EQ(filtered_.takes(spec.build()), (first & 7) == 3) << first;
    }
  }
}

TEST_F(PacketFilter, LeavesWhatIsNotForUs) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = request(is_ipv6);
    spec.destination_port = 124;
    EXPECT_FALSE(filtered_.takes(spec.build()));
    spec.destination_port = 123;
    spec.protocol = 6;
    EXPECT_FALSE(filtered_.takes(spec.build()));
    spec.protocol = 17;
    Octets frame = spec.build();
    frame[13] ^= 1;  // another EtherType
    EXPECT_FALSE(filtered_.takes(frame));
  }
  for (const std::size_t octet : {0U, 1U, 2U, 3U}) {
    FrameSpec spec = request(false);
    spec.destination[octet] ^= 1;
    EXPECT_FALSE(filtered_.takes(spec.build())) << octet;
  }
  for (std::size_t octet = 0; octet < 16; ++octet) {
    FrameSpec spec = request(true);
    spec.destination6[octet] ^= 1;
    EXPECT_FALSE(filtered_.takes(spec.build())) << octet;
  }
}

TEST_F(PacketFilter, A11_A13_LeavesOptionsAndEveryFragmentOfIpv4) {
  FrameSpec spec = request(false);
  for (const std::uint16_t fragment : U16s{0x2000, 0x0001, 0x1fff, 0x2001, 0x6000}) {
    spec.fragment = fragment;
    EXPECT_FALSE(filtered_.takes(spec.build())) << fragment;
  }
  for (const std::uint16_t whole : U16s{0x0000, 0x4000, 0x8000}) {  // DF, and the bit that nobody uses
    spec.fragment = whole;
    EXPECT_TRUE(filtered_.takes(spec.build())) << whole;
  }
  Octets frame = spec.build();
  frame[14] = 0x46;
  EXPECT_FALSE(filtered_.takes(frame));
}

TEST_F(PacketFilter, A14_LeavesIpv6WithAHeaderBeforeUdp) {
  FrameSpec spec = request(true);
  for (const std::uint8_t header : U8s{0, 43, 44, 50, 51, 58, 59, 60}) {
    spec.protocol = header;
    EXPECT_FALSE(filtered_.takes(spec.build())) << int{header};
  }
}

// Up to the octet that has the mode, and not one before.
TEST_F(PacketFilter, A01_LeavesEveryFrameThatEndsBeforeTheMode) {
  for (const bool is_ipv6 : {false, true}) {
    const FrameSpec spec = request(is_ipv6);
    const Octets whole = spec.build();
    for (std::size_t bytes = 1; bytes <= whole.size(); ++bytes) {
      const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_EQ(filtered_.takes(cut), bytes > spec.udp_offset() + 8) << bytes;
    }
  }
}

TEST(PacketFilterOfMany, TakesEachOfAFullListAndNoOther) {
  for (const bool is_ipv6 : {false, true}) {
    std::vector<shm::Address> addresses;
    for (std::uint8_t i = 0; i < shm::addresses_max; ++i) {
      tests::Ipv4 address = tests::server_ipv4;
      tests::Ipv6 address6 = tests::server_ipv6;
      address[3] = address6[i % 16] = static_cast<std::uint8_t>(100 + i);
      addresses.push_back(is_ipv6 ? tests::address_of(address6) : tests::address_of(address));
    }
    const Filtered filtered(addresses, 4123);
    FrameSpec spec = request(is_ipv6);
    spec.destination_port = 4123;
    EXPECT_FALSE(filtered.takes(spec.build()));
    for (const shm::Address& address : addresses) {
      std::copy_n(address.octets, 4, spec.destination.begin());
      std::copy_n(address.octets, 16, spec.destination6.begin());
      EXPECT_TRUE(filtered.takes(spec.build()));
    }
  }
}

TEST(PacketFilterOfNone, TakesNothing) {
  const Filtered filtered({}, 123);
  EXPECT_FALSE(filtered.takes(request(false).build()));
  EXPECT_FALSE(filtered.takes(request(true).build()));
}

}  // namespace
