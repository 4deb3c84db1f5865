// Key expansion in lanes (FIPS 197 section 5.2), and the table of functions that makes a tier of a lane type.
//
// Beside the round keys a schedule keeps what every message under the key needs again: the CMAC subkeys (RFC
// 4493 section 2.3) and S2V's start. Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/groups.h"

namespace nts::siv {
namespace {

// Expands both halves of each key side by side, for neither waits for the other, and encrypts zero under the
// CMAC half on the way: each round key goes into the cipher as soon as it exists. Returns zero encrypted.
template <class L>
[[gnu::always_inline]] inline typename L::Block expand_halves(const uint8_t* const (&keys)[L::width],
                                                              uint8_t* rows) {
  const auto key = [&](uint32_t i) __attribute__((always_inline)) { return keys[i]; };
  typename L::Block mac = L::gather(key, 0);
  typename L::Block ctr = L::gather(key, block_bytes);
  typename L::State state = L::enter(mac);
  L::put_row(rows, row::mac, mac);
  L::put_row(rows, row::ctr, ctr);
  const typename L::Block first = mac;
  const auto next = [&](uint32_t number, uint8_t round_constant) __attribute__((always_inline)) {
    mac = L::next_round_key(mac, round_constant);
    ctr = L::next_round_key(ctr, round_constant);
    L::put_row(rows, row::mac + number, mac);
    L::put_row(rows, row::ctr + number, ctr);
  };
  const auto step = [&](uint32_t number, uint8_t round_constant) __attribute__((always_inline)) {
    next(number, round_constant);
    state = L::round(state, L::enter(mac));
  };
  step(1, 0x01), step(2, 0x02), step(3, 0x04), step(4, 0x08), step(5, 0x10);
  step(6, 0x20), step(7, 0x40), step(8, 0x80), step(9, 0x1b);
  next(10, 0x36);
  L::put_row(rows, row::fold, L::both(first, mac));
  return L::leave(L::last(state, L::enter(mac)));
}

// Encrypts one block of each lane under the expanded CMAC key.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block encrypt(const Keys& keys, const typename L::Block& block) {
  typename L::State state = L::both(keys.state(row::mac + whiten), L::enter(block));
  mac_rounds<L>(keys, state);
  return L::leave(L::last(state, keys.state(row::mac + last_round)));
}

// Fills the rows of L::width keys of 32 octets each.
template <class L>
[[gnu::noinline]] void expand_group(const uint8_t* const (&keys)[L::width], uint8_t* rows) {
  const typename L::Block whole = L::doubled(expand_halves<L>(keys, rows));
  L::put_row(rows, row::whole, whole);
  L::put_row(rows, row::padded, L::doubled(whole));
  // CMAC of the zero block: its one block is whole, so it is the subkey itself that is encrypted.
  const typename L::RowKeys expanded(rows, false, false);
  L::put_row(rows, row::s2v_start, L::doubled(encrypt<L>(expanded, whole)));
}

// The groups are those of run_one_shape, whose lanes without a job take the key of the first.
template <class L>
void expand_in_order(const uint8_t* const* keys, uint32_t first, uint32_t count, KeyTable* table) {
  while (count > 0 && !fits_narrower<L>(count)) {
    const uint32_t part = count < L::width ? count : L::width;
    const uint8_t* group[L::width];
    for (uint32_t i = 0; i < L::width; ++i) group[i] = keys[first + (i < part ? i : 0)];
    expand_group<L>(group, table->bytes + first / L::keys_in_row * L::rows_bytes);
    first += part;
    count -= part;
  }
  if constexpr (!is_void<NarrowerOf<L>>) {
    if (count > 0) expand_in_order<NarrowerOf<L>>(keys, first, count, table);
  }
}

template <class L>
void expand_table(const uint8_t* const* keys, uint32_t count, KeyTable* table) {
  static_assert(key_table_keys_max / L::keys_in_row * L::rows_bytes <= table_count_at);
  static_assert(key_table_keys_max % L::width == 0);
  expand_in_order<L>(keys, 0, count, table);
  __builtin_memcpy(table->bytes + table_count_at, &count, sizeof count);
}

template <class L>
struct NarrowestLanes {
  using Type = L;
};
template <class L>
requires(!is_void<NarrowerOf<L>>) struct NarrowestLanes<L> : NarrowestLanes<NarrowerOf<L>> {
};

// One key in all lanes, of which the first is kept.
template <class Tier>
void expand_ring(const uint8_t* key, RingKeySchedule* schedule) {
  using L = typename NarrowestLanes<Tier>::Type;
  static_assert(row::count * block_bytes <= sizeof(RingKeySchedule));
  const uint8_t* keys[L::width];
  for (uint32_t i = 0; i < L::width; ++i) keys[i] = key;
  alignas(64) uint8_t rows[all_rows_bytes<L>];
  expand_group<L>(keys, rows);
  // CMAC of the empty message, added to S2V's start: what an empty component comes to.
  const typename L::RowKeys expanded(rows, false, false);
  const typename L::Block empty =
      encrypt<L>(expanded, L::both(L::same({0x80, 0}), expanded.block(row::padded)));
  L::put_row(rows, row::s2v_empty, L::both(expanded.block(row::s2v_start), empty));
  for (uint32_t row = 0; row < row::count; ++row) {
    __builtin_memcpy(schedule->bytes + row * block_bytes, rows + row * L::row_bytes, block_bytes);
  }
  __builtin_memset(rows, 0, sizeof rows);
  __asm__ __volatile__("" : : "r"(rows) : "memory");  // the stores are not dead
}

// The table of a tier whose lanes are `L`.
template <class L>
constexpr Kernels make_kernels(const char* name, const char* instruction_sets, int (*cpu_can_run)(void)) {
  return {name,
          instruction_sets,
          L::width,
          cpu_can_run,
          expand_ring<L>,
          expand_table<L>,
          open_jobs<L>,
          seal_jobs<L>,
          open_jobs_with_ring_keys<L>,
          seal_jobs_with_ring_key<L>};
}

}  // namespace
}  // namespace nts::siv
