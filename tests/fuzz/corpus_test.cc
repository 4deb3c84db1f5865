// Every fuzz target as an ordinary test: its seeds, what fuzzing has found worth keeping (corpus/NAME/), and
// every prefix of a seed. And very many mutated seeds for the targets that answer, at full speed: a fuzzer
// under sanitizers is a hundred times slower.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <string_view>

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

// The targets that serve a request, each of which requires I1: no answer is longer than its request.
std::vector<fuzz::Target> answering_targets() {
  constexpr std::array<std::string_view, 5> names = {"cookie", "frame", "ntsn", "request", "sealed_request"};
  std::vector<fuzz::Target> answering;
  std::copy_if(fuzz::targets().begin(), fuzz::targets().end(), std::back_inserter(answering),
               [&](const fuzz::Target& target) {
                 return std::find(names.begin(), names.end(), target.name) != names.end();
               });
  return answering;
}

// Seeds with a few changes each, the same ones in every run.
class Mutator {
 public:
  explicit Mutator(std::vector<fuzz::Octets> seeds) : seeds_(std::move(seeds)) {}

  const fuzz::Octets& next() {
    input_ = seeds_[below(seeds_.size())];
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change();
    return input_;
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  void change() {
    if (input_.empty()) return;
    const std::size_t at = below(input_.size());
    const auto place = input_.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t bytes = std::min(1 + below(16), input_.size() - at);
    switch (below(6)) {
      case 0:
        *place = static_cast<std::uint8_t>(random_());
        break;
      case 1:
        *place ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 2:
        *place = std::array<std::uint8_t, 6>{0, 1, 4, 0x7f, 0x80, 0xff}[below(6)];
        break;
      case 3:
        input_.erase(place, place + static_cast<std::ptrdiff_t>(bytes));
        break;
      case 4:
        input_.insert(place, bytes, static_cast<std::uint8_t>(random_()));
        break;
      default: {  // a piece of another seed over it
        const fuzz::Octets& other = seeds_[below(seeds_.size())];
        std::copy_n(other.begin(), std::min({bytes, other.size(), input_.size() - at}), place);
      }
    }
  }

  std::vector<fuzz::Octets> seeds_;
  fuzz::Octets input_;
  std::mt19937_64 random_{1};
};

class Answering : public testing::TestWithParam<fuzz::Target> {};

TEST_P(Answering, J01_I1_NoMutatedInputGetsMoreThanItBrought) {
  const char* wanted = std::getenv("NOONMARK_MUTATIONS");  // fuzz_test.py asks for more
  const long inputs = wanted == nullptr ? 200'000 : std::atol(wanted);
  Mutator mutator(GetParam().seeds());
  for (long i = 0; i < inputs; ++i) {
    const fuzz::Octets& input = mutator.next();
    try {
      GetParam().run(input);
    } catch (const std::exception& broken) {
      FAIL() << broken.what() << ": input " << i << ", " << testing::PrintToString(input);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Answering, testing::ValuesIn(answering_targets()),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

INSTANTIATE_TEST_SUITE_P(Targets, Corpus, testing::ValuesIn(fuzz::targets()),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
