// Every fuzz target as an ordinary test: its seeds, what fuzzing has found worth keeping (corpus/NAME/), and
// every prefix of a seed.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

#include "tests/fuzz/target.h"

namespace {

class Corpus : public testing::TestWithParam<fuzz::Target> {
 protected:
  // In memory of exactly its size, so that AddressSanitizer sees any octet beyond.
  static void run(const fuzz::Octets& input) {
    const fuzz::Octets exact(input.begin(), input.end());
    ASSERT_NO_THROW(GetParam().run(exact));
  }
};

TEST_P(Corpus, KeepsItsPromisesOnSeedsAndTheirPrefixes) {
  const std::vector<fuzz::Octets> seeds = GetParam().seeds();
  ASSERT_FALSE(seeds.empty());
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    SCOPED_TRACE("seed " + std::to_string(i));
    const std::size_t step = 1 + seeds[i].size() / 64;
    for (std::size_t bytes = 0; bytes < seeds[i].size(); bytes += step) {
      SCOPED_TRACE(std::to_string(bytes) + " octets");
      run(fuzz::Octets(seeds[i].begin(), seeds[i].begin() + static_cast<std::ptrdiff_t>(bytes)));
    }
    run(seeds[i]);
  }
}

TEST_P(Corpus, KeepsItsPromisesOnWhatFuzzingFound) {
  const std::filesystem::path folder =
      std::filesystem::path(NOONMARK_ROOT) / "tests/fuzz/corpus" / GetParam().name;
  ASSERT_TRUE(std::filesystem::is_directory(folder)) << "each target keeps a corpus";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path().native());
    std::ifstream file(entry.path(), std::ios::binary);
    run(fuzz::Octets(std::istreambuf_iterator<char>(file), {}));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Corpus, testing::ValuesIn(fuzz::targets()),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
