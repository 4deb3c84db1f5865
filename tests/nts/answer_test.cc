// The plan and the header of an answer, at bounds that no request of ours leads to but nothing may depend on.
#include "nts/answer.h"

#include <gtest/gtest.h>

#include "nts/header_template.h"
#include "tests/support/packet_builder.h"

namespace {

using tests::Octets;

// Whatever the request wanted: as many cookies as fit, and one more only with room for all of it.
TEST(PlanNtsAnswer, P48_C19_NeverPromisesMoreThanTheRequestHadOctets) {
  for (const nts::Aead& aead : nts::aeads) {
    const std::uint32_t field = 4 + 36 + 2 * aead.key_bytes;
    for (const std::uint16_t identifier : {std::uint16_t{36}, std::uint16_t{68}, std::uint16_t{1004}}) {
      for (std::uint8_t wanted = 1; wanted <= nts::cookies_max; ++wanted) {
        nts::Request request;
        request.cookie_bytes = static_cast<std::uint16_t>(field - 4);
        request.unique_identifier_bytes = request.answer_clear_bytes = identifier;
        request.cookies_wanted = wanted;
        const std::uint32_t fixed = 48U + identifier + 4 + 4 + aead.nonce_bytes + 16;
        for (std::uint32_t bytes = 48; bytes <= 2200; ++bytes) {
          const nts::NtsAnswer answer = nts::plan_nts_answer(request, bytes);
          const std::uint32_t room = bytes < fixed ? 0 : (bytes - fixed) / field;
          const std::uint32_t expected = std::min<std::uint32_t>(wanted, room);
          ASSERT_EQ(answer.cookies, expected) << bytes;
          ASSERT_EQ(answer.bytes, expected == 0 ? 0 : fixed + expected * field) << bytes;
          ASSERT_LE(answer.bytes, bytes);
        }
      }
    }
  }
}

TEST(WriteHeader, P42_AStratumOf16OrMoreIsZeroOnTheWire) {
  for (int stratum = 0; stratum < 256; ++stratum) {
    Octets packet = tests::plain_request();
    nts::ClockReading clock;
    clock.leap = 0;
    clock.stratum = static_cast<std::uint8_t>(stratum);
    nts::write_header(packet.data(), 4, {1}, clock);
    EXPECT_EQ(packet[1], stratum < 16 ? stratum : 0);
  }
}

// The template of a burst against the function that it stands for: every poll interval, both versions, a time
// of receipt that is not the template's, a clock that was corrected after it.
TEST(HeaderTemplate, WritesWhatWriteHeaderWrites) {
  nts::ClockReading clock;
  clock.root_delay = 0x01020304;
  clock.root_dispersion = 0x05060708;
  clock.reference_id = 0x47505300;
  for (std::uint8_t leap = 0; leap < 4; ++leap) {
    for (const nts::NtpTime reference : {nts::NtpTime{7}, nts::NtpTime{0xee000000'12345678}}) {
      clock.leap = leap;
      clock.stratum = static_cast<std::uint8_t>(1 + leap);
      clock.reference = reference;
      const nts::NtpTime received{0xee000000'00000001};
      const nts::HeaderTemplate usual(4, received, clock);
      for (const nts::NtpTime own : {received, nts::NtpTime{received.units + 5}}) {
        for (std::uint8_t version = 3; version <= 4; ++version) {
          for (int poll = 0; poll < 256; ++poll) {
            Octets expected = tests::plain_request();
            for (std::size_t i = 0; i < expected.size(); ++i)
              expected[i] = static_cast<std::uint8_t>(i * 29 + 3);
            expected[2] = static_cast<std::uint8_t>(poll);
            Octets packet = expected;
            nts::write_header(expected.data(), version, own, clock);
            usual.write(packet.data(), version, own, clock);
            ASSERT_EQ(packet, expected) << poll;
          }
        }
      }
    }
  }
}

}  // namespace
