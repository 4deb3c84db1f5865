// Lanes made of vector registers: `Count` registers of R::lanes packets each.
//
// R says how one register is handled: memory, a round of AES, a product of two polynomials of 64 bits.
#pragma once

#include "nts/gcm_siv/lanes.h"

namespace nts::gcm_siv {
namespace {

// For a shuffle: 16 octets of it are an order that moves octets; 0x80 stands for a zero.
constexpr uint8_t octet_orders[48] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0,    1,    2,    3,    4,    5,    6,    7,
                                      8,    9,    10,   11,   12,   13,   14,   15,   0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

template <class R, uint32_t Count>
struct RegisterLanes {
  using Register = typename R::Register;
  static constexpr uint32_t width = R::lanes * Count;
  static constexpr bool has_narrower = false;
  struct Block {
    Register at[Count];
  };
  using State = Block;
  struct Product {  // of 256 bits: low, high, and what lies across
    Register low[Count], middle[Count], high[Count];
  };

  [[gnu::always_inline]] static const State& enter(const Block& block) { return block; }
  [[gnu::always_inline]] static const Block& leave(const State& state) { return state; }

  template <class Function>
  [[gnu::always_inline]] static Block each(const Function& function) {
    Block out;
    for (uint32_t r = 0; r < Count; ++r) out.at[r] = function(r);
    return out;
  }

  // ---- Memory ----

  [[gnu::always_inline]] static Block load_row(const uint8_t* row) {
    return each([&](uint32_t r)
                    __attribute__((always_inline)) { return R::load(row + r * sizeof(Register)); });
  }
  [[gnu::always_inline]] static void store_row(uint8_t* row, const Block& block) {
    for (uint32_t r = 0; r < Count; ++r) R::store(row + r * sizeof(Register), block.at[r]);
  }
  template <class From>
  [[gnu::always_inline]] static Block gather(const From& from) {
    return each([&](uint32_t r) __attribute__((always_inline)) {
      return R::gather([&](uint32_t i) __attribute__((always_inline)) { return from(r * R::lanes + i); });
    });
  }
  template <class To>
  [[gnu::always_inline]] static void scatter(const To& to, const Block& block) {
    for (uint32_t r = 0; r < Count; ++r) {
      R::scatter(
          [&](uint32_t i) __attribute__((always_inline)) { return to(r * R::lanes + i); }, block.at[r]);
    }
  }
  [[gnu::always_inline]] static Block from_octets(const Octets (&octets)[width]) {
    return each([&](uint32_t r)
                    __attribute__((always_inline)) { return R::from_octets(octets + r * R::lanes); });
  }
  [[gnu::always_inline]] static void to_octets(const Block& block, Octets (&octets)[width]) {
    for (uint32_t r = 0; r < Count; ++r) {
      R::store(reinterpret_cast<uint8_t*>(octets + r * R::lanes), block.at[r]);
    }
  }
  [[gnu::always_inline]] static Block same(const Octets& octets) {
    return each([&](uint32_t) __attribute__((always_inline)) { return R::same(octets.low, octets.high); });
  }

  // ---- The cipher ----

  [[gnu::always_inline]] static State round(const State& a, const State& key) {
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::round(a.at[r], key.at[r]); });
  }
  [[gnu::always_inline]] static State last(const State& a, const State& key) {
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::last(a.at[r], key.at[r]); });
  }
  // FIPS 197 section 5.2. The last word, turned, stands in all four columns: shifting rows changes nothing.
  [[gnu::always_inline]] static Block next_round_key(const Block& key, uint8_t round_constant) {
    const Register constant = R::each_word(round_constant);
    const Register order = R::each_word(0x0c0f0e0d);
    return each([&](uint32_t r) __attribute__((always_inline)) {
      const Register word = R::last(R::shuffled(key.at[r], order), constant);
      Register sum = R::both(key.at[r], R::word_up(key.at[r]));
      sum = R::both(sum, R::half_up(sum));
      return R::both(sum, word);
    });
  }

  // ---- Octets ----

  [[gnu::always_inline]] static Block both(const Block& a, const Block& b) {
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::both(a.at[r], b.at[r]); });
  }
  // Octets move `by` places, 0 to 16, towards the front (down) or the end (up); zeros follow.
  [[gnu::always_inline]] static Block moved_down(const Block& a, uint32_t by) { return ordered(a, 16 + by); }
  [[gnu::always_inline]] static Block moved_up(const Block& a, uint32_t by) { return ordered(a, 16 - by); }
  [[gnu::always_inline]] static Block low_halves(const Block& a, const Block& b) {
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::low_halves(a.at[r], b.at[r]); });
  }
  [[gnu::always_inline]] static Block counted(const Block& a, uint32_t number) {
    const Register added = R::same(number, 0);
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::sum_u32(a.at[r], added); });
  }
  [[gnu::always_inline]] static Block without_top_bit(const Block& a) {
    const Register mask = R::same(~uint64_t{0}, ~uint64_t{0} >> 1);
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::only(a.at[r], mask); });
  }
  [[gnu::always_inline]] static Block with_top_bit(const Block& a) {
    const Register bit = R::same(0, uint64_t{1} << 63);
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::either(a.at[r], bit); });
  }
  [[gnu::always_inline]] static void compare(const Block& a, const Block& b, uint32_t (&equal)[width]) {
    for (uint32_t r = 0; r < Count; ++r) R::compare(a.at[r], b.at[r], equal + r * R::lanes);
  }

  // ---- POLYVAL's field (RFC 8452 section 3) ----

  [[gnu::always_inline]] static Product product(const Block& a, const Block& b) {
    Product out;
    for (uint32_t r = 0; r < Count; ++r) {
      out.low[r] = R::template multiplied<0x00>(a.at[r], b.at[r]);
      out.high[r] = R::template multiplied<0x11>(a.at[r], b.at[r]);
      out.middle[r] = R::both(R::template multiplied<0x01>(a.at[r], b.at[r]),
                              R::template multiplied<0x10>(a.at[r], b.at[r]));
    }
    return out;
  }
  [[gnu::always_inline]] static Product added(const Product& a, const Product& b) {
    Product out;
    for (uint32_t r = 0; r < Count; ++r) {
      out.low[r] = R::both(a.low[r], b.low[r]);
      out.middle[r] = R::both(a.middle[r], b.middle[r]);
      out.high[r] = R::both(a.high[r], b.high[r]);
    }
    return out;
  }
  // a * b + c * d, register by register: all products at once would not fit the registers.
  [[gnu::always_inline]] static Block folded(const Block& a, const Block& b, const Block& c, const Block& d) {
    using One = RegisterLanes<R, 1>;
    return each([&](uint32_t r) __attribute__((always_inline)) {
      return One::reduced(One::added(One::product({a.at[r]}, {b.at[r]}), One::product({c.at[r]}, {d.at[r]})))
          .at[0];
    });
  }
  // Times x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1: 64 bits at a time the low end is cleared by
  // adding a multiple of the modulus, whose upper half but for the top bit is the constant.
  [[gnu::always_inline]] static Block reduced(const Product& p) {
    const Register modulus = R::same(0xc200000000000000ULL, 0xc200000000000000ULL);
    return each([&](uint32_t r) __attribute__((always_inline)) {
      Register low = R::both(p.low[r], R::half_up(p.middle[r]));
      const Register high = R::both(p.high[r], R::half_down(p.middle[r]));
      low = R::both(R::exchanged(low), R::template multiplied<0x00>(low, modulus));
      low = R::both(R::exchanged(low), R::template multiplied<0x00>(low, modulus));
      return R::both(high, low);
    });
  }

 private:
  [[gnu::always_inline]] static Block ordered(const Block& a, uint32_t from) {
    const Octets octets = siv::load_some(octet_orders + from, block_bytes);
    const Register order = R::same(octets.low, octets.high);
    return each([&](uint32_t r) __attribute__((always_inline)) { return R::shuffled(a.at[r], order); });
  }
};

}  // namespace
}  // namespace nts::gcm_siv
