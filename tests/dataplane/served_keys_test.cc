// The keys page as one core uses it: taken whole or not at all, and the copy wiped.
#include "dataplane/served_keys.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>

#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace {

using dataplane::ServedKeys;
using nts::ExpandedKeyRing;
using nts::KeyState;
using tests::make_ring;
using tests::RingEntry;

class ServedKeysTest : public testing::Test {
 protected:
  std::unique_ptr<shm::KeysPage> page_ = std::make_unique<shm::KeysPage>();
  ServedKeys keys_{tests::nettle_kernels()};
};

TEST_F(ServedKeysTest, G01_G04_ABrokenRingOrATornOneLeavesTheKeysThatWereThere) {
  EXPECT_FALSE(keys_.refresh(page_.get()));
  EXPECT_FALSE(keys_.ring().can_serve()) << "a reader that has none yet serves nothing";
  page_->ring.publish(make_ring({RingEntry{7, KeyState::current}}, 1));
  ASSERT_TRUE(keys_.refresh(page_.get()));
  ASSERT_FALSE(keys_.refresh(page_.get())) << "once";

  nts::KeyRing broken = make_ring({RingEntry{8, KeyState::current}}, 2);
  broken.slots[9] = broken.slots[8];
  page_->ring.publish(broken);
  EXPECT_FALSE(keys_.refresh(page_.get()));
  EXPECT_EQ(keys_.ring().current_id(), 7U);
  EXPECT_EQ(keys_.ring().generation(), 1U) << "and is not acknowledged";

  auto& generation = reinterpret_cast<std::atomic<std::uint64_t>&>(page_->ring);
  generation.store(generation.load() + 1);
  EXPECT_FALSE(keys_.refresh(page_.get()));
  EXPECT_EQ(keys_.ring().current_id(), 7U);

  page_->ring.publish(make_ring({RingEntry{7, KeyState::retired}, RingEntry{8, KeyState::current}}, 3));
  EXPECT_TRUE(keys_.refresh(page_.get()));
  EXPECT_EQ(keys_.ring().current_id(), 8U);
  EXPECT_EQ(keys_.ring().find(7).found, ExpandedKeyRing::Found::retired);
  EXPECT_FALSE(keys_.refresh(nullptr)) << "without a page the keys stay";
  EXPECT_TRUE(keys_.ring().can_serve());
}

TEST_F(ServedKeysTest, APageThatIsNotThereLeavesTheKeysThatWere) {
  EXPECT_FALSE(keys_.refresh(nullptr));
  page_->ring.publish(make_ring({RingEntry{7, KeyState::current}}, 1));
  ASSERT_TRUE(keys_.refresh(page_.get()));
  EXPECT_FALSE(keys_.refresh(nullptr));
  EXPECT_TRUE(keys_.ring().can_serve());
}

TEST_F(ServedKeysTest, NoCopyOfTheRingStaysBehindInTheObject) {
  page_->ring.publish(make_ring({RingEntry{7, KeyState::current}}, 1));
  ASSERT_TRUE(keys_.refresh(page_.get()));
  const auto* octets = reinterpret_cast<const std::uint8_t*>(&keys_);
  const tests::SessionKey key = tests::ring_key_of(7);
  EXPECT_EQ(std::search(octets, octets + sizeof keys_, key.begin(), key.begin() + 8), octets + sizeof keys_);
}

}  // namespace
