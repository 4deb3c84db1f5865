// Four packets side by side on any CPU: bitsliced, so that no branch and no address depends on a secret. Word
// b holds bit b of 64 octets: bit 16 * lane + position is octet `position` of that packet's block.
//
// The S-box is computed, not looked up: inversion in GF(2^8) as x^254 by four multiplications, then the
// affine map of FIPS 197 section 5.1.1. That is some 650 word operations for 64 octets. Smaller circuits
// exist (Boyar and Peralta's has 113 gates); this one can be checked against the definition by eye, and it is
// for machines without AES instructions only. Internal linkage, for the reason lanes.h gives.
#pragma once

#include "nts/siv/lanes.h"

namespace nts::siv {
namespace {

// Keeps each packet's 16 bits apart: the same constant in all four.
constexpr uint64_t in_each_lane(uint64_t bits) { return bits * 0x0001000100010001ULL; }

struct PortableLane {
  using Narrower = void;
  static constexpr uint32_t width = 4;
  static constexpr uint32_t keys_in_row = 1;
  static constexpr uint32_t row_bytes = block_bytes;
  static constexpr uint32_t rows_bytes = row::count * row_bytes;
  static constexpr bool ciphers_along = false;
  static constexpr uint32_t counters_abreast = 1;
  static constexpr bool knows_usual_shapes = false;  // beside its rounds nothing else counts

  struct Block {
    Octets lane[width];
  };
  struct State {
    uint64_t bit[8];
  };

  // Bitsliced copies of the round keys in use, wiped when they go.
  class Keys {
   public:
    Keys(const uint8_t* rows, uint32_t lane_bytes, bool with_ctr, bool knows_empty)
        : rows_(rows), lane_bytes_(lane_bytes), knows_empty_(knows_empty) {
      for (uint32_t round = 0; round < round_keys; ++round) {
        state_[row::mac + round] = enter(block(row::mac + round));
        if (with_ctr) state_[row::ctr + round] = enter(block(row::ctr + round));
      }
      state_[fold_at] = both(state_[row::mac + whiten], state_[row::mac + last_round]);
    }
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;
    ~Keys() {
      __builtin_memset(state_, 0, sizeof state_);
      __asm__ __volatile__("" : : "r"(state_) : "memory");  // the stores are not dead
    }
    const State& state(uint32_t row) const { return state_[row == row::fold ? fold_at : row]; }
    Block block(uint32_t row) const {
      return gather([&](uint32_t i) { return rows_ + i * lane_bytes_ + row * block_bytes; }, 0);
    }
    bool knows_empty() const { return knows_empty_; }

   private:
    static constexpr uint32_t fold_at = 2 * round_keys;
    State state_[fold_at + 1] = {};
    const uint8_t* rows_;
    uint32_t lane_bytes_;  // between the keys of two lanes; 0 when they share one
    bool knows_empty_;
  };
  struct SameKey : Keys {
    SameKey(const uint8_t* rows, bool with_ctr) : Keys(rows, 0, with_ctr, true) {}
  };
  struct RowKeys : Keys {
    RowKeys(const uint8_t* rows, bool with_ctr, bool knows_empty)
        : Keys(rows, rows_bytes, with_ctr, knows_empty) {}
  };
  static void put_row(uint8_t* rows, uint32_t row, const Block& block) {
    for (uint32_t i = 0; i < width; ++i) {
      store_some(rows + i * rows_bytes + row * block_bytes, block.lane[i], block_bytes);
    }
  }

  // ---- Octets in and out of the slices ----

  static State enter(const Block& block) {
    State state;
    for (uint32_t b = 0; b < 8; ++b) {
      uint64_t word = 0;
      for (uint32_t i = 0; i < width; ++i) {
        word |= (gathered_bits(block.lane[i].low >> b) | gathered_bits(block.lane[i].high >> b) << 8)
                << (16 * i);
      }
      state.bit[b] = word;
    }
    return state;
  }
  static Block leave(const State& state) {
    Block block = {};
    for (uint32_t b = 0; b < 8; ++b) {
      for (uint32_t i = 0; i < width; ++i) {
        const uint64_t bits = state.bit[b] >> (16 * i);
        block.lane[i].low |= spread_bits(bits & 0xff) << b;
        block.lane[i].high |= spread_bits(bits >> 8 & 0xff) << b;
      }
    }
    return block;
  }

  // ---- The cipher ----

  static State round(const State& state, const State& key) {
    return both(mix_columns(shift_rows(substitute(state))), key);
  }
  static State last(const State& state, const State& key) { return both(shift_rows(substitute(state)), key); }

  static State both(const State& a, const State& b) {
    State out;
    for (uint32_t i = 0; i < 8; ++i) out.bit[i] = a.bit[i] ^ b.bit[i];
    return out;
  }
  static State only(const State& a, const State& mask) {
    State out;
    for (uint32_t i = 0; i < 8; ++i) out.bit[i] = a.bit[i] & mask.bit[i];
    return out;
  }

  // ---- Blocks ----

  static Block both(const Block& a, const Block& b) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      out.lane[i] = {a.lane[i].low ^ b.lane[i].low, a.lane[i].high ^ b.lane[i].high};
    }
    return out;
  }
  static Block select(const Block& mask, const Block& a, const Block& b) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      out.lane[i].low = (a.lane[i].low & mask.lane[i].low) | (b.lane[i].low & ~mask.lane[i].low);
      out.lane[i].high = (a.lane[i].high & mask.lane[i].high) | (b.lane[i].high & ~mask.lane[i].high);
    }
    return out;
  }
  // `from(i)` and `to(i)` are the addresses in lane i.
  template <class From>
  static Block gather(const From& from, size_t offset) {
    Block block;
    for (uint32_t i = 0; i < width; ++i) block.lane[i] = load_some(from(i) + offset, block_bytes);
    return block;
  }
  template <class To>
  static void scatter(const To& to, size_t offset, const Block& block) {
    for (uint32_t i = 0; i < width; ++i) store_some(to(i) + offset, block.lane[i], block_bytes);
  }
  static Block from_octets(const Octets (&octets)[width]) {
    Block block;
    for (uint32_t i = 0; i < width; ++i) block.lane[i] = octets[i];
    return block;
  }
  static Block same(const Octets& octets) {
    Block block;
    for (uint32_t i = 0; i < width; ++i) block.lane[i] = octets;
    return block;
  }
  static void to_octets(const Block& block, Octets (&octets)[width]) {
    for (uint32_t i = 0; i < width; ++i) octets[i] = block.lane[i];
  }

  // Doubling in GF(2^128), RFC 5297 section 2.3: the block is one big-endian number.
  static Block doubled(const Block& block) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      const uint64_t high = __builtin_bswap64(block.lane[i].low);
      const uint64_t low = __builtin_bswap64(block.lane[i].high);
      const uint64_t carry = uint64_t{0} - (high >> 63);
      out.lane[i].low = __builtin_bswap64(high << 1 | low >> 63);
      out.lane[i].high = __builtin_bswap64(low << 1 ^ (carry & 0x87));
    }
    return out;
  }

  // Octets move `by` places, 0 to 16, towards the end (up) or the front (down); zeros follow.
  template <uint32_t N>
  static Block moved_up(const Block& block, const uint32_t (&by)[N]) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      const uint32_t bits = 8 * by[i % N];
      const Octets& o = block.lane[i];
      out.lane[i].low = shifted_up(o.low, bits);
      out.lane[i].high = bits < 64 ? shifted_up(o.high, bits) | shifted_down(o.low, 64 - bits)
                                   : shifted_up(o.low, bits - 64);
    }
    return out;
  }
  template <uint32_t N>
  static Block moved_down(const Block& block, const uint32_t (&by)[N]) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      const uint32_t bits = 8 * by[i % N];
      const Octets& o = block.lane[i];
      out.lane[i].high = shifted_down(o.high, bits);
      out.lane[i].low = bits < 64 ? shifted_down(o.low, bits) | shifted_up(o.high, 64 - bits)
                                  : shifted_down(o.high, bits - 64);
    }
    return out;
  }

  // The tag with two bits cleared, as a number to count on from (RFC 5297 section 2.6).
  static Block counter_base(const Block& tag) {
    Block out = tag;
    for (uint32_t i = 0; i < width; ++i) out.lane[i].high &= 0xffffff7fffffff7fULL;
    return out;
  }
  static Block counter(const Block& base, uint32_t number) {
    Block out = base;
    for (uint32_t i = 0; i < width; ++i) {
      out.lane[i].high = __builtin_bswap64(__builtin_bswap64(base.lane[i].high) + number);
    }
    return out;
  }

  // equal[i] is 1 when lane i is the same in both. No branch: all octets are always compared.
  static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    for (uint32_t i = 0; i < width; ++i) {
      const uint64_t difference = (a.lane[i].low ^ b.lane[i].low) | (a.lane[i].high ^ b.lane[i].high);
      equal[i] = static_cast<uint32_t>(1 ^ ((difference | (uint64_t{0} - difference)) >> 63));
    }
  }

  // Keys are expanded as they stand.
  static Block turned(const Block& key) { return key; }
  static Block next_round_key(const Block& key, uint8_t round_constant) {
    const Block substituted = leave(substitute(enter(key)));
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      const auto last_word = static_cast<uint32_t>(substituted.lane[i].high >> 32);
      const uint32_t word = (last_word >> 8 | last_word << 24) ^ round_constant;  // rotated by one octet
      const uint32_t w0 = static_cast<uint32_t>(key.lane[i].low) ^ word;
      const uint32_t w1 = static_cast<uint32_t>(key.lane[i].low >> 32) ^ w0;
      const uint32_t w2 = static_cast<uint32_t>(key.lane[i].high) ^ w1;
      const uint32_t w3 = static_cast<uint32_t>(key.lane[i].high >> 32) ^ w2;
      out.lane[i] = {w0 | uint64_t{w1} << 32, w2 | uint64_t{w3} << 32};
    }
    return out;
  }

 private:
  // Bit 0 of each of eight octets, side by side in eight bits: the products never meet in one place.
  static uint64_t gathered_bits(uint64_t octets) {
    return (octets & 0x0101010101010101ULL) * 0x0102040810204080ULL >> 56;
  }
  // And back: bit i of eight goes to bit 0 of octet i.
  static uint64_t spread_bits(uint64_t bits) {
    const uint64_t own_bit = bits * 0x0101010101010101ULL & 0x8040201008040201ULL;
    return (own_bit + 0x00406070787c7e7fULL) >> 7 & 0x0101010101010101ULL;
  }

  static uint64_t shifted_up(uint64_t word, uint32_t bits) { return bits < 64 ? word << bits : 0; }
  static uint64_t shifted_down(uint64_t word, uint32_t bits) { return bits < 64 ? word >> bits : 0; }

  // Modulo x^8 + x^4 + x^3 + x + 1.
  static State multiply(const State& a, const State& b) {
    uint64_t product[15] = {};
    for (uint32_t i = 0; i < 8; ++i) {
      for (uint32_t j = 0; j < 8; ++j) product[i + j] ^= a.bit[i] & b.bit[j];
    }
    for (uint32_t i = 14; i >= 8; --i) {
      product[i - 4] ^= product[i];
      product[i - 5] ^= product[i];
      product[i - 7] ^= product[i];
      product[i - 8] ^= product[i];
    }
    State out;
    for (uint32_t i = 0; i < 8; ++i) out.bit[i] = product[i];
    return out;
  }

  // Squaring only moves bits: x^i goes to x^2i, reduced.
  static State squared(const State& s) {
    const uint64_t(&a)[8] = s.bit;
    return {{a[0] ^ a[4] ^ a[6], a[4] ^ a[6] ^ a[7], a[1] ^ a[5], a[4] ^ a[5] ^ a[6] ^ a[7],
             a[2] ^ a[4] ^ a[7], a[5] ^ a[6], a[3] ^ a[5], a[6] ^ a[7]}};
  }

  static State substitute(const State& x) {
    const State x2 = squared(x);
    const State x3 = multiply(x2, x);
    const State x12 = squared(squared(x3));
    const State x15 = multiply(x12, x3);
    const State x240 = squared(squared(squared(squared(x15))));
    const State inverse = multiply(multiply(x240, x12), x2);  // x^254; 0 stays 0
    State out;
    for (uint32_t i = 0; i < 8; ++i) {
      const uint64_t constant = (0x63 >> i & 1) != 0 ? ~uint64_t{0} : 0;
      out.bit[i] = inverse.bit[i] ^ inverse.bit[(i + 4) % 8] ^ inverse.bit[(i + 5) % 8] ^
                   inverse.bit[(i + 6) % 8] ^ inverse.bit[(i + 7) % 8] ^ constant;
    }
    return out;
  }

  // Position is 4 * column + row; row r turns by r columns, that is 4 * r bits within the packet's 16.
  static State shift_rows(const State& s) {
    State out;
    for (uint32_t i = 0; i < 8; ++i) {
      const uint64_t x = s.bit[i];
      uint64_t turned = x & in_each_lane(0x1111);
      turned |= (x & in_each_lane(0x2220)) >> 4 | (x & in_each_lane(0x0002)) << 12;
      turned |= (x & in_each_lane(0x4400)) >> 8 | (x & in_each_lane(0x0044)) << 8;
      turned |= (x & in_each_lane(0x8000)) >> 12 | (x & in_each_lane(0x0888)) << 4;
      out.bit[i] = turned;
    }
    return out;
  }

  // With b, c, d the rows below a: 2a + 3b + c + d = 2(a + b) + b + (c + d).
  static State mix_columns(const State& a) {
    State b;
    State sum;
    for (uint32_t i = 0; i < 8; ++i) {
      b.bit[i] = (a.bit[i] & in_each_lane(0xeeee)) >> 1 | (a.bit[i] & in_each_lane(0x1111)) << 3;
      sum.bit[i] = a.bit[i] ^ b.bit[i];
    }
    State out;
    for (uint32_t i = 0; i < 8; ++i) {
      uint64_t twice = i == 0 ? sum.bit[7] : sum.bit[i - 1];
      if (i == 1 || i == 3 || i == 4) twice ^= sum.bit[7];
      const uint64_t two_below =
          (sum.bit[i] & in_each_lane(0xcccc)) >> 2 | (sum.bit[i] & in_each_lane(0x3333)) << 2;
      out.bit[i] = twice ^ b.bit[i] ^ two_below;
    }
    return out;
  }
};

}  // namespace
}  // namespace nts::siv
