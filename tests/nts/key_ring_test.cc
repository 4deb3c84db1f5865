#include "nts/key_ring.h"

#include <gtest/gtest.h>

#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::ExpandedKeyRing;
using nts::KeyState;
using tests::make_ring;
using tests::RingEntry;

TEST(KeyRing, IsValidWithOneCurrentKeyInItsSlot) {
  EXPECT_TRUE(nts::is_valid(make_ring({RingEntry{7, KeyState::current}})));
  EXPECT_TRUE(nts::is_valid(make_ring({RingEntry{7, KeyState::accepting}})));
}

TEST(KeyRing, IsRefusedWhenItBreaksItsOwnRules) {
  const nts::KeyRing good = make_ring({RingEntry{7, KeyState::current}});
  nts::KeyRing ring = good;
  ring.generation = 0;
  EXPECT_FALSE(nts::is_valid(ring)) << "no generation";
  ring = good;
  ring.current_id = 8;
  EXPECT_FALSE(nts::is_valid(ring)) << "current id without a key";
  ring = good;
  ring.current_id = 0;
  EXPECT_FALSE(nts::is_valid(ring)) << "a current key that the ring does not name";
  ring = good;
  ring.slots[8] = ring.slots[7];
  EXPECT_FALSE(nts::is_valid(ring)) << "a key outside its slot";
  ring = good;
  ring.slots[9] = ring.slots[7];
  ring.slots[9].state = KeyState::accepting;
  EXPECT_FALSE(nts::is_valid(ring)) << "an accepting key outside its slot";
  ring = good;
  ring.slots[7].state = KeyState::accepting;
  EXPECT_FALSE(nts::is_valid(ring)) << "it names a current key that only accepts";
  ring = good;
  ring.slots[7].state = static_cast<KeyState>(9);
  EXPECT_FALSE(nts::is_valid(ring)) << "a state nobody knows";
  ring = good;
  ring.slots[0].state = KeyState::accepting;
  EXPECT_FALSE(nts::is_valid(ring)) << "id 0";
  ring = good;
  ring.slots[127].id = 0xffffffff;
  ring.slots[127].state = KeyState::accepting;
  EXPECT_FALSE(nts::is_valid(ring)) << "id all ones";
}

TEST(ExpandedKeyRing, C09_FindsAcceptingAndCurrentKeysAndTellsRetiredFromUnknown) {
  ExpandedKeyRing keys(tests::nettle_kernels());
  EXPECT_FALSE(keys.can_serve());
  EXPECT_EQ(keys.find(7).found, ExpandedKeyRing::Found::unknown);
  keys.load(make_ring(
      {RingEntry{6, KeyState::retired}, RingEntry{7, KeyState::current}, RingEntry{8, KeyState::accepting}}));
  EXPECT_TRUE(keys.can_serve());
  EXPECT_EQ(keys.find(6).found, ExpandedKeyRing::Found::retired);
  EXPECT_EQ(keys.find(7).found, ExpandedKeyRing::Found::opens);
  EXPECT_EQ(keys.find(8).found, ExpandedKeyRing::Found::opens);
  EXPECT_EQ(keys.find(9).found, ExpandedKeyRing::Found::unknown);
  EXPECT_EQ(keys.find(7 + nts::ring_keys_max).found, ExpandedKeyRing::Found::unknown)
      << "same slot, other id";
  EXPECT_EQ(keys.find(0).found, ExpandedKeyRing::Found::unknown);
  EXPECT_EQ(keys.find(0xffffffff).found, ExpandedKeyRing::Found::unknown);
}

TEST(ExpandedKeyRing, ARetiredKeyNoLongerOpensAfterTheNextLoad) {
  ExpandedKeyRing keys(tests::nettle_kernels());
  keys.load(make_ring({RingEntry{7, KeyState::current}}, 1));
  keys.load(make_ring({RingEntry{7, KeyState::retired}, RingEntry{8, KeyState::current}}, 2));
  EXPECT_EQ(keys.find(7).found, ExpandedKeyRing::Found::retired);
  EXPECT_EQ(keys.generation(), 2U);
  EXPECT_EQ(keys.current_id(), 8U);
}

// A keeper that lost its store starts again at the same ids with other octets.
TEST(ExpandedKeyRing, AKeyWithTheSameIdButOtherOctetsIsExpandedAnew) {
  const nts::siv::Kernels& tier = tests::nettle_kernels();
  ExpandedKeyRing keys(tier);
  nts::KeyRing ring = make_ring({RingEntry{7, KeyState::current}}, 1);
  keys.load(ring);
  ring.generation = 2;
  ring.slots[7].key = tests::ring_key_of(99);
  keys.load(ring);
  const tests::Octets cookie = tests::make_cookie(7, tests::ring_key_of(99), tests::Octets(64, 5));
  tests::Octets opened(64);
  const std::uint8_t nothing = 0;
  nts::siv::Job job = {.associated_data = &nothing,
                       .nonce = cookie.data() + 4,
                       .plaintext = opened.data(),
                       .sealed = const_cast<std::uint8_t*>(cookie.data()) + 20,
                       .associated_data_bytes = 0,
                       .nonce_bytes = 16,
                       .plaintext_bytes = 64,
                       .authentic = 0};
  const nts::siv::RingKeySchedule* schedule = keys.find(7).schedule;
  tier.open_with_ring_keys(&schedule, &job, 1);
  EXPECT_EQ(job.authentic, 1U);
  EXPECT_EQ(opened, tests::Octets(64, 5));
}

TEST(DeathOfExpandedKeyRing, StopsTheProcessRatherThanLoadARingThatBreaksItsRules) {
  ExpandedKeyRing keys(tests::nettle_kernels());
  EXPECT_DEATH(keys.load(nts::KeyRing{}), "");
}

}  // namespace
