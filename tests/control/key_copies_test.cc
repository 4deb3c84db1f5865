// When the key file and the keys page differ: no key is lost, no reader sees the generation go down.

#include "control/key_copies.h"

#include <cstring>
#include <gtest/gtest.h>

#include "tests/support/packet_builder.h"

namespace control {
namespace {

using nts::KeyState;
using tests::make_ring;
using tests::RingEntry;

constexpr RotationMoment now{5000, 1'700'000'000};

StoredRing stored(const std::vector<RingEntry>& entries, std::uint64_t generation) {
  StoredRing result{};
  result.ring = make_ring(entries, generation);
  return result;
}

const std::vector<RingEntry> one_key = {{7, KeyState::current}};
const std::vector<RingEntry> pending = {{7, KeyState::current}, {8, KeyState::accepting}};
const std::vector<RingEntry> handed_over = {{7, KeyState::accepting}, {8, KeyState::current}};

bool is_same(const nts::KeyRing& left, const nts::KeyRing& right) {
  return std::memcmp(&left, &right, sizeof left) == 0;
}

TEST(KeyCopies, WithoutAnyThereIsNoRing) {
  StoredRing result{};
  EXPECT_FALSE(reconcile_copies(nullptr, nullptr, now, result).has_ring);
}

TEST(KeyCopies, TheFileAloneCountsAsItIs) {
  StoredRing file = stored(handed_over, 9);
  file.superseded_epoch_s[7] = 4000;
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, nullptr, now, result);
  EXPECT_TRUE(report.has_ring);
  EXPECT_FALSE(report.must_save);
  EXPECT_EQ(std::memcmp(&result, &file, sizeof file), 0);
}

TEST(KeyCopies, F08_ThePageAloneCountsAndItsKeysAreTakenForFresh) {
  const nts::KeyRing page = make_ring(
      {{6, KeyState::retired}, {7, KeyState::accepting}, {8, KeyState::current}, {9, KeyState::accepting}},
      12);
  StoredRing result{};
  const CopiesReport report = reconcile_copies(nullptr, &page, now, result);
  EXPECT_TRUE(report.has_ring);
  EXPECT_TRUE(report.must_save);
  EXPECT_TRUE(is_same(result.ring, page));
  EXPECT_EQ(result.superseded_epoch_s[6], 0U);
  EXPECT_EQ(result.superseded_epoch_s[7], now.epoch_s);
  EXPECT_EQ(result.superseded_epoch_s[8], 0U);
  EXPECT_EQ(result.superseded_epoch_s[9], 0U) << "it waits to seal";
  EXPECT_EQ(pending_key_id(result.ring), 9U);
}

TEST(KeyCopies, AKeeperThatDiedBetweenSavingAndPublishingGoesOnWithTheFile) {
  const nts::KeyRing page = make_ring(one_key, 9);
  const StoredRing file = stored(pending, 10);
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, &page, now, result);
  EXPECT_TRUE(is_same(result.ring, file.ring));
  EXPECT_FALSE(report.must_save);
  EXPECT_EQ(report.keys_added + report.keys_lost, 0U);
}

TEST(KeyCopies, EqualCopiesKeepTheirGenerationAndTheFilesAges) {
  const nts::KeyRing page = make_ring(handed_over, 9);
  StoredRing file = stored(handed_over, 9);
  file.superseded_epoch_s[7] = 4000;
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, &page, now, result);
  EXPECT_FALSE(report.must_save);
  EXPECT_EQ(result.ring.generation, 9U);
  EXPECT_EQ(result.superseded_epoch_s[7], 4000U);
}

TEST(KeyCopies, AnOldBackupDoesNotTakeThePagesKeysAway) {
  const nts::KeyRing page = make_ring(handed_over, 11);
  const StoredRing file = stored(one_key, 9);
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, &page, now, result);
  EXPECT_TRUE(is_same(result.ring, page));
  EXPECT_TRUE(report.must_save);
  EXPECT_EQ(result.superseded_epoch_s[7], now.epoch_s) << "the backup says it still seals";
}

TEST(KeyCopies, TheAgesThatTheFileKnowsAreKeptWhenThePageWins) {
  const nts::KeyRing page = make_ring(handed_over, 11);
  StoredRing file = stored(handed_over, 10);
  file.superseded_epoch_s[7] = 4000;
  StoredRing result{};
  (void)reconcile_copies(&file, &page, now, result);
  EXPECT_EQ(result.superseded_epoch_s[7], 4000U);
}

TEST(KeyCopies, KeysOfAnotherLineAreAcceptedFromNowOn) {
  for (const bool page_wins : {false, true}) {
    SCOPED_TRACE(page_wins);
    const nts::KeyRing page =
        make_ring({{200, KeyState::accepting}, {201, KeyState::current}}, page_wins ? 9 : 3);
    const StoredRing file = stored(handed_over, page_wins ? 3 : 9);
    StoredRing result{};
    const CopiesReport report = reconcile_copies(&file, &page, now, result);
    EXPECT_TRUE(nts::is_valid(result.ring));
    EXPECT_TRUE(report.must_save);
    EXPECT_EQ(report.keys_added, 2U);
    EXPECT_EQ(report.keys_lost, 0U);
    EXPECT_EQ(result.ring.current_id, page_wins ? 201U : 8U);
    for (const std::uint32_t id : {7U, 8U, 200U, 201U}) {
      SCOPED_TRACE(id);
      const nts::RingKey& key = result.ring.slot_of(id);
      EXPECT_EQ(key.id, id);
      EXPECT_EQ(key.state, id == result.ring.current_id ? KeyState::current : KeyState::accepting);
      EXPECT_EQ(key.key, tests::ring_key_of(id));
    }
    EXPECT_GE(result.ring.generation, page_wins ? 10U : 9U) << "another ring than the page's is a later one";
    EXPECT_EQ(result.superseded_epoch_s[page_wins ? 7 : 72], now.epoch_s);
  }
}

TEST(KeyCopies, AnotherRingOfThePagesGenerationGetsALaterOne) {
  const nts::KeyRing page = make_ring(pending, 9);
  const StoredRing file = stored(handed_over, 9);
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, &page, now, result);
  EXPECT_EQ(result.ring.generation, 10U);
  EXPECT_EQ(result.ring.current_id, 8U);
  EXPECT_TRUE(report.must_save);
}

TEST(KeyCopies, WhatIsRetiredStaysRetired) {
  const nts::KeyRing page = make_ring(handed_over, 9);
  const StoredRing file = stored({{7, KeyState::retired}, {8, KeyState::current}}, 10);
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, &page, now, result);
  EXPECT_EQ(result.ring.slot_of(7).state, KeyState::retired);
  EXPECT_EQ(report.keys_added, 0U);
}

TEST(KeyCopies, AKeyWithoutAFreeSlotIsCountedAsLost) {
  const nts::KeyRing page = make_ring({{7, KeyState::current}}, 9);
  const StoredRing file = stored({{7 + nts::ring_keys_max, KeyState::current}}, 10);
  StoredRing result{};
  const CopiesReport report = reconcile_copies(&file, &page, now, result);
  EXPECT_EQ(report.keys_lost, 1U);
  EXPECT_EQ(result.ring.current_id, 7 + nts::ring_keys_max);
}

}  // namespace
}  // namespace control
