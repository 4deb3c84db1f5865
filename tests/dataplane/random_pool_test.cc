// Randomness for one core: never the same octets twice, whatever the size of the request, and not after a
// fork.
#include "dataplane/random_pool.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <set>
#include <sys/wait.h>
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

// What a child process gets from the pool it inherited.
Block block_of_child(RandomPool& pool) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const Block block = block_of(pool);
    _exit(write(ends[1], block.data(), block.size()) == static_cast<ssize_t>(block.size()) ? 0 : 1);
  }
  close(ends[1]);
  Block block{};
  EXPECT_EQ(read(ends[0], block.data(), block.size()), static_cast<ssize_t>(block.size()));
  close(ends[0]);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return block;
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

}  // namespace
