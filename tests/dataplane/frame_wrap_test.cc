// From a request's frame to its answer's: addresses, lengths, checksums, and never more than there was.
#include <algorithm>

#include "tests/dataplane/unwrapped.h"

namespace {

using dataplane::Envelope;
using dataplane::SentChecksum;
using tests::FrameSpec;
using tests::Octets;
using tests::spec_of;
using tests::unwrap;

TEST(Wrap, SwapsEveryAddressAndWritesFreshHeadersWithRightChecksums) {
  for (const bool is_ipv6 : {false, true}) {
    for (std::size_t request_bytes = 48; request_bytes < 300; request_bytes += 7) {
      for (const std::size_t answer_bytes : {std::size_t{48}, request_bytes - 1, request_bytes}) {
        if (answer_bytes > request_bytes || answer_bytes < 48) continue;
        FrameSpec spec = spec_of(is_ipv6);
        spec.payload.resize(request_bytes);
        for (std::size_t i = 0; i < request_bytes; ++i)
          spec.payload[i] = static_cast<std::uint8_t>(i * 37 + 11);
        Octets frame = spec.build();
        const Envelope envelope = unwrap(frame);
        ASSERT_TRUE(envelope.is_request);
        const std::uint16_t bytes =
            wrap(frame.data(), envelope, static_cast<std::uint16_t>(answer_bytes), SentChecksum::software);
        ASSERT_EQ(bytes, spec.udp_offset() + 8 + answer_bytes);
        const auto sent = std::span(frame).first(bytes);
        EXPECT_TRUE(tests::is_sound(sent));
        EXPECT_TRUE(std::equal(tests::client_mac.begin(), tests::client_mac.end(), sent.begin()));
        EXPECT_TRUE(std::equal(tests::server_mac.begin(), tests::server_mac.end(), sent.begin() + 6));
        if (is_ipv6) {
          EXPECT_TRUE(std::equal(tests::server_ipv6.begin(), tests::server_ipv6.end(), sent.begin() + 22));
          EXPECT_TRUE(std::equal(tests::client_ipv6.begin(), tests::client_ipv6.end(), sent.begin() + 38));
          EXPECT_EQ(sent[14] << 24 | sent[15] << 16 | sent[16] << 8 | sent[17], 0x60000000);
          EXPECT_EQ(sent[21], 64);
        } else {
          EXPECT_TRUE(std::equal(tests::server_ipv4.begin(), tests::server_ipv4.end(), sent.begin() + 26));
          EXPECT_TRUE(std::equal(tests::client_ipv4.begin(), tests::client_ipv4.end(), sent.begin() + 30));
          EXPECT_EQ(sent[15], 0) << "the request's traffic class does not come back";
          EXPECT_EQ(sent[22], 64);
        }
        const std::size_t udp = spec.udp_offset();
        EXPECT_EQ(sent[udp] << 8 | sent[udp + 1], 123);
        EXPECT_EQ(sent[udp + 2] << 8 | sent[udp + 3], tests::client_port);
        // The payload is the core's: wrap touches none of it.
        EXPECT_TRUE(std::equal(sent.begin() + static_cast<std::ptrdiff_t>(udp + 8), sent.end(),
                               spec.payload.begin()));
      }
    }
  }
}

TEST(Wrap, NeverWritesChecksumZero) {
  // Tries every value of one word: one of them makes the sum come out as zero.
  bool has_seen_all_ones = false;
  for (int word = 0; word < 65536; ++word) {
    FrameSpec spec;
    spec.payload[46] = static_cast<std::uint8_t>(word >> 8);
    spec.payload[47] = static_cast<std::uint8_t>(word);
    spec.udp_checksum = 0;
    Octets frame = spec.build();
    const Envelope envelope = unwrap(frame);
    ASSERT_TRUE(envelope.is_request);
    static_cast<void>(wrap(frame.data(), envelope, 48, SentChecksum::software));
    const int checksum = frame[40] << 8 | frame[41];
    ASSERT_NE(checksum, 0);
    has_seen_all_ones |= checksum == 0xffff;
  }
  EXPECT_TRUE(has_seen_all_ones);
}

TEST(Wrap, LeavesThePseudoHeadersSumToAnOffloadingDevice) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = spec_of(is_ipv6);
    Octets frame = spec.build();
    const Envelope envelope = unwrap(frame);
    const std::uint16_t bytes = wrap(frame.data(), envelope, 48, SentChecksum::offload);
    const std::size_t udp = spec.udp_offset();
    // The device adds up the datagram with what stands in the field, and complements.
    const std::uint16_t sum = tests::rfc1071_sum(std::span(frame).subspan(udp, bytes - udp));
    frame[udp + 6] = static_cast<std::uint8_t>(~sum >> 8);
    frame[udp + 7] = static_cast<std::uint8_t>(~sum);
    EXPECT_TRUE(tests::is_sound(std::span(frame).first(bytes)));
  }
}

TEST(Wrap, B04_AnAnswerFedBackIsNeverARequest) {
  for (const bool is_ipv6 : {false, true}) {
    FrameSpec spec = spec_of(is_ipv6);
    Octets frame = spec.build();
    const std::uint16_t bytes = wrap(frame.data(), unwrap(frame), 48, SentChecksum::software);
    frame.resize(bytes);
    EXPECT_FALSE(unwrap(frame).is_request);
  }
}

TEST(DeathOfWrap, StopsTheProcessRatherThanAnswerWithMoreThanTheRequestHad) {
  Octets frame = FrameSpec{}.build();
  const Envelope envelope = unwrap(frame);
  EXPECT_DEATH(static_cast<void>(wrap(frame.data(), envelope, 49, SentChecksum::software)), "");
}

}  // namespace
