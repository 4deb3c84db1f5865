// Which messages of a burst go through the lanes side by side.
//
// A call to a tier is fast where its messages are of one shape (equal lengths) and its key table holds their
// keys in their order (nts/siv/groups.h): nothing is sorted, nothing is copied. So a burst's entries are put
// in order before keys are expanded: by AEAD, and every shape that has enough entries is a run, with a key
// table of its own. What is left over of an AEAD, a few of a kind, is one run of unlike messages: a tier of
// AES-SIV sorts it itself, one of AES-GCM-SIV takes it as it comes, and a group costs what its longest does.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "nts/aead.h"
#include "nts/batch.h"

namespace nts {

// AEAD and lengths of one message in a word, so that equal words are equal shapes.
using Shape = std::uint64_t;

[[nodiscard, gnu::always_inline]] constexpr Shape shape_of(AeadRow aead, std::uint16_t associated_data_bytes,
                                                           std::uint16_t nonce_bytes,
                                                           std::uint16_t text_bytes) noexcept {
  return static_cast<Shape>(aead) << 48 | static_cast<Shape>(associated_data_bytes) << 32 |
         static_cast<Shape>(nonce_bytes) << 16 | text_bytes;
}
[[nodiscard, gnu::always_inline]] constexpr AeadRow aead_of(Shape shape) noexcept {
  return static_cast<AeadRow>(shape >> 48);
}

// Entries that stand one after another, all under one AEAD.
struct Run {
  AeadRow aead = AeadRow::none;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

// Runs of one shape in a burst, at most; each AEAD may have one more, of unlike shapes.
inline constexpr std::uint32_t like_runs_max = 6;
inline constexpr std::uint32_t runs_max = like_runs_max + aeads_count;

class Runs {
 public:
  // Fewer entries of one shape than this are not worth a call of their own, by AEAD.
  using Least = std::array<std::uint32_t, aeads_count>;

  void clear() noexcept { count_ = 0; }
  // All entries, from the first on, are one run.
  void set_one(AeadRow aead, std::uint32_t count) noexcept {
    runs_[0] = {aead, 0, count};
    count_ = 1;
  }

  // Runs of entries with these shapes, at most burst_max. `order[k]` is the entry that is to stand at place
  // k; those of one shape keep their order.
  void sort(std::span<const Shape> shapes, const Least& least,
            std::array<std::uint8_t, burst_max>& order) noexcept {
    count_ = 0;
    std::uint32_t placed = 0;
    std::uint32_t like_runs = 0;
    std::uint32_t left = ~std::uint32_t{0} >> (32 - shapes.size());  // a bit for each entry
    for (std::uint32_t row = 0; left != 0 && row < aeads_count; ++row) {
      const auto aead = static_cast<AeadRow>(row);
      std::uint32_t own = left & matching(shapes, [aead](Shape shape) { return aead_of(shape) == aead; });
      left &= ~own;
      std::uint32_t rest = 0;
      while (own != 0) {
        const Shape like = shapes[first_of(own)];
        const std::uint32_t alike = own & matching(shapes, [like](Shape shape) { return shape == like; });
        own &= ~alike;
        const auto entries = static_cast<std::uint32_t>(std::popcount(alike));
        if (entries >= least[static_cast<std::uint32_t>(aead)] && like_runs < like_runs_max) {
          add(aead, alike, placed, order);
          ++like_runs;
        } else {
          rest |= alike;
        }
      }
      if (rest != 0) add(aead, rest, placed, order);
    }
  }

  [[nodiscard]] Run* begin() noexcept { return runs_.data(); }
  [[nodiscard]] Run* end() noexcept { return runs_.data() + count_; }

 private:
  [[nodiscard]] static std::uint32_t first_of(std::uint32_t bits) noexcept {
    return static_cast<std::uint32_t>(std::countr_zero(bits));
  }

  template <class Matches>
  [[nodiscard]] static std::uint32_t matching(std::span<const Shape> shapes,
                                              const Matches& matches) noexcept {
    std::uint32_t bits = 0;
    for (std::uint32_t k = 0; k < shapes.size(); ++k) bits |= std::uint32_t{matches(shapes[k])} << k;
    return bits;
  }

  void add(AeadRow aead, std::uint32_t bits, std::uint32_t& placed,
           std::array<std::uint8_t, burst_max>& order) noexcept {
    const std::uint32_t first = placed;
    for (; bits != 0; bits &= bits - 1) order[placed++] = static_cast<std::uint8_t>(first_of(bits));
    runs_[count_++] = {aead, first, placed - first};
  }

  std::array<Run, runs_max> runs_;
  std::uint32_t count_ = 0;
};

}  // namespace nts
