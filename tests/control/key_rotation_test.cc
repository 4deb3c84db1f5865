// The life of cookie keys as rules on a value.

#include "control/key_rotation.h"

#include <algorithm>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "control/messages.h"

namespace control {
namespace {

using nts::KeyState;
using testing::HasSubstr;

constexpr std::uint32_t retention_s = 1000;

const nts::RingKey& key(const StoredRing& stored, std::uint32_t id) { return stored.ring.slot_of(id); }

StoredRing first_ring(std::uint64_t epoch_s = 0) {
  StoredRing stored{};
  make_first_ring(stored, {epoch_s, 1'700'000'000}, 1);
  return stored;
}

void rotate(StoredRing& stored, std::uint64_t epoch_s) {
  ASSERT_EQ(add_pending_key(stored, {epoch_s, 0}, retention_s), "");
  take_over(stored, {epoch_s, 0});
  ASSERT_TRUE(nts::is_valid(stored.ring));
}

TEST(KeyRotation, TheFirstRingHasOneRandomCurrentKey) {
  std::set<std::uint32_t> ids;
  std::set<std::array<std::uint8_t, nts::siv::key_bytes>> octets;
  for (int i = 0; i < 16; ++i) {
    StoredRing stored{};
    stored.ring.slots.fill({9, KeyState::accepting, 1, {1}});  // of a ring that was refused
    make_first_ring(stored, {0, 1'700'000'000}, 7);
    ASSERT_TRUE(nts::is_valid(stored.ring));
    EXPECT_EQ(fault_of_ring(stored.ring), "");
    EXPECT_EQ(stored.ring.generation, 7U);
    const nts::RingKey& current = key(stored, stored.ring.current_id);
    EXPECT_EQ(current.state, KeyState::current);
    EXPECT_EQ(current.created_s, 1'700'000'000U);
    EXPECT_EQ(pending_key_id(stored.ring), 0U);
    EXPECT_EQ(std::count_if(stored.ring.slots.begin(), stored.ring.slots.end(),
                            [](const nts::RingKey& slot) { return slot.state != KeyState::empty; }),
              1);
    ids.insert(current.id);
    octets.insert(current.key);
  }
  EXPECT_GE(ids.size(), 14U) << "16 of 2^24";
  EXPECT_EQ(octets.size(), 16U);
}

TEST(KeyRotation, C09_ANewKeyIsAcceptingBeforeItIsCurrent) {
  StoredRing stored = first_ring();
  const std::uint32_t old_id = stored.ring.current_id;
  ASSERT_EQ(add_pending_key(stored, {10, 1'700'000'001}, retention_s), "");
  EXPECT_EQ(stored.ring.generation, 2U);
  EXPECT_EQ(stored.ring.current_id, old_id);
  const std::uint32_t new_id = pending_key_id(stored.ring);
  EXPECT_EQ(new_id, old_id + 1);
  EXPECT_EQ(key(stored, new_id).state, KeyState::accepting);
  EXPECT_EQ(key(stored, new_id).created_s, 1'700'000'001U);
  EXPECT_NE(key(stored, new_id).key, key(stored, old_id).key);
  EXPECT_TRUE(nts::is_valid(stored.ring));

  const StoredRing before = stored;
  EXPECT_THAT(add_pending_key(stored, {11, 0}, retention_s), HasSubstr("still waits"));
  EXPECT_EQ(std::memcmp(&before, &stored, sizeof stored), 0) << "a refusal changes nothing";

  take_over(stored, {20, 0});
  EXPECT_EQ(stored.ring.generation, 3U);
  EXPECT_EQ(stored.ring.current_id, new_id);
  EXPECT_EQ(key(stored, new_id).state, KeyState::current);
  EXPECT_EQ(key(stored, old_id).state, KeyState::accepting);
  EXPECT_EQ(pending_key_id(stored.ring), 0U);
  EXPECT_TRUE(nts::is_valid(stored.ring));
}

TEST(KeyRotation, AKeyThatWaitsIsNotRetiredHoweverLong) {
  StoredRing stored = first_ring();
  ASSERT_EQ(add_pending_key(stored, {0, 0}, retention_s), "");
  EXPECT_FALSE(has_key_to_retire(stored, 1'000'000'000, retention_s));
}

TEST(KeyRotation, H10_AKeyIsRetiredAtItsRetentionAndNotASecondEarlier) {
  StoredRing stored = first_ring();
  const std::uint32_t old_id = stored.ring.current_id;
  EXPECT_FALSE(has_key_to_retire(stored, 1'000'000, retention_s)) << "the current key never retires";
  rotate(stored, 500);
  EXPECT_FALSE(has_key_to_retire(stored, 500 + retention_s - 1, retention_s));
  EXPECT_FALSE(has_key_to_retire(stored, 0, retention_s)) << "an epoch that went back makes nothing old";
  ASSERT_TRUE(has_key_to_retire(stored, 500 + retention_s, retention_s));
  retire_old_keys(stored, 500 + retention_s, retention_s);
  EXPECT_EQ(stored.ring.generation, 4U);
  EXPECT_EQ(key(stored, old_id).state, KeyState::retired);
  EXPECT_EQ(key(stored, old_id).id, old_id) << "remembered";
  EXPECT_EQ(key(stored, old_id).key, (std::array<std::uint8_t, nts::siv::key_bytes>{})) << "erased";
  EXPECT_FALSE(has_key_to_retire(stored, 500 + retention_s, retention_s));
  EXPECT_TRUE(nts::is_valid(stored.ring));
}

TEST(KeyRotation, ASupersededKeyOfAMachineAtEpochZeroRetiresToo) {
  StoredRing stored = first_ring();
  rotate(stored, 0);
  EXPECT_TRUE(has_key_to_retire(stored, 1 + retention_s, retention_s));
}

TEST(KeyRotation, IdsRiseByOneThroughAllSlotsAndAround) {
  StoredRing stored = first_ring();
  const std::uint32_t first_id = stored.ring.current_id;
  for (std::uint32_t i = 1; i <= 3 * nts::ring_keys_max; ++i) {
    rotate(stored, std::uint64_t{i} * 10);  // 128 rotations of 10 s are longer than the retention
    ASSERT_EQ(stored.ring.current_id, first_id + i);
    ASSERT_EQ(fault_of_ring(stored.ring), "");
  }
  std::set<std::uint32_t> ids;
  for (const nts::RingKey& slot : stored.ring.slots) ids.insert(slot.id);
  EXPECT_EQ(ids.size(), nts::ring_keys_max);
  EXPECT_EQ(*ids.begin(), first_id + 2 * nts::ring_keys_max + 1) << "exactly the oldest was pushed out";
}

TEST(KeyRotation, AKeyYoungerThanTheRetentionIsNotPushedOut) {
  StoredRing stored = first_ring();
  const std::uint32_t first_id = stored.ring.current_id;
  for (std::uint32_t i = 1; i < nts::ring_keys_max; ++i) rotate(stored, i);  // the first was superseded at 1
  const StoredRing before = stored;
  EXPECT_THAT(add_pending_key(stored, {retention_s, 0}, retention_s),
              HasSubstr("key " + std::to_string(first_id) + " would be pushed out"));
  EXPECT_EQ(std::memcmp(&before, &stored, sizeof stored), 0);
  EXPECT_LT(add_pending_key(stored, {retention_s, 0}, retention_s).size(), sizeof RotateReply::text);
  EXPECT_EQ(add_pending_key(stored, {1 + retention_s, 0}, retention_s), "")
      << "a second later it is old enough";
}

TEST(KeyRotation, ARetiredKeyMayBePushedOutAtAnyTime) {
  StoredRing stored = first_ring();
  for (std::uint32_t i = 1; i < nts::ring_keys_max; ++i) rotate(stored, i);
  retire_old_keys(stored, 1 + retention_s, retention_s);
  EXPECT_EQ(add_pending_key(stored, {1, 0}, retention_s), "");
}

TEST(KeyRotation, TheLastIdIsNotAllOnes) {
  StoredRing stored = first_ring();
  stored.ring.slots = {};
  stored.ring.current_id = 0xfffffffd;
  stored.ring.slots[0xfffffffd % nts::ring_keys_max] = {0xfffffffd, KeyState::current, 0, {1}};
  rotate(stored, 1);
  EXPECT_EQ(stored.ring.current_id, 0xfffffffeU);
  EXPECT_THAT(add_pending_key(stored, {2, 0}, retention_s), HasSubstr("used up"));
}

}  // namespace
}  // namespace control
