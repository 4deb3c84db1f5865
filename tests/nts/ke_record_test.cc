// Records on the wire, and where a message ends.
#include "nts/ke_record.h"

#include <gtest/gtest.h>

#include "nts/wire.h"

namespace {

using nts::ke::Message;
using nts::ke::RecordType;
using Octets = std::vector<std::uint8_t>;
using Numbers = std::vector<std::uint16_t>;

TEST(KeRecord, P02_TheLongestBodyThatARecordCanHoldIsWritten) {
  Octets octets;
  nts::ke::append_record(octets, static_cast<RecordType>(0x3000), false, Octets(65535, 7));
  ASSERT_EQ(octets.size(), 65539U);
  EXPECT_EQ(nts::load_u16(octets.data() + 2), 65535U);
}

TEST(KeRecord, P04_NumbersOfAnOddLengthAreNone) {
  Numbers numbers;
  EXPECT_FALSE(nts::ke::read_numbers(Octets{0}, numbers));
  EXPECT_FALSE(nts::ke::read_numbers(Octets{0, 1, 2}, numbers));
  EXPECT_TRUE(nts::ke::read_numbers(Octets{}, numbers) && numbers.empty());
  EXPECT_TRUE(nts::ke::read_numbers(Octets{0, 1, 2, 3}, numbers));
  EXPECT_EQ(numbers, (Numbers{1, 0x203}));
}

// The cap on a message, with the first octets of a header that no longer fits before it.
TEST(KeRecord, D08_AMessageIsTooLongWithItsFirstOctetBeyondTheCap) {
  Octets octets;
  nts::ke::append_record(octets, static_cast<RecordType>(0x3000), false,
                         Octets(nts::ke::message_bytes_max - 4 - 3, 0));
  octets.resize(nts::ke::message_bytes_max);
  Message message;
  EXPECT_EQ(message.append(octets), Message::State::incomplete);
  EXPECT_EQ(message.append(Octets{0}), Message::State::too_long);
}

}  // namespace
