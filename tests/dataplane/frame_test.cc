// Rows A01-A31 of the test catalogue that are about the octets of a frame, each from both sides of its edge;
// VLAN tags are in frame_vlan_test.cc.
#include "dataplane/frame.h"

#include <initializer_list>
#include <set>

#include "tests/dataplane/unwrapped.h"

namespace {

using dataplane::Envelope;
using dataplane::Local;
using dataplane::ReceivedChecksum;
using dataplane::SentChecksum;
using shm::FrameVerdict;
using tests::FrameSpec;
using tests::Octets;
using tests::Refused;
using tests::server_link_local;
using tests::spec_of;
using tests::unwrap;
using U8s = std::initializer_list<std::uint8_t>;
using U16s = std::initializer_list<std::uint16_t>;

TEST(Unwrap, TakesAPlainRequestOfEitherFamily) {
  for (const bool is_ipv6 : {false, true}) {
    const FrameSpec spec = spec_of(is_ipv6);
    const Envelope envelope = unwrap(spec);
    ASSERT_TRUE(envelope.is_request) << is_ipv6;
    EXPECT_EQ(envelope.is_ipv6, is_ipv6);
    EXPECT_EQ(envelope.payload_offset, spec.udp_offset() + 8);
    EXPECT_EQ(envelope.payload_bytes, 48);
  }
}

TEST(Unwrap, A01_DropsEveryPrefixOfAValidFrame) {
  for (const bool is_ipv6 : {false, true}) {
    for (const bool is_tagged : {false, true}) {
      FrameSpec spec = spec_of(is_ipv6);
      if (is_tagged) spec.tags = {5};
      const Octets whole = spec.build();
      for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
        const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
        EXPECT_FALSE(unwrap(cut).is_request) << bytes;
      }
      EXPECT_TRUE(unwrap(whole).is_request);
    }
  }
  EXPECT_TRUE(Refused(unwrap(Octets(13, 0)), FrameVerdict::drop_truncated));
  EXPECT_TRUE(Refused(unwrap(Octets(14, 0)), FrameVerdict::pass_other));
}

TEST(Unwrap, A02_A03_PassesEveryOtherEtherTypeToTheKernel) {
  for (const int ethertype :
       {0x0000, 0x002e, 0x05dc, 0x0600, 0x0806, 0x88cc, 0x88f7, 0x8847, 0x0801, 0x86dc}) {
    Octets frame = FrameSpec{}.build();
    frame[12] = static_cast<std::uint8_t>(ethertype >> 8);
    frame[13] = static_cast<std::uint8_t>(ethertype);
    EXPECT_TRUE(Refused(unwrap(frame), FrameVerdict::pass_other)) << ethertype;
  }
}

TEST(Unwrap, A06_DropsFramesForAnotherMac) {
  const tests::Mac other = {0x02, 0x11, 0x22, 0x33, 0x44, 0x56};
  const tests::Mac broadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const tests::Mac multicast = {0x01, 0x00, 0x5e, 0x00, 0x01, 0x01};
  for (const tests::Mac& mac : {other, broadcast, multicast}) {
    FrameSpec spec;
    spec.to = mac;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_mac));
  }
}

TEST(Unwrap, A07_DropsASourceMacThatIsOursZeroOrAGroup) {
  const tests::Mac group = {0x03, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};
  for (const tests::Mac& mac : {tests::server_mac, tests::Mac{}, group}) {
    FrameSpec spec;
    spec.from = mac;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_mac));
  }
}

TEST(Unwrap, A08_IgnoresTheEthernetTrailerAndNeverEchoesIt) {
  for (const bool is_ipv6 : {false, true}) {
    for (const std::size_t trailer_bytes : {1U, 6U, 100U, 1400U}) {
      FrameSpec spec = spec_of(is_ipv6);
      spec.trailer.assign(trailer_bytes, 0xee);
      Octets frame = spec.build();
      const Envelope envelope = unwrap(frame);
      ASSERT_TRUE(envelope.is_request) << trailer_bytes;
      EXPECT_EQ(envelope.payload_bytes, 48);
      EXPECT_EQ(wrap(frame.data(), envelope, 48, SentChecksum::software), frame.size() - trailer_bytes);
    }
  }
}

TEST(Unwrap, A09_A11_DropsEveryIpv4FirstOctetButVersion4WithoutOptions) {
  for (int first = 0; first < 256; ++first) {
    Octets frame = FrameSpec{}.build();
    frame[14] = static_cast<std::uint8_t>(first);
    if (first == 0x45) {
      EXPECT_TRUE(unwrap(frame).is_request);
    } else {
      EXPECT_TRUE(Refused(unwrap(frame), FrameVerdict::drop_ipv4_header)) << first;
    }
  }
}

TEST(Unwrap, A10_DropsAnIpv4LengthThatDoesNotFit) {
  const auto with_length = [](int length) {
    FrameSpec spec;
    spec.ip_length = length;
    return unwrap(spec);
  };
  EXPECT_TRUE(Refused(with_length(0), FrameVerdict::drop_ipv4_header));
  EXPECT_TRUE(Refused(with_length(19), FrameVerdict::drop_ipv4_header));
  EXPECT_TRUE(Refused(with_length(20), FrameVerdict::drop_udp_length));
  EXPECT_TRUE(Refused(with_length(27), FrameVerdict::drop_udp_length));
  EXPECT_TRUE(Refused(with_length(28), FrameVerdict::drop_udp_length)) << "UDP says more";
  EXPECT_TRUE(Refused(with_length(75), FrameVerdict::drop_udp_length));
  EXPECT_TRUE(with_length(76).is_request);
  EXPECT_TRUE(Refused(with_length(77), FrameVerdict::drop_truncated));
  EXPECT_TRUE(Refused(with_length(65535), FrameVerdict::drop_truncated));
}

TEST(Unwrap, A12_DropsEveryOtherIpv4HeaderChecksum) {
  const Octets good = FrameSpec{}.build();
  for (std::size_t bit = 0; bit < 16; ++bit) {
    Octets frame = good;
    frame[24 + bit / 8U] = static_cast<std::uint8_t>(frame[24 + bit / 8U] ^ 1U << bit % 8);
    EXPECT_TRUE(Refused(unwrap(frame), FrameVerdict::drop_ipv4_checksum)) << bit;
    // What a device says of the UDP checksum does not excuse the header's.
    EXPECT_TRUE(Refused(unwrap(frame, ReceivedChecksum::good), FrameVerdict::drop_ipv4_checksum));
  }
}

TEST(Unwrap, A13_DropsEveryIpv4Fragment) {
  const std::array<std::uint16_t, 7> fragments = {0x2000, 0x2001, 0x0001, 0x1fff, 0x6000, 0x0008, 0x2005};
  for (const std::uint16_t fragment : fragments) {
    FrameSpec spec;
    spec.fragment = fragment;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_fragment)) << fragment;
  }
  for (const std::uint16_t whole : U16s{0x0000, 0x4000, 0x8000, 0xc000}) {
    FrameSpec spec;
    spec.fragment = whole;
    EXPECT_TRUE(unwrap(spec).is_request) << whole;
  }
}

TEST(Unwrap, A14_A24_DropsHopCountZeroOnly) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = spec_of(is_ipv6);
    for (const std::uint8_t hops : U8s{1, 2, 64, 255}) {
      spec.hops = hops;
      EXPECT_TRUE(unwrap(spec).is_request);
    }
    spec.hops = 0;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_ttl));
  }
}

TEST(Unwrap, A15_PassesEveryOtherIpv4ProtocolToTheKernel) {
  for (int protocol = 0; protocol < 256; ++protocol) {
    if (protocol == 17) continue;
    FrameSpec spec;
    spec.protocol = static_cast<std::uint8_t>(protocol);
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::pass_other)) << protocol;
  }
}

TEST(Unwrap, A16_DropsIpv4SourcesNobodyMayAnswer) {
  const std::array<tests::Ipv4, 13> refused = {{{0, 0, 0, 0},
                                                {0, 255, 255, 255},
                                                {127, 0, 0, 1},
                                                {127, 255, 255, 255},
                                                {224, 0, 0, 1},
                                                {239, 255, 255, 255},
                                                {240, 0, 0, 1},
                                                {255, 255, 255, 254},
                                                {255, 255, 255, 255},
                                                {192, 0, 2, 255},  // the subnet's broadcast
                                                {192, 0, 2, 0},    // the subnet's own
                                                tests::server_ipv4,
                                                {224, 0, 1, 1}}};
  for (const tests::Ipv4& source : refused) {
    FrameSpec spec;
    spec.source = source;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_source_address)) << int{source[0]};
  }
  const std::array<tests::Ipv4, 7> served = {{{1, 0, 0, 0},
                                              {126, 255, 255, 255},
                                              {128, 0, 0, 1},
                                              {223, 255, 255, 255},
                                              {192, 0, 2, 254},
                                              {192, 0, 3, 255},
                                              {169, 254, 1, 1}}};
  for (const tests::Ipv4& source : served) {
    FrameSpec spec;
    spec.source = source;
    EXPECT_TRUE(unwrap(spec).is_request) << int{source[0]};
  }
}

TEST(Unwrap, A16_KnowsBothEndsOfTheSubnetAtEveryPrefixLength) {
  const auto takes = [](std::uint8_t prefix_bits, const tests::Ipv4& source,
                        const tests::Ipv4& ours = {10, 1, 2, 5}) {
    const std::array<shm::Address, 1> addresses = {tests::address_of(ours, prefix_bits)};
    Local local;
    local.addresses.assign(addresses);
    return local.addresses.may_answer_ipv4(source.data());
  };
  EXPECT_FALSE(takes(8, {10, 255, 255, 255}));
  EXPECT_FALSE(takes(22, {10, 1, 3, 255}));
  EXPECT_TRUE(takes(22, {10, 1, 2, 255}));
  EXPECT_FALSE(takes(30, {10, 1, 2, 7}));
  EXPECT_FALSE(takes(8, {10, 0, 0, 0}));
  EXPECT_FALSE(takes(22, {10, 1, 0, 0}));
  EXPECT_TRUE(takes(22, {10, 1, 1, 0}));
  EXPECT_TRUE(takes(22, {10, 1, 4, 0}));
  EXPECT_FALSE(takes(30, {10, 1, 2, 4}));
  EXPECT_TRUE(takes(30, {10, 1, 2, 6}));
  EXPECT_TRUE(takes(32, {10, 1, 2, 4}));
  EXPECT_TRUE(takes(30, {10, 1, 2, 3}));
  EXPECT_TRUE(takes(31, {10, 1, 2, 4})) << "a /31 is two hosts (RFC 3021)";
  EXPECT_TRUE(takes(31, {10, 1, 2, 5}, {10, 1, 2, 4})) << "and so it is from the lower one's side";
  EXPECT_TRUE(takes(32, {10, 1, 2, 7}));
}

TEST(Unwrap, A17_PassesOtherDestinationsToTheKernel) {
  const std::array<tests::Ipv4, 4> destinations = {
      {{192, 0, 2, 2}, {192, 0, 2, 255}, {224, 0, 1, 1}, {255, 255, 255, 255}}};
  for (const tests::Ipv4& destination : destinations) {
    FrameSpec spec;
    spec.destination = destination;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::pass_other)) << int{destination[3]};
  }
  FrameSpec spec = spec_of(true);
  for (const std::size_t octet : {0U, 7U, 8U, 15U}) {
    spec.destination6 = tests::server_ipv6;
    spec.destination6[octet] ^= 1;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::pass_other)) << octet;
  }
}

TEST(Unwrap, A18_DropsAnIpv6HeaderThatDoesNotFit) {
  for (int version = 0; version < 16; ++version) {
    Octets frame = spec_of(true).build();
    frame[14] = static_cast<std::uint8_t>(version << 4 | 0xa);
    if (version == 6) {
      EXPECT_TRUE(unwrap(frame).is_request);
    } else {
      EXPECT_TRUE(Refused(unwrap(frame), FrameVerdict::drop_ipv6_header)) << version;
    }
  }
  const auto with_length = [](int length) {
    FrameSpec spec = spec_of(true);
    spec.ip_length = length;
    return unwrap(spec);
  };
  EXPECT_TRUE(Refused(with_length(0), FrameVerdict::drop_ipv6_header));
  EXPECT_TRUE(Refused(with_length(7), FrameVerdict::drop_udp_length));
  EXPECT_TRUE(Refused(with_length(8), FrameVerdict::drop_udp_length)) << "UDP says more";
  EXPECT_TRUE(Refused(with_length(55), FrameVerdict::drop_udp_length));
  EXPECT_TRUE(with_length(56).is_request);
  EXPECT_TRUE(Refused(with_length(57), FrameVerdict::drop_truncated));
  EXPECT_TRUE(Refused(with_length(65535), FrameVerdict::drop_truncated));
}

TEST(Unwrap, A19_A20_A21_DropsIpv6ExtensionsAndFragmentsAtTheFirstHeader) {
  const std::set<int> extensions = {0, 43, 50, 51, 59, 60, 135, 139, 140, 253, 254};
  for (int next = 0; next < 256; ++next) {
    if (next == 17) continue;
    FrameSpec spec = spec_of(true);
    spec.protocol = static_cast<std::uint8_t>(next);
    const FrameVerdict expected = next == 44                  ? FrameVerdict::drop_fragment
                                  : extensions.contains(next) ? FrameVerdict::drop_ipv6_extension
                                                              : FrameVerdict::pass_other;
    EXPECT_TRUE(Refused(unwrap(spec), expected)) << next;
  }
}

TEST(Unwrap, A23_DropsIpv6SourcesNobodyMayAnswer) {
  const std::array<tests::Ipv6, 8> refused = {{
      {},                                                         // ::
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},           // ::1
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9},         // ::192.0.2.9
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 9},   // ::ffff:192.0.2.9
      {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},     // multicast
      {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77},  // link-local asks a global address
      {0xfe, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77},
      tests::server_ipv6,
  }};
  for (const tests::Ipv6& source : refused) {
    FrameSpec spec = spec_of(true);
    spec.source6 = source;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_source_address))
        << int{source[0]} << int{source[15]};
  }
  FrameSpec spec = spec_of(true);
  spec.source6 = refused[5];
  spec.destination6 = server_link_local;
  EXPECT_TRUE(unwrap(spec).is_request) << "link-local to link-local is a way back";
  spec = spec_of(true);
  spec.source6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 192, 0, 2, 9};
  EXPECT_TRUE(unwrap(spec).is_request) << "only ::/96 and the mapped prefix are refused";
}

TEST(Unwrap, A25_DropsUdpLengthsThatDoNotFitAndIgnoresOctetsBeyondThem) {
  for (const bool is_ipv6 : {false, true}) {
    for (int length = 0; length < 60; ++length) {
      FrameSpec spec = spec_of(is_ipv6);
      spec.udp_length = length;
      spec.udp_checksum = 0;
      const Envelope envelope = unwrap(spec, ReceivedChecksum::good);
      if (length < 8 || length > 56) {
        EXPECT_TRUE(Refused(envelope, FrameVerdict::drop_udp_length)) << length;
      } else if (!is_ipv6) {
        ASSERT_TRUE(envelope.is_request) << length;
        EXPECT_EQ(envelope.payload_bytes, length - 8);
      }
    }
    FrameSpec spec = spec_of(is_ipv6);
    spec.udp_length = 65535;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_udp_length));
  }
}

TEST(Unwrap, A26_TakesChecksumZeroOverIpv4AndDropsItOverIpv6) {
  for (const ReceivedChecksum seen :
       {ReceivedChecksum::unknown, ReceivedChecksum::good, ReceivedChecksum::bad}) {
    FrameSpec spec;
    spec.udp_checksum = 0;
    EXPECT_TRUE(unwrap(spec, seen).is_request);
    spec.is_ipv6 = true;
    EXPECT_TRUE(Refused(unwrap(spec, seen), FrameVerdict::drop_udp_checksum));
  }
}

TEST(Unwrap, A27_ABadChecksumIsDroppedUnlessTheDeviceVouchesForIt) {
  for (const bool is_ipv6 : {false, true}) {
    const FrameSpec good = spec_of(is_ipv6);
    for (std::size_t at = good.udp_offset() + 6; at < good.udp_offset() + 56; ++at) {
      for (const int bit : {0, 7}) {
        Octets frame = good.build();
        frame[at] = static_cast<std::uint8_t>(frame[at] ^ 1U << bit);
        EXPECT_TRUE(Refused(unwrap(frame), FrameVerdict::drop_udp_checksum)) << at;
        EXPECT_TRUE(
            Refused(unwrap(frame, ReceivedChecksum::unknown_or_unfinished), FrameVerdict::drop_udp_checksum));
        EXPECT_TRUE(unwrap(frame, ReceivedChecksum::good).is_request);
      }
    }
    EXPECT_TRUE(Refused(unwrap(good, ReceivedChecksum::bad), FrameVerdict::drop_udp_checksum));
  }
}

TEST(Unwrap, A27_AnUnfinishedChecksumIsTakenOnlyWhereAKernelMayLeaveOne) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = spec_of(is_ipv6);
    Octets addresses;
    if (is_ipv6) {
      addresses.assign(spec.source6.begin(), spec.source6.end());
      addresses.insert(addresses.end(), spec.destination6.begin(), spec.destination6.end());
    } else {
      addresses.assign(spec.source.begin(), spec.source.end());
      addresses.insert(addresses.end(), spec.destination.begin(), spec.destination.end());
    }
    spec.udp_checksum = tests::rfc1071_sum(addresses, 17 + 56);  // as veth leaves it
    EXPECT_TRUE(unwrap(spec, ReceivedChecksum::unknown_or_unfinished).is_request);
    EXPECT_TRUE(Refused(unwrap(spec, ReceivedChecksum::unknown), FrameVerdict::drop_udp_checksum));
    EXPECT_TRUE(Refused(unwrap(spec, ReceivedChecksum::bad), FrameVerdict::drop_udp_checksum));
  }
}

TEST(Unwrap, A28_P46_DropsSourcePortZeroOnly) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = spec_of(is_ipv6);
    for (const std::uint16_t port : U16s{1, 123, 1023, 1024, 65535}) {
      spec.source_port = port;
      EXPECT_TRUE(unwrap(spec).is_request) << port;
    }
    spec.source_port = 0;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_source_port));
  }
}

TEST(Unwrap, A29_PassesEveryOtherPortToTheKernel) {
  for (const std::uint16_t port : U16s{0, 122, 124, 319, 320, 4460, 31488, 65535}) {
    FrameSpec spec;
    spec.destination_port = port;
    EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::pass_other)) << port;
  }
}

TEST(Unwrap, A31_DropsRequestsLongerThanAnyWeAnswer) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = spec_of(is_ipv6);
    spec.payload.assign(dataplane::request_bytes_max, 0x11);
    EXPECT_TRUE(unwrap(spec).is_request);
    for (const std::size_t bytes : {dataplane::request_bytes_max + 1U, 9000U, 65000U}) {
      spec.payload.assign(bytes, 0x11);
      EXPECT_TRUE(Refused(unwrap(spec), FrameVerdict::drop_too_long)) << bytes;
    }
  }
}

TEST(Unwrap, NothingIsServedBeforeThereAreAddresses) {
  const Local nowhere;
  Envelope envelope;
  dataplane::unwrap(FrameSpec{}.build(), nowhere, dataplane::MacAddress(tests::server_mac),
                    ReceivedChecksum::unknown, envelope);
  EXPECT_TRUE(Refused(envelope, FrameVerdict::pass_other));
}

TEST(Unwrap, J15_EveryOneBitChangeIsEitherTheRequestOrHasAReason) {
  for (const bool is_ipv6 : {false, true}) {
    const Octets good = spec_of(is_ipv6).build();
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      Octets frame = good;
      frame[bit / 8] = static_cast<std::uint8_t>(frame[bit / 8] ^ 1U << bit % 8);
      const Envelope envelope = unwrap(frame);
      if (envelope.is_request) {
        ASSERT_LE(envelope.payload_offset + envelope.payload_bytes, static_cast<int>(frame.size()));
      } else {
        ASSERT_LT(envelope.verdict, FrameVerdict::count);
      }
    }
  }
}

}  // namespace
