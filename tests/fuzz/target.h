// A fuzz target: a function over octets that throws when something we promise does not hold.
//
// The same targets run in two programs. corpus_test.cc is an ordinary test: every target over its seeds and
// the inputs kept in corpus/NAME/, by any compiler. libfuzzer_entry.cc with one target is a fuzzer (clang's
// -fsanitize=fuzzer; AFL++ takes the same entry points): fuzz_test.py builds and runs those.
//
// An input that had to be authentic to get anywhere would get nowhere. So a target does not take packets as
// they are but seals, or sums up, what the fuzzer wrote, unless a flag in the input's first octet says no.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

namespace fuzz {

using Input = std::span<const std::uint8_t>;
using Octets = std::vector<std::uint8_t>;

struct Target {
  const char* name;  // also the folder in corpus/
  void (*run)(Input input);
  std::vector<Octets> (*seeds)();  // inputs that reach what the target is about
};

// All targets linked into this program.
[[nodiscard]] inline std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

struct Registration {
  explicit Registration(const Target& target) { targets().push_back(target); }
};

// A broken promise is an exception: a fuzzer dies of it and keeps the input, a test reports it.
class BrokenPromise : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

inline void require(bool holds, const char* promise) {
  if (!holds) throw BrokenPromise(promise);
}

// Takes numbers and octets from the front of an input; zeros when it has run out.
class Reader {
 public:
  explicit Reader(Input input) : rest_(input) {}
  [[nodiscard]] std::uint8_t octet() {
    if (rest_.empty()) return 0;
    const std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  [[nodiscard]] std::uint16_t number16() {
    const std::uint8_t high = octet();
    return static_cast<std::uint16_t>(high << 8 | octet());
  }
  [[nodiscard]] std::uint64_t number64() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | octet();
    return value;
  }
  [[nodiscard]] Octets take(std::size_t bytes) {
    const Input front = rest_.first(bytes < rest_.size() ? bytes : rest_.size());
    rest_ = rest_.subspan(front.size());
    return {front.begin(), front.end()};
  }
  [[nodiscard]] Octets rest() { return take(rest_.size()); }
  [[nodiscard]] bool is_empty() const { return rest_.empty(); }

 private:
  Input rest_;
};

// Writes the input's patches over `place`: offset (16 bits), length (8 bits), octets; what does not fit is
// left out. A small input reaches every field of a large structure.
inline void patch(std::span<std::uint8_t> place, Reader& reader) {
  while (!reader.is_empty()) {
    std::size_t at = reader.number16();
    const std::uint8_t bytes = reader.octet();
    for (const std::uint8_t octet : reader.take(bytes)) {
      if (at < place.size()) place[at++] = octet;
    }
  }
}

// One patch, for seeds.
[[nodiscard]] inline Octets patch_of(std::size_t offset, const Octets& octets) {
  Octets made = {static_cast<std::uint8_t>(offset >> 8), static_cast<std::uint8_t>(offset),
                 static_cast<std::uint8_t>(octets.size())};
  made.insert(made.end(), octets.begin(), octets.end());
  return made;
}

// `first` before `rest`, for seeds whose first octet is flags.
[[nodiscard]] inline Octets with_flags(std::uint8_t first, const Octets& rest) {
  Octets made(1 + rest.size(), first);
  std::copy(rest.begin(), rest.end(), made.begin() + 1);
  return made;
}

}  // namespace fuzz
