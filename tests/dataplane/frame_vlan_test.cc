// Rows A04 and A05 of the test catalogue: which VLAN tags are served, and that they come back as they came.
#include <algorithm>
#include <initializer_list>
#include <vector>

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
using tests::serving;
using tests::spec_of;
using tests::unwrap;
using U16s = std::initializer_list<std::uint16_t>;

TEST(Unwrap, A04_A05_ServesOneTagOfAnyVlanAndPriority) {
  for (const std::uint16_t tag : U16s{0x0000, 0x0001, 0x0fff, 0xe000, 0x3064}) {
    for (const bool is_ipv6 : {false, true}) {
      FrameSpec spec = spec_of(is_ipv6);
      spec.tags = {tag};
      Octets frame = spec.build();
      const Envelope envelope = unwrap(frame);
      ASSERT_TRUE(envelope.is_request) << tag;
      const std::uint16_t bytes = wrap(frame.data(), envelope, 48, SentChecksum::software);
      EXPECT_EQ(frame[12] << 8 | frame[13], 0x8100);
      EXPECT_EQ(frame[14] << 8 | frame[15], tag) << "the answer goes back under the same tag";
      EXPECT_TRUE(tests::is_sound(std::span(frame).first(bytes), 18));
    }
  }
}

// The tags of a request, and whether it is served.
struct Tagging {
  const char* name;
  std::vector<std::uint16_t> types;
  bool is_served;
};
const std::vector<Tagging> taggings = {{"802.1ad", {0x88a8}, true},
                                       {"802.1Q inside 802.1ad", {0x88a8, 0x8100}, true},
                                       {"802.1Q twice", {0x8100, 0x8100}, false},
                                       {"802.1ad inside 802.1Q", {0x8100, 0x88a8}, false},
                                       {"802.1ad twice", {0x88a8, 0x88a8}, false},
                                       {"three", {0x88a8, 0x8100, 0x8100}, false},
                                       {"three of 802.1Q", {0x8100, 0x8100, 0x8100}, false},
                                       {"an old type, 0x9100", {0x9100, 0x8100}, false}};

FrameSpec tagged(const Tagging& tagging, bool is_ipv6) {
  FrameSpec spec = spec_of(is_ipv6);
  spec.tag_types = tagging.types;
  for (std::size_t i = 0; i < tagging.types.size(); ++i) {
    spec.tags.push_back(static_cast<std::uint16_t>(0x2007 + i));
  }
  return spec;
}

TEST(Unwrap, A05_AnswersBehindTheSameTagsInTheSameOrderAndDropsOtherStacks) {
  for (const Tagging& tagging : taggings) {
    for (const bool is_ipv6 : {false, true}) {
      const FrameSpec spec = tagged(tagging, is_ipv6);
      Octets frame = spec.build();
      const Envelope envelope = unwrap(frame);
      ASSERT_EQ(envelope.is_request, tagging.is_served) << tagging.name;
      if (!tagging.is_served) {
        EXPECT_EQ(envelope.verdict,
                  tagging.types[0] == 0x9100 ? FrameVerdict::pass_other : FrameVerdict::drop_vlan)
            << tagging.name;
        continue;
      }
      const Octets before = frame;
      const std::uint16_t bytes = wrap(frame.data(), envelope, 48, SentChecksum::software);
      EXPECT_TRUE(std::equal(before.begin() + 12,
                             before.begin() + static_cast<std::ptrdiff_t>(spec.ip_offset()),
                             frame.begin() + 12))
          << tagging.name;
      EXPECT_TRUE(tests::is_sound(std::span(frame).first(bytes), spec.ip_offset())) << tagging.name;
    }
  }
}

TEST(Unwrap, A05_DropsATagCutShortAtEveryOctet) {
  for (const std::vector<std::uint16_t>& types :
       std::vector<std::vector<std::uint16_t>>{{0x8100}, {0x88a8}, {0x88a8, 0x8100}}) {
    FrameSpec spec;
    spec.tag_types = types;
    spec.tags.assign(types.size(), 7);
    const Octets frame = spec.build();
    for (std::size_t bytes = 14; bytes < spec.ip_offset(); ++bytes) {
      const Octets cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_TRUE(Refused(unwrap(cut), FrameVerdict::drop_vlan)) << types.size() << ' ' << bytes;
    }
  }
}

// What becomes of a request behind these tags when these VLANs are served.
Envelope unwrap_serving(const std::vector<std::uint16_t>& served, const std::vector<std::uint16_t>& tags,
                        bool is_ipv6 = false) {
  Local local = serving();
  local.vlans.assign(served);
  FrameSpec spec = spec_of(is_ipv6);
  spec.tags = tags;
  if (tags.size() > 1) spec.tag_types = {0x88a8};
  Envelope envelope;
  dataplane::unwrap(spec.build(), local, dataplane::MacAddress(tests::server_mac), ReceivedChecksum::unknown,
                    envelope);
  return envelope;
}

TEST(Unwrap, A04_AnswersOnTheVlansOfTheListAndOnNoOther) {
  for (const bool is_ipv6 : {false, true}) {
    EXPECT_TRUE(unwrap_serving({7, 4094}, {0x2007}, is_ipv6).is_request)
        << "the priority is no part of the id";
    EXPECT_TRUE(unwrap_serving({7, 4094}, {0x0ffe}, is_ipv6).is_request);
    for (const std::uint16_t id : U16s{1, 6, 8, 71, 4093, 4095}) {
      EXPECT_TRUE(Refused(unwrap_serving({7, 4094}, {id}, is_ipv6), FrameVerdict::drop_vlan)) << id;
    }
  }
}

TEST(Unwrap, A04_A05_IdZeroStandsForFramesWithoutATagAndWithAPriorityOnly) {
  for (const bool is_ipv6 : {false, true}) {
    EXPECT_TRUE(Refused(unwrap_serving({7}, {}, is_ipv6), FrameVerdict::drop_vlan));
    EXPECT_TRUE(Refused(unwrap_serving({7}, {0xe000}, is_ipv6), FrameVerdict::drop_vlan));
    EXPECT_TRUE(unwrap_serving({0}, {}, is_ipv6).is_request);
    EXPECT_TRUE(unwrap_serving({0}, {0xe000}, is_ipv6).is_request);
    EXPECT_TRUE(Refused(unwrap_serving({0}, {7}, is_ipv6), FrameVerdict::drop_vlan));
  }
}

TEST(Unwrap, A05_BehindTwoTagsBothIdsAreOfTheList) {
  EXPECT_TRUE(unwrap_serving({7, 9}, {9, 7}).is_request);
  EXPECT_TRUE(Refused(unwrap_serving({7}, {9, 7}), FrameVerdict::drop_vlan));
  EXPECT_TRUE(Refused(unwrap_serving({9}, {9, 7}), FrameVerdict::drop_vlan));
}

TEST(Unwrap, A04_WhatIsNotForUsIsNoBusinessOfTheVlans) {
  Local local = serving();
  local.vlans.assign(U16s{7});
  FrameSpec spec;
  spec.destination = {192, 0, 2, 9};
  Envelope envelope;
  dataplane::unwrap(spec.build(), local, dataplane::MacAddress(tests::server_mac), ReceivedChecksum::unknown,
                    envelope);
  EXPECT_TRUE(Refused(envelope, FrameVerdict::pass_other));
}

}  // namespace
