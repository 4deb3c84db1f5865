// The lanes of a CPU with vector registers: R registers of kind V side by side, V::lanes packets in each.
//
// V wraps the instructions of one register width, each where it is used; a tier file defines V and nothing
// else. Constants that are the algorithm's stand here, once for all widths. Internal linkage throughout, for
// the reason lanes.h gives.
#pragma once

#include "nts/siv/lanes.h"

namespace nts::siv {
namespace {

// A block of 16 octets, to be broadcast.
struct alignas(16) Pattern {
  uint8_t octets[block_bytes];
};

// Octet i of a block shuffled by 16 octets of this, from offset 16 + by on, is octet i + by, or zero outside:
// the shuffle clears where an index is negative. Where the window lies depends on a length alone.
alignas(64) constexpr int8_t places[48] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,  //
                                           0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,  //
                                           -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

// `KeysInRow` is V::lanes but for lanes that are narrower than the rows of their tier: a lone lane takes the
// first key of each row.
template <class V, uint32_t R, uint32_t KeysInRow = V::lanes>
struct RegisterLanes {
  using Register = typename V::Register;
  static constexpr uint32_t width = R * V::lanes;
  static constexpr uint32_t keys_in_row = KeysInRow;
  static constexpr uint32_t row_bytes = KeysInRow * block_bytes;
  static constexpr uint32_t rows_bytes = row::count * row_bytes;
  static constexpr bool expands_by_words = R == 4;
  static constexpr bool ciphers_along = V::lanes > 1;
  static constexpr bool knows_usual_shapes = half_key_bytes == block_bytes;  // few ask for longer keys
  static constexpr uint32_t counters_abreast = R >= 4 ? 2 : 4;  // about eight registers in flight

  struct Block {
    Register part[R];
  };
  using State = Block;

  // One expanded key for all lanes, of which a row holds nothing but its block.
  class SameKey {
   public:
    static constexpr bool are_one = true;
    [[gnu::always_inline]] SameKey(const uint8_t* rows, bool) : rows_(rows) {}
    [[gnu::always_inline]] Block block(uint32_t row) const {
      const Register key = V::same(rows_ + row * block_bytes);
      return each([&](uint32_t) __attribute__((always_inline)) { return key; });
    }
    [[gnu::always_inline]] State state(uint32_t row) const { return block(row); }
    [[gnu::always_inline]] Register along(uint32_t row, uint32_t) const {
      return V::same(rows_ + row * block_bytes);
    }
    [[gnu::always_inline]] static constexpr bool knows_empty() { return true; }

   private:
    const uint8_t* rows_;
  };

  // Borrows the rows: a round key of a register is one load, and nothing is copied that would have to be
  // wiped.
  class RowKeys {
   public:
    static constexpr bool are_one = false;
    [[gnu::always_inline]] RowKeys(const uint8_t* rows, bool, bool knows_empty)
        : rows_(rows), knows_empty_(knows_empty) {}
    [[gnu::always_inline]] Block block(uint32_t row) const {
      return each([&](uint32_t i) __attribute__((always_inline)) {
        return V::load_row(rows_ + i * rows_bytes + row * row_bytes);
      });
    }
    [[gnu::always_inline]] State state(uint32_t row) const { return block(row); }
    // The key of one lane, in every place of a register.
    [[gnu::always_inline]] Register along(uint32_t row, uint32_t lane) const {
      return V::same(rows_ + lane / keys_in_row * rows_bytes + lane % keys_in_row * block_bytes +
                     row * row_bytes);
    }
    [[gnu::always_inline]] bool knows_empty() const { return knows_empty_; }

   private:
    const uint8_t* rows_;
    bool knows_empty_;
  };

  // Writes one block of each lane's expanded key.
  [[gnu::always_inline]] static void put_row(uint8_t* rows, uint32_t row, const Block& block) {
    for (uint32_t i = 0; i < R; ++i) V::store(rows + i * rows_bytes + row * row_bytes, block.part[i]);
  }

  template <class Operation>
  [[gnu::always_inline]] static Block each(const Operation& operation) {
    Block out;
#pragma GCC unroll 8
    for (uint32_t i = 0; i < R; ++i) out.part[i] = operation(i);
    return out;
  }

  [[gnu::always_inline]] static State enter(const Block& block) { return block; }
  [[gnu::always_inline]] static Block leave(const State& state) { return state; }
  [[gnu::always_inline]] static State round(const State& s, const State& key) {
    return each([&](uint32_t i) __attribute__((always_inline)) { return V::round(s.part[i], key.part[i]); });
  }
  [[gnu::always_inline]] static State last(const State& s, const State& key) {
    return each([&](uint32_t i) __attribute__((always_inline)) { return V::last(s.part[i], key.part[i]); });
  }
  [[gnu::always_inline]] static Block both(const Block& a, const Block& b) {
    return each([&](uint32_t i) __attribute__((always_inline)) { return V::both(a.part[i], b.part[i]); });
  }
  [[gnu::always_inline]] static Block only(const Block& a, const Block& mask) {
    return each([&](uint32_t i) __attribute__((always_inline)) { return V::only(a.part[i], mask.part[i]); });
  }
  [[gnu::always_inline]] static Block select(const Block& mask, const Block& a, const Block& b) {
    return both(b, only(both(a, b), mask));
  }
  // `from(i)` and `to(i)` are the addresses in lane i.
  template <class From>
  [[gnu::always_inline]] static Block gather(const From& from, size_t offset) {
    return each([&](uint32_t i) __attribute__((always_inline)) {
      return V::gather([&](uint32_t lane)
                           __attribute__((always_inline)) { return from(i * V::lanes + lane) + offset; });
    });
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, size_t offset, const Block& block) {
#pragma GCC unroll 8
    for (uint32_t i = 0; i < R; ++i) {
      V::scatter(
          [&](uint32_t lane) __attribute__((always_inline)) { return to(i * V::lanes + lane) + offset; },
          block.part[i]);
    }
  }
  [[gnu::always_inline]] static Block from_octets(const Octets (&octets)[width]) {
    return each([&](uint32_t i) __attribute__((always_inline)) {
      return V::load(reinterpret_cast<const uint8_t*>(octets + i * V::lanes));
    });
  }
  [[gnu::always_inline]] static void to_octets(const Block& block, Octets (&octets)[width]) {
    for (uint32_t i = 0; i < R; ++i) {
      V::store(reinterpret_cast<uint8_t*>(octets + i * V::lanes), block.part[i]);
    }
  }
  [[gnu::always_inline]] static Block same(const Octets& octets) {
    alignas(16) const Octets aligned = octets;
    const Register one = V::same(reinterpret_cast<const uint8_t*>(&aligned));
    return each([&](uint32_t) __attribute__((always_inline)) { return one; });
  }

  // Doubling in GF(2^128), RFC 5297 section 2.3: the block is one big-endian number.
  [[gnu::always_inline]] static Block doubled(const Block& block) {
    static constexpr Pattern reverse = {{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}};
    // The polynomial, and the carry between halves.
    static constexpr Pattern feedback = {{0x87, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}};
    const Register order = V::same(reverse.octets);
    const Register carries = V::same(feedback.octets);
    return each([&](uint32_t i) __attribute__((always_inline)) {
      const Register number = V::shuffled(block.part[i], order);
      const Register signs = V::half_signs_exchanged(number);
      return V::shuffled(V::both(V::sum_u64(number, number), V::only(signs, carries)), order);
    });
  }

  // Octets move `by` places towards the end (up) or the front (down); zeros follow.
  [[gnu::always_inline]] static Block moved_up(const Block& block, const uint32_t (&by)[1]) {
    return moved(block, places + 16 - by[0]);
  }
  [[gnu::always_inline]] static Block moved_down(const Block& block, const uint32_t (&by)[1]) {
    return moved(block, places + 16 + by[0]);
  }
  template <uint32_t N>
  [[gnu::always_inline]] static Block moved_up(const Block& block, const uint32_t (&by)[N]) {
    const int8_t* windows[width];
    for (uint32_t i = 0; i < width; ++i) windows[i] = places + 16 - by[i];
    return moved(block, windows);
  }
  template <uint32_t N>
  [[gnu::always_inline]] static Block moved_down(const Block& block, const uint32_t (&by)[N]) {
    const int8_t* windows[width];
    for (uint32_t i = 0; i < width; ++i) windows[i] = places + 16 + by[i];
    return moved(block, windows);
  }

  // The tag with two bits cleared, as a number to count on from (RFC 5297 section 2.6); its last four octets
  // are turned around, so that a lane counts in one addition.
  [[gnu::always_inline]] static Block counter_base(const Block& tag) {
    static constexpr Pattern clear = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  //
                                       0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}};
    const Register mask = V::same(clear.octets);
    const Register order = V::same(counter_order.octets);
    return each([&](uint32_t i) __attribute__((always_inline)) {
      return V::shuffled(V::only(tag.part[i], mask), order);
    });
  }
  // The cleared bit 31 keeps a count of blocks below 2^31 from carrying out of the last four octets.
  [[gnu::always_inline]] static Block counter(const Block& base, uint32_t number) {
    const Register order = V::same(counter_order.octets);
    const Register add = V::last_word(number);
    return each([&](uint32_t i) __attribute__((always_inline)) {
      return V::shuffled(V::sum_u32(base.part[i], add), order);
    });
  }

  // CTR along each message, one after another: registers_abreast registers of blocks at a time. The last
  // round's key is xored with the text, so the key stream never stands alone.
  template <class Keys, class From, class To, class BytesOf>
  [[gnu::always_inline]] static void cipher_along(const Keys& keys, const Block& tag, const From& from,
                                                  const To& to, const BytesOf& bytes_of) {
    alignas(64) Octets bases[width];
    const Block base = counter_base(tag);
    for (uint32_t i = 0; i < R; ++i) {
      V::store(reinterpret_cast<uint8_t*>(bases + i * V::lanes), base.part[i]);
    }
    for (uint32_t lane = 0; lane < width; ++lane) {
      // A lane without a job repeats the first: in place, it would encipher what is enciphered already.
      if (lane != 0 && to(lane) == to(0)) continue;
      Register counter =
          V::sum_u32(V::same(reinterpret_cast<const uint8_t*>(bases + lane)), V::lane_numbers(0));
      const uint8_t* read = from(lane);
      uint8_t* write = to(lane);
      uint32_t left = bytes_of(lane);
      for (; left > all_abreast_bytes; left -= all_abreast_bytes) {
        cipher_registers<registers_abreast>(keys, lane, counter, read, write, all_abreast_bytes);
        counter = V::sum_u32(counter, V::last_word(registers_abreast * V::lanes));
        read += all_abreast_bytes;
        write += all_abreast_bytes;
      }
      cipher_end<registers_abreast>(keys, lane, counter, read, write, left);
    }
  }

  // The same for texts of one length, several messages side by side: a CPU sees no further than a few chains
  // of rounds that stand one behind the other.
  template <class Keys, class From, class To>
  [[gnu::always_inline]] static void cipher_along_one_shape(const Keys& keys, const Block& tag,
                                                            const From& from, const To& to, uint32_t bytes) {
    if (bytes > all_abreast_bytes) {
      const auto same = [bytes](uint32_t) __attribute__((always_inline)) { return bytes; };
      return cipher_along(keys, tag, from, to, same);
    }
    alignas(64) Octets bases[width];
    to_octets(counter_base(tag), bases);
    cipher_lanes<registers_abreast>(keys, bases, from, to, bytes);
  }

  // equal[i] is 1 when lane i is the same in both. No branch: all octets are always compared.
  [[gnu::always_inline]] static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    for (uint32_t i = 0; i < R; ++i) V::compare(a.part[i], b.part[i], equal + i * V::lanes);
  }

  // Four registers of keys become the four words of all keys, a register of each, and back: it is its own
  // inverse. By words, a step of the expansion is one S-box and four sums for all keys of a group.
  [[gnu::always_inline]] static Block turned(const Block& block) {
    if constexpr (!expands_by_words) {
      return block;
    } else {
      const Register a = V::low_words(block.part[0], block.part[1]);
      const Register b = V::low_words(block.part[2], block.part[3]);
      const Register c = V::high_words(block.part[0], block.part[1]);
      const Register d = V::high_words(block.part[2], block.part[3]);
      return {{V::low_pairs(a, b), V::high_pairs(a, b), V::low_pairs(c, d), V::high_pairs(c, d)}};
    }
  }

  // `key` and what is returned are turned. The S-box of the rotated last word comes out of the cipher's last
  // round, and the round constant is its key. By words the shuffle undoes ShiftRows beforehand; with four
  // equal columns ShiftRows moves nothing.
  [[gnu::always_inline]] static Block next_round_key(const Block& key, uint8_t round_constant) {
    const Register constant = V::each_word(round_constant);
    if constexpr (expands_by_words) {
      static constexpr Pattern rotate_all = {{1, 14, 11, 4, 5, 2, 15, 8, 9, 6, 3, 12, 13, 10, 7, 0}};
      const Register word = V::last(V::shuffled(key.part[3], V::same(rotate_all.octets)), constant);
      const Register first = V::both(key.part[0], word);
      const Register second = V::all(key.part[0], key.part[1], word);
      const Register third = V::both(key.part[2], second);
      return {{first, second, third, V::all(key.part[2], key.part[3], second)}};
    } else {
      static constexpr Pattern rotate = {{13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12}};
      const Register order = V::same(rotate.octets);
      return each([&](uint32_t i) __attribute__((always_inline)) {
        const Register word = V::last(V::shuffled(key.part[i], order), constant);
        const Register pair = V::both(key.part[i], V::word_up(key.part[i]));
        return V::all(pair, V::two_words_up(pair), word);
      });
    }
  }

 private:
  static constexpr uint32_t register_bytes = V::lanes * block_bytes;
  static constexpr uint32_t registers_abreast = 8 / V::lanes;  // 128 octets: an answer's text with one cookie
  static constexpr uint32_t all_abreast_bytes = registers_abreast * register_bytes;

  // As many registers as hold `bytes`, 0 to Count * register_bytes.
  template <uint32_t Count, class Keys>
  [[gnu::always_inline]] static void cipher_end(const Keys& keys, uint32_t lane, Register counter,
                                                const uint8_t* read, uint8_t* write, uint32_t bytes) {
    if (bytes > (Count - 1) * register_bytes) {
      cipher_registers<Count>(keys, lane, counter, read, write, bytes);
    } else if constexpr (Count > 1) {
      cipher_end<Count - 1>(keys, lane, counter, read, write, bytes);
    }
  }
  // `Count` registers, of which the last may hold fewer octets.
  template <uint32_t Count, class Keys>
  [[gnu::always_inline]] static void cipher_registers(const Keys& keys, uint32_t lane, Register counter,
                                                      const uint8_t* read, uint8_t* write, uint32_t bytes) {
    const Register order = V::same(counter_order.octets);
    const Register first = keys.along(row::ctr + whiten, lane);
    Register state[Count];
#pragma GCC unroll 8
    for (uint32_t n = 0; n < Count; ++n) {
      const Register number = n == 0 ? counter : V::sum_u32(counter, V::last_word(n * V::lanes));
      state[n] = V::both(first, V::shuffled(number, order));
    }
#pragma GCC unroll 16
    for (uint32_t number = 1; number < last_round; ++number) {
      const Register key = keys.along(row::ctr + number, lane);
#pragma GCC unroll 8
      for (uint32_t n = 0; n < Count; ++n) state[n] = V::round(state[n], key);
    }
    const Register last_key = keys.along(row::ctr + last_round, lane);
    const uint32_t rest = bytes - (Count - 1) * register_bytes;
#pragma GCC unroll 8
    for (uint32_t n = 0; n < Count; ++n) {
      const uint32_t at = n * register_bytes;
      if (n + 1 < Count || rest == register_bytes) {
        V::store(write + at, V::last(state[n], V::both(last_key, V::load(read + at))));
      } else {
        V::store_part(write + at, V::last(state[n], V::both(last_key, V::load_part(read + at, rest))), rest);
      }
    }
  }

  // Texts of more than Count - 1 registers; fewer are passed on.
  template <uint32_t Count, class Keys, class From, class To>
  [[gnu::always_inline]] static void cipher_lanes(const Keys& keys, const Octets (&bases)[width],
                                                  const From& from, const To& to, uint32_t bytes) {
    if constexpr (Count > 1) {
      if (bytes <= (Count - 1) * register_bytes) return cipher_lanes<Count - 1>(keys, bases, from, to, bytes);
    }
    constexpr uint32_t chains = 16 / V::lanes;  // as many as hide the latency of a round
    constexpr uint32_t most = chains / Count;
    constexpr uint32_t together = most < width ? most : width;
    static_assert(width % together == 0);
    for (uint32_t lane = 0; lane < width; lane += together) {
      // A lane without a job repeats the first: in place, it would encipher what is enciphered already. Here
      // it repeats one that is read at the same time.
      if (lane != 0 && to(lane) == to(0)) break;
      uint32_t lanes[together];
      for (uint32_t i = 0; i < together; ++i) lanes[i] = i != 0 && to(lane + i) == to(0) ? lane : lane + i;
      if (bytes == Count * register_bytes) {
        cipher_together<Count, true>(keys, bases, from, to, bytes, lanes);
      } else {
        cipher_together<Count, false>(keys, bases, from, to, bytes, lanes);
      }
    }
  }
  // `Count` registers of each of the messages in `lanes`. All is read before anything is written.
  template <uint32_t Count, bool Whole, class Keys, class From, class To, uint32_t Lanes>
  [[gnu::always_inline]] static void cipher_together(const Keys& keys, const Octets (&bases)[width],
                                                     const From& from, const To& to, uint32_t bytes,
                                                     const uint32_t (&lanes)[Lanes]) {
    const Register order = V::same(counter_order.octets);
    const uint32_t rest = bytes - (Count - 1) * register_bytes;
    Register state[Lanes][Count];
    const auto for_all = [&](const auto& what) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (uint32_t i = 0; i < Lanes; ++i) {
#pragma GCC unroll 8
        for (uint32_t n = 0; n < Count; ++n) what(i, n);
      }
    };
    Register key[Lanes];
    const auto fetch = [&](uint32_t number) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (uint32_t i = 0; i < Lanes; ++i) key[i] = keys.along(row::ctr + number, lanes[i]);
    };
    fetch(whiten);
    for_all([&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
      const Register base = V::same(reinterpret_cast<const uint8_t*>(bases + lanes[i]));
      const Register number = V::sum_u32(base, V::lane_numbers(n * V::lanes));
      state[i][n] = V::both(key[i], V::shuffled(number, order));
    });
#pragma GCC unroll 16
    for (uint32_t number = 1; number < last_round; ++number) {
      fetch(number);
      for_all([&](uint32_t i, uint32_t n)
                  __attribute__((always_inline)) { state[i][n] = V::round(state[i][n], key[i]); });
    }
    fetch(last_round);
    for_all([&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
      const uint8_t* read = from(lanes[i]) + n * register_bytes;
      const Register text = Whole || n + 1 < Count ? V::load(read) : V::load_part(read, rest);
      state[i][n] = V::last(state[i][n], V::both(key[i], text));
    });
    for_all([&](uint32_t i, uint32_t n) __attribute__((always_inline)) {
      uint8_t* write = to(lanes[i]) + n * register_bytes;
      if (Whole || n + 1 < Count) {
        V::store(write, state[i][n]);
      } else {
        V::store_part(write, state[i][n], rest);
      }
    });
  }

  static constexpr Pattern counter_order = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 14, 13, 12}};

  [[gnu::always_inline]] static Block moved(const Block& block, const int8_t* window) {
    const Register order = V::same(reinterpret_cast<const uint8_t*>(window));
    return each([&](uint32_t i) __attribute__((always_inline)) { return V::shuffled(block.part[i], order); });
  }
  [[gnu::always_inline]] static Block moved(const Block& block, const int8_t* const (&windows)[width]) {
    const Block order = gather([&](uint32_t i) { return reinterpret_cast<const uint8_t*>(windows[i]); }, 0);
    return each([&](uint32_t i)
                    __attribute__((always_inline)) { return V::shuffled(block.part[i], order.part[i]); });
  }
};

}  // namespace
}  // namespace nts::siv
