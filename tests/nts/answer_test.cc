// The plan and the header of an answer, at bounds that no request of ours leads to but nothing may depend on.
#include "nts/answer.h"

#include <gtest/gtest.h>

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

}  // namespace
