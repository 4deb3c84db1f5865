// In which order a burst's messages meet the lanes, whatever their mixture.
#include "nts/runs.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace {

using nts::aead_of;
using nts::AeadRow;
using nts::Run;
using nts::Runs;
using nts::Shape;
using nts::shape_of;

using Order = std::array<std::uint8_t, nts::burst_max>;
constexpr Runs::Least least = {4, 2, 1, 1};

TEST(Runs, AShapeIsEqualOnlyToItself) {
  const Shape usual = shape_of(AeadRow::siv_256, 188, 16, 16);
  std::set<Shape> shapes = {usual};
  EXPECT_EQ(shape_of(AeadRow::siv_256, 188, 16, 16), usual);
  for (const AeadRow aead : {AeadRow::siv_256, AeadRow::gcm_siv_128, AeadRow::siv_384, AeadRow::siv_512}) {
    for (const std::uint16_t bytes : std::initializer_list<std::uint16_t>{0, 1, 255, 256, 0x7fff, 0xffff}) {
      EXPECT_TRUE(shapes.insert(shape_of(aead, bytes, 16, 20)).second);
      EXPECT_TRUE(shapes.insert(shape_of(aead, 188, bytes, 24)).second);
      EXPECT_TRUE(shapes.insert(shape_of(aead, 188, 12, bytes)).second);
      EXPECT_EQ(aead_of(shape_of(aead, bytes, bytes, bytes)), aead);
    }
  }
}

TEST(Runs, OneRunHoldsAllEntries) {
  Runs runs;
  EXPECT_EQ(runs.begin(), runs.end());
  runs.set_one(AeadRow::siv_512, 32);
  ASSERT_EQ(runs.end() - runs.begin(), 1);
  EXPECT_EQ(runs.begin()->aead, AeadRow::siv_512);
  EXPECT_EQ(runs.begin()->first, 0U);
  EXPECT_EQ(runs.begin()->count, 32U);
  runs.clear();
  EXPECT_EQ(runs.begin(), runs.end());
}

TEST(Runs, AShapeHasARunOfItsOwnFromTheLeastNumberOn) {
  const Shape few = shape_of(AeadRow::siv_256, 188, 16, 16);
  const Shape enough = shape_of(AeadRow::siv_256, 220, 16, 16);
  const std::vector<Shape> shapes = {few, enough, few, enough, enough, few, enough};
  Runs runs;
  Order order{};
  runs.sort(shapes, least, order);
  ASSERT_EQ(runs.end() - runs.begin(), 2);
  EXPECT_EQ(runs.begin()[0].count, 4U);
  EXPECT_EQ(runs.begin()[1].count, 3U);
  EXPECT_EQ(std::vector<int>(order.begin(), order.begin() + 7), (std::vector<int>{1, 3, 4, 6, 0, 2, 5}));
}

// What is asked of any mixture: every entry in one run, no AEAD in two places, equals in their order, and a
// run of unlike shapes only of those that are few, or too many kinds.
void expect_sound(const std::vector<Shape>& shapes) {
  Runs runs;
  Order order{};
  runs.sort(shapes, least, order);
  std::set<int> entries(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shapes.size()));
  ASSERT_EQ(entries.size(), shapes.size());
  EXPECT_EQ(*entries.rbegin(), static_cast<int>(shapes.size()) - 1);
  std::map<Shape, std::uint32_t> number_of;
  for (const Shape shape : shapes) ++number_of[shape];

  std::uint32_t next = 0;
  std::uint32_t like_runs = 0;
  std::set<Shape> whole;
  std::vector<AeadRow> aeads;
  std::set<AeadRow> unlike;
  ASSERT_LE(runs.end() - runs.begin(), nts::runs_max);
  for (const Run& run : runs) {
    ASSERT_EQ(run.first, next);
    ASSERT_GT(run.count, 0U);
    next += run.count;
    if (aeads.empty() || aeads.back() != run.aead) aeads.push_back(run.aead);
    std::set<Shape> met;
    for (std::uint32_t k = run.first; k < next; ++k) {
      met.insert(shapes[order[k]]);
      EXPECT_EQ(aead_of(shapes[order[k]]), run.aead);
      if (k == run.first || shapes[order[k]] != shapes[order[k - 1]]) continue;
      EXPECT_GT(order[k], order[k - 1]);
    }
    const std::uint32_t enough = least[static_cast<std::uint32_t>(run.aead)];
    if (met.size() == 1 && run.count >= enough) {
      ++like_runs;
      EXPECT_EQ(run.count, number_of[*met.begin()]) << "all of its shape";
      EXPECT_TRUE(whole.insert(*met.begin()).second);
      continue;
    }
    EXPECT_TRUE(unlike.insert(run.aead).second) << "one of each AEAD";
    if (like_runs >= nts::like_runs_max) continue;
    for (const Shape shape : met) EXPECT_LT(number_of[shape], enough);
  }
  EXPECT_EQ(next, shapes.size());
  EXPECT_EQ(std::set<AeadRow>(aeads.begin(), aeads.end()).size(), aeads.size()) << "an AEAD in two places";
}

TEST(Runs, AnyMixtureIsSortedSoundly) {
  std::mt19937 random(4);
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t kinds = 1 + random() % (random() % 2 == 0 ? 3 : 32);
    const std::size_t aeads = 1 + random() % nts::aeads_count;
    std::vector<Shape> shapes;
    for (std::size_t i = 0, count = 1 + random() % nts::burst_max; i < count; ++i) {
      const auto kind = static_cast<std::uint16_t>(random() % kinds);
      shapes.push_back(shape_of(static_cast<AeadRow>(random() % aeads),
                                static_cast<std::uint16_t>(180 + kind), static_cast<std::uint16_t>(kind % 3),
                                static_cast<std::uint16_t>(kind / 3)));
    }
    expect_sound(shapes);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST(Runs, AFullBurstOfOneShapeAndOneOfNoTwoAlikeAreSorted) {
  expect_sound(std::vector<Shape>(nts::burst_max, shape_of(AeadRow::siv_384, 188, 16, 16)));
  std::vector<Shape> shapes;
  for (std::uint16_t i = 0; i < nts::burst_max; ++i) {
    shapes.push_back(shape_of(AeadRow::siv_256, static_cast<std::uint16_t>(188 + i), 16, 16));
  }
  expect_sound(shapes);
  for (std::uint16_t i = 0; i < nts::burst_max; ++i) shapes[i] = shape_of(AeadRow::siv_256, i / 4, 16, 16);
  expect_sound(shapes);  // eight shapes with enough entries: more than have a run of their own
}

}  // namespace
