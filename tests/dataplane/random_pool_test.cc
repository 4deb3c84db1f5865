// Randomness for one core: never the same octets twice, whatever the size of the request, and not after a
// fork.
#include "dataplane/random_pool.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using dataplane::RandomPool;
using Block = std::array<std::uint8_t, 16>;

Block block_of(RandomPool& pool) {
  Block block{};
  pool.fill(block);
  return block;
}

std::vector<Block> blocks_of(RandomPool& pool, std::size_t count) {
  std::vector<Block> blocks(count);
  for (Block& block : blocks) pool.fill(block);
  return blocks;
}

// What a child process gets from `draw`.
template <class Draw>
std::vector<Block> blocks_of_child(std::size_t count, const Draw& draw) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const std::vector<Block> blocks = draw();
    const auto bytes = static_cast<ssize_t>(blocks.size() * sizeof(Block));
    _exit(write(ends[1], blocks.data(), static_cast<std::size_t>(bytes)) == bytes ? 0 : 1);
  }
  close(ends[1]);
  std::vector<Block> blocks(count);
  auto* to = reinterpret_cast<char*>(blocks.data());
  std::size_t left = count * sizeof(Block);
  for (ssize_t got = 1; left != 0 && got > 0; left -= static_cast<std::size_t>(std::max<ssize_t>(got, 0))) {
    got = read(ends[0], to + count * sizeof(Block) - left, left);
  }
  EXPECT_EQ(left, 0U);
  close(ends[0]);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return blocks;
}

Block block_of_child(RandomPool& pool) {
  return blocks_of_child(1, [&] { return blocks_of(pool, 1); }).at(0);
}

std::size_t repeats_among(std::vector<Block>& blocks) {
  std::sort(blocks.begin(), blocks.end());
  std::size_t repeats = 0;
  for (std::size_t i = 1; i < blocks.size(); ++i) repeats += blocks[i] == blocks[i - 1];
  return repeats;
}

std::uint64_t stopped_ticks() noexcept { return 42; }

// The pages that a pool keeps its state in: its last member points there, and the kernel knows how many.
std::span<std::uint8_t> state_of(const RandomPool& pool) {
  std::uint8_t* at = nullptr;
  std::memcpy(&at, reinterpret_cast<const std::uint8_t*>(&pool) + sizeof pool - sizeof at, sizeof at);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::uint64_t first = std::stoull(line, nullptr, 16);
    const std::uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
    const auto wanted = reinterpret_cast<std::uint64_t>(at);
    if (first <= wanted && wanted < end) return {at, std::min<std::uint64_t>(end - wanted, 4096)};
  }
  return {};
}

// A machine restored twice from one snapshot: `twin` has the memory that `pool` has.
void restore(RandomPool& twin, const RandomPool& pool) {
  const std::span<std::uint8_t> to = state_of(twin);
  const std::span<std::uint8_t> from = state_of(pool);
  ASSERT_EQ(to.size(), from.size());
  ASSERT_FALSE(to.empty());
  std::copy(from.begin(), from.end(), to.begin());
}

TEST(RandomPool, P29_GivesNoNonceTwiceAcrossManyRefills) {
  RandomPool pool;
  RandomPool other;
  std::set<Block> seen;
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(seen.insert(block_of(pool)).second) << i;
    EXPECT_TRUE(seen.insert(block_of(other)).second) << "two cores, one state: " << i;
  }
  EXPECT_FALSE(seen.contains(Block{}))
      << "octets that were handed out are wiped, and must not be handed out again";
}

TEST(RandomPool, FillsEveryOctetOfAnySizeAndNoneBeyond) {
  RandomPool pool;
  for (const std::size_t bytes : {0U, 1U, 15U, 2015U, 2016U, 2017U, 2048U, 4608U, 10'000U}) {
    std::vector<std::uint8_t> ever(bytes + 1, 0);
    for (int round = 0; round < 20; ++round) {  // an octet that stays 0 that often is never written
      std::vector<std::uint8_t> octets(bytes + 1, 0);
      pool.fill(std::span(octets).first(bytes));
      EXPECT_EQ(octets[bytes], 0);
      for (std::size_t i = 0; i < bytes; ++i) ever[i] |= octets[i];
    }
    EXPECT_TRUE(std::all_of(ever.begin(), ever.end() - 1, [](std::uint8_t octet) { return octet != 0; }))
        << bytes;
  }
}

TEST(RandomPool, P29_AChildProcessFindsNoSeedAndMakesItsOwn) {
  RandomPool pool;
  static_cast<void>(block_of(pool));  // seeded, and in the middle of a block
  const Block first_child = block_of_child(pool);
  const Block second_child = block_of_child(pool);
  const Block parent = block_of(pool);
  EXPECT_NE(first_child, parent);
  EXPECT_NE(second_child, parent);
  EXPECT_NE(first_child, second_child);
  EXPECT_NE(first_child, Block{});
}

// 10^6 nonces here, 10^8 with NOONMARK_LONG, as 8 cores would draw them, in processes that are forked off in
// the middle of it, and again after a restart.
TEST(RandomPool, K12_NoNonceRepeatsAcrossCoresForksAndRestarts) {
  const std::size_t wanted = std::getenv("NOONMARK_LONG") != nullptr ? 100'000'000 : 1'000'000;
  constexpr std::size_t cores = 8;
  constexpr std::size_t children_blocks = 200;
  const nts::siv::Kernels& tier = *nts::siv::choose_tier();
  std::vector<Block> seen(wanted);
  for (std::size_t restart = 0; restart < 2; ++restart) {
    std::vector<std::thread> threads;
    const std::size_t each = wanted / 2 / cores;
    for (std::size_t core = 0; core < cores; ++core) {
      threads.emplace_back([&, first = (restart * cores + core) * each] {
        RandomPool pool(tier);
        for (std::size_t i = first; i < first + each; ++i) pool.fill(seen[i]);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  RandomPool pool(tier);
  for (int i = 0; i < 8; ++i) {
    const std::vector<Block> before = blocks_of(pool, 7);
    seen.insert(seen.end(), before.begin(), before.end());
    const auto draw = [&] { return blocks_of(pool, children_blocks); };
    const std::vector<Block> forked = blocks_of_child(children_blocks, draw);
    seen.insert(seen.end(), forked.begin(), forked.end());
  }
  EXPECT_EQ(repeats_among(seen), 0U);
}

TEST(RandomPool, K12_TwoMachinesRestoredFromOneSnapshotShareNoNonce) {
  RandomPool pool;
  RandomPool twin;
  static_cast<void>(blocks_of(pool, 10));  // in the middle of a block
  static_cast<void>(block_of(twin));
  restore(twin, pool);
  std::vector<Block> seen = blocks_of(pool, 20'000);
  const std::vector<Block> others = blocks_of(twin, 20'000);
  seen.insert(seen.end(), others.begin(), others.end());
  EXPECT_EQ(repeats_among(seen), 0U);
}

// The worst case: no two ticks differ. What the copies have in common then ends with the seed.
TEST(RandomPool, K12_EvenAtTheSameTicksRestoredMachinesPartWithTheNextSeed) {
  RandomPool pool(*nts::siv::all_tiers().back(), stopped_ticks);
  RandomPool twin(*nts::siv::all_tiers().back(), stopped_ticks);
  static_cast<void>(blocks_of(pool, 10));
  static_cast<void>(block_of(twin));
  restore(twin, pool);
  EXPECT_EQ(block_of(pool), block_of(twin)) << "the twin is none: this test shows nothing";
  std::size_t last_in_common = 0;
  for (std::size_t i = 1; i <= 24'000; ++i) {
    if (block_of(pool) == block_of(twin)) last_in_common = i;
  }
  EXPECT_LT(last_in_common, 18'200U) << "128 blocks of 142 nonces";
}

TEST(RandomPool, K12_EveryNonceOfAFillHasTheTickInIt) {
  RandomPool pool(*nts::siv::all_tiers().back(), stopped_ticks);
  RandomPool twin(*nts::siv::all_tiers().back(), []() noexcept -> std::uint64_t { return 43; });
  static_cast<void>(block_of(pool));
  static_cast<void>(block_of(twin));
  restore(twin, pool);
  std::array<Block, 64> some{};
  std::array<Block, 64> others{};
  pool.fill({some[0].data(), sizeof some});
  twin.fill({others[0].data(), sizeof others});
  for (std::size_t i = 0; i < some.size(); ++i) EXPECT_NE(some[i], others[i]) << i;
}

// What fill mixes in is known and in the first half of a nonce only: with it alone the halves behind it would
// be the same for ever.
TEST(RandomPool, K12_FromTheNextRefillOnTheStreamItselfIsAnother) {
  RandomPool pool(*nts::siv::all_tiers().back(), stopped_ticks);
  RandomPool twin(*nts::siv::all_tiers().back(), []() noexcept -> std::uint64_t { return 43; });
  static_cast<void>(block_of(pool));
  static_cast<void>(block_of(twin));
  restore(twin, pool);
  const auto is_same_behind_the_tick = [&] {
    const Block one = block_of(pool);
    const Block other = block_of(twin);
    return std::equal(one.begin() + 8, one.end(), other.begin() + 8);
  };
  std::size_t in_common = 0;
  while (in_common < 142 && is_same_behind_the_tick()) ++in_common;
  EXPECT_GT(in_common, 0U) << "the twin is none: this test shows nothing";
  EXPECT_LT(in_common, 142U) << "a block has 142 nonces, and the refill behind it the same key";
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_FALSE(is_same_behind_the_tick()) << i;
}

}  // namespace
