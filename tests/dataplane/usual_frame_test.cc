// The short way for usual frames against the careful one, which reads and writes all frames: whatever the
// first takes the second takes too, and makes the same of it.
#include "dataplane/usual_frame.h"

#include "tests/dataplane/unwrapped.h"

namespace {

using dataplane::Envelope;
using dataplane::MacAddress;
using dataplane::ReceivedChecksum;
using dataplane::SentChecksum;
using tests::FrameSpec;
using tests::Octets;

constexpr ReceivedChecksum all_known[] = {ReceivedChecksum::unknown, ReceivedChecksum::unknown_or_unfinished,
                                          ReceivedChecksum::good, ReceivedChecksum::bad};

// True when the short way takes the frame. Fails where the careful way disagrees.
bool is_taken(const Octets& frame, ReceivedChecksum checksum) {
  static const dataplane::Local local = tests::serving();
  const Octets exact(frame.begin(), frame.end());  // on the heap: AddressSanitizer sees any read beyond it
  const MacAddress mac(tests::server_mac);
  Envelope taken;
  Envelope careful;
  const bool is_taken = dataplane::unwrap_usual(exact, local, mac, checksum, taken);
  if (!is_taken) return false;
  dataplane::unwrap_carefully(exact, local, mac, checksum, careful);
  EXPECT_TRUE(taken.is_request && careful.is_request);
  EXPECT_EQ(taken.payload_offset, careful.payload_offset);
  EXPECT_EQ(taken.payload_bytes, careful.payload_bytes);
  EXPECT_EQ(taken.ip_offset, careful.ip_offset);
  EXPECT_EQ(taken.is_ipv6, careful.is_ipv6);
  return true;
}

// As FrameSpec would have written them over the octets that stand there now.
void mend_checksums(Octets& frame) {
  const auto put = [&](std::size_t at, std::uint16_t sum) {
    const auto checksum = static_cast<std::uint16_t>(~sum);
    frame[at] = static_cast<std::uint8_t>(checksum >> 8);
    frame[at + 1] = static_cast<std::uint8_t>(checksum);
  };
  const std::span<const std::uint8_t> octets(frame);
  put(24, 0xffff);
  put(24, tests::rfc1071_sum(octets.subspan(14, 20)));
  const std::uint32_t length = frame[38] * 256U + frame[39];
  const std::size_t covered = std::min<std::size_t>(length, frame.size() - 34);
  put(40, 0xffff);
  put(40, tests::rfc1071_sum(octets.subspan(34, covered),
                             tests::rfc1071_sum(octets.subspan(26, 8)) + 17 + length));
}

TEST(UsualFrame, IsTakenAtEveryLengthOfItsPayload) {
  for (std::size_t bytes = 0; bytes <= dataplane::request_bytes_max; ++bytes) {
    FrameSpec spec;
    spec.payload.resize(bytes, 0xa5);
    EXPECT_TRUE(is_taken(spec.build(), ReceivedChecksum::unknown)) << bytes;
  }
  FrameSpec padded;
  padded.trailer = Octets(7, 1);
  EXPECT_TRUE(is_taken(padded.build(), ReceivedChecksum::unknown));
}

TEST(UsualFrame, IsLeftToTheCarefulWayWhenItIsOfAnotherKind) {
  FrameSpec spec;
  spec.is_ipv6 = true;
  EXPECT_FALSE(is_taken(spec.build(), ReceivedChecksum::unknown));
  spec = {};
  spec.tags = {5};
  EXPECT_FALSE(is_taken(spec.build(), ReceivedChecksum::unknown));
  spec = {};
  spec.udp_checksum = 0;
  EXPECT_FALSE(is_taken(spec.build(), ReceivedChecksum::unknown));
  EXPECT_FALSE(is_taken(FrameSpec{}.build(), ReceivedChecksum::bad));
}

// Every value of every octet of the headers, with the checksums as they were and with right ones.
TEST(UsualFrame, IsNeverTakenWhereTheCarefulWayRefuses) {
  const Octets whole = FrameSpec{}.build();
  std::size_t taken = 0;
  for (std::size_t at = 0; at < 44; ++at) {
    for (int value = 0; value < 256; ++value) {
      for (const bool is_mended : {false, true}) {
        Octets frame = whole;
        frame[at] = static_cast<std::uint8_t>(value);
        if (is_mended) mend_checksums(frame);
        SCOPED_TRACE(::testing::Message()
                     << "octet " << at << " is " << value << (is_mended ? ", mended" : ""));
        for (const ReceivedChecksum checksum : all_known) taken += is_taken(frame, checksum);
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
  EXPECT_GT(taken, 1000U) << "the addresses and ports that may vary";
}

// Lengths of the two headers against each other and against the frame's.
TEST(UsualFrame, ItsLengthsAgreeOrItIsNotTaken) {
  for (int ip_length = 0; ip_length < 100; ++ip_length) {
    for (int udp_length = 0; udp_length < 80; ++udp_length) {
      FrameSpec spec;
      spec.payload.resize(20);
      spec.ip_length = ip_length;
      spec.udp_length = udp_length;
      Octets frame = spec.build();
      mend_checksums(frame);
      const bool agree = udp_length >= 8 && udp_length <= 28 && ip_length == udp_length + 20;
      EXPECT_EQ(is_taken(frame, ReceivedChecksum::unknown), agree) << ip_length << " " << udp_length;
      EXPECT_EQ(is_taken(frame, ReceivedChecksum::good), agree) << ip_length << " " << udp_length;
    }
  }
}

TEST(UsualFrame, NoPrefixIsTaken) {
  const Octets whole = FrameSpec{}.build();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_FALSE(is_taken(cut, ReceivedChecksum::good)) << bytes;
  }
}

TEST(UsualFrame, ItsAnswerIsTheCarefulWaysOctetForOctet) {
  for (std::size_t bytes = 0; bytes <= 300; ++bytes) {
    for (const std::size_t answer : {std::size_t{0}, bytes / 2, bytes}) {
      FrameSpec spec;
      spec.payload.resize(bytes);
      for (std::size_t i = 0; i < bytes; ++i) spec.payload[i] = static_cast<std::uint8_t>(i * 37 + answer);
      Octets careful = spec.build();
      Octets usual = careful;
      const Envelope envelope = tests::unwrap(careful);
      ASSERT_TRUE(envelope.is_request && dataplane::is_usual(envelope));
      const auto answer_bytes = static_cast<std::uint16_t>(answer);
      const std::uint16_t sent = wrap(careful.data(), envelope, answer_bytes, SentChecksum::software);
      EXPECT_EQ(dataplane::wrap_usual(usual.data(), envelope, answer_bytes), sent);
      EXPECT_EQ(usual, careful) << bytes << " " << answer;
      EXPECT_TRUE(tests::is_sound(std::span(usual).first(sent)));
    }
  }
}

// Tries every value of one word: one of them makes the sum come out as zero.
TEST(UsualFrame, ItsAnswerNeverHasChecksumZero) {
  bool has_seen_all_ones = false;
  for (int word = 0; word < 65536; ++word) {
    FrameSpec spec;
    spec.payload[0] = static_cast<std::uint8_t>(word >> 8);
    spec.payload[1] = static_cast<std::uint8_t>(word);
    Octets frame = spec.build();
    const Envelope envelope = tests::unwrap(frame);
    ASSERT_TRUE(envelope.is_request);
    static_cast<void>(dataplane::wrap_usual(frame.data(), envelope, 48));
    ASSERT_FALSE(frame[40] == 0 && frame[41] == 0) << word;
    has_seen_all_ones = has_seen_all_ones || (frame[40] == 0xff && frame[41] == 0xff);
  }
  EXPECT_TRUE(has_seen_all_ones);
}

}  // namespace
