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

// What is below the frame of the caller: octets of the key there, eight in a row.
[[gnu::noinline]] bool is_left_on_stack(const tests::SessionKey& key) {
  const auto* end = static_cast<const volatile std::uint8_t*>(__builtin_frame_address(0)) - 512;
  for (const volatile std::uint8_t* at = end - 32 * 1024; at != end; ++at) {
    std::size_t same = 0;
    while (same < 8 && at[same] == key[same]) ++same;
    if (same == 8) return true;
  }
  return false;
}
// Deep enough that looking does not overwrite what was left.
template <class Call>
[[gnu::noinline]] void far_down(const Call& call) {
  volatile std::uint8_t room[4096];
  room[0] = 0;
  call();
  room[sizeof room - 1] = 0;
}

// Whether the ring is taken, holds nothing new, or is refused.
TEST_F(ServedKeysTest, G11_NoCopyOfTheRingStaysBehindOnTheStack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has its own frames, and watches what is read below them";
#endif
  nts::KeyRing ring = make_ring({RingEntry{7, KeyState::current}}, 1);
  const tests::SessionKey key = tests::ring_key_of(7);
  far_down([&] { page_->ring.publish(ring); });
  for (const bool is_taken : {true, true, false}) {
    bool is_changed = !is_taken;
    far_down([&] { is_changed = keys_.refresh(page_.get()); });
    EXPECT_FALSE(is_left_on_stack(key));
    EXPECT_EQ(is_changed, is_taken);
    if (ring.generation == 2) ring.slots[9] = ring.slots[7];  // two keys of one id: broken
    ++ring.generation;
    page_->ring.publish(ring);
  }
  far_down([&] {
    volatile std::uint8_t left[32];
    static_assert(sizeof left == sizeof key);
    for (std::size_t i = 0; i < sizeof left; ++i) left[i] = key[i];
  });
  EXPECT_TRUE(is_left_on_stack(key)) << "one that is left would not be found";
}

}  // namespace
