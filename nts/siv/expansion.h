// Key expansion in lanes (FIPS 197 section 5.2), and the table of functions that makes a tier of a lane type.
//
// Beside the round keys a schedule keeps what every message under the key needs again: the CMAC subkeys (RFC
// 4493 section 2.3) and S2V's start. Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/cookies.h"
#include "nts/siv/long_keys.h"

namespace nts::siv {
namespace {

// Which halves of a key a message needs: an empty plaintext is never enciphered.
enum class Halves { both, mac_only };

// Encrypts one block of each lane under the expanded CMAC key.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block encrypt(const Keys& keys, const typename L::Block& block) {
  typename L::State state = L::both(keys.state(row::mac + whiten), L::enter(block));
  mac_rounds<L>(keys, state);
  return L::leave(L::last(state, keys.state(row::mac + last_round)));
}

// Expands the halves of each key side by side, for neither waits for the other, and encrypts zero under the
// CMAC half on the way: each round key goes into the cipher as soon as it exists. Returns zero encrypted.
template <class L, Halves halves>
[[gnu::always_inline]] inline typename L::Block expand_halves(const uint8_t* const (&keys)[L::width],
                                                              uint8_t* rows) {
  const auto key = [&](uint32_t i) __attribute__((always_inline)) { return keys[i]; };
  const typename L::Block first = L::gather(key, 0);
  typename L::Block mac = L::turned(first);
  typename L::Block ctr;
  typename L::Block round_key = first;
  typename L::State state = L::enter(first);
  L::put_row(rows, row::mac, first);
  if constexpr (halves == Halves::both) {
    const typename L::Block ctr_first = L::gather(key, block_bytes);
    ctr = L::turned(ctr_first);
    L::put_row(rows, row::ctr, ctr_first);
  }
  const auto next = [&](uint32_t number, uint8_t round_constant) __attribute__((always_inline)) {
    mac = L::next_round_key(mac, round_constant);
    round_key = L::turned(mac);
    L::put_row(rows, row::mac + number, round_key);
    if constexpr (halves == Halves::both) {
      ctr = L::next_round_key(ctr, round_constant);
      L::put_row(rows, row::ctr + number, L::turned(ctr));
    }
  };
  const auto step = [&](uint32_t number, uint8_t round_constant) __attribute__((always_inline)) {
    next(number, round_constant);
    state = L::round(state, L::enter(round_key));
  };
  step(1, 0x01), step(2, 0x02), step(3, 0x04), step(4, 0x08), step(5, 0x10);
  step(6, 0x20), step(7, 0x40), step(8, 0x80), step(9, 0x1b);
  next(10, 0x36);
  L::put_row(rows, row::fold, L::both(first, round_key));
  return L::leave(L::last(state, L::enter(round_key)));
}

// The same for AES-192 and AES-256.
template <class L, Halves halves>
[[gnu::always_inline]] inline typename L::Block expand_long_halves(const uint8_t* const (&keys)[L::width],
                                                                   uint8_t* rows) {
  expand_long_half<L>(keys, 0, rows, row::mac);
  if constexpr (halves == Halves::both) expand_long_half<L>(keys, half_key_bytes, rows, row::ctr);
  const typename L::RowKeys expanded(rows, false, false);
  L::put_row(rows, row::fold,
             L::both(expanded.block(row::mac + whiten), expanded.block(row::mac + last_round)));
  return encrypt<L>(expanded, L::same({0, 0}));
}

// Fills the rows of L::width keys.
template <class L, Halves halves>
[[gnu::noinline]] void expand_group(const uint8_t* const (&keys)[L::width], uint8_t* rows) {
  typename L::Block zero_encrypted;
  if constexpr (half_key_bytes == block_bytes) {
    zero_encrypted = expand_halves<L, halves>(keys, rows);
  } else {
    zero_encrypted = expand_long_halves<L, halves>(keys, rows);
  }
  const typename L::Block whole = L::doubled(zero_encrypted);
  L::put_row(rows, row::whole, whole);
  L::put_row(rows, row::padded, L::doubled(whole));
  // CMAC of the zero block: its one block is whole, so it is the subkey itself that is encrypted.
  const typename L::RowKeys expanded(rows, false, false);
  L::put_row(rows, row::s2v_start, L::doubled(encrypt<L>(expanded, whole)));
}

// The groups are those of run_one_shape, whose lanes without a job take the key of the first.
template <class L, Halves halves>
void expand_in_order(const uint8_t* const* keys, uint32_t first, uint32_t count, KeyTable* table) {
  while (count > 0 && !fits_narrower<L>(count)) {
    const uint32_t part = count < L::width ? count : L::width;
    const uint8_t* group[L::width];
    for (uint32_t i = 0; i < L::width; ++i) group[i] = keys[first + (i < part ? i : 0)];
    expand_group<L, halves>(group, table->bytes + first / L::keys_in_row * L::rows_bytes);
    first += part;
    count -= part;
  }
  if constexpr (!is_void<NarrowerOf<L>>) {
    if (count > 0) expand_in_order<NarrowerOf<L>, halves>(keys, first, count, table);
  }
}

template <class L, Halves halves>
void expand_table(const uint8_t* const* keys, uint32_t count, KeyTable* table) {
  static_assert(key_table_keys_max / L::keys_in_row * L::rows_bytes <= table_count_at);
  static_assert(key_table_keys_max % L::width == 0);
  expand_in_order<L, halves>(keys, 0, count, table);
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
  expand_group<L, Halves::both>(keys, rows);
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
          2 * half_key_bytes,
          cpu_can_run,
          expand_ring<L>,
          expand_table<L, Halves::both>,
          expand_table<L, Halves::mac_only>,
          open_jobs<L>,
          seal_jobs<L>,
          open_jobs_with_ring_keys<L>,
          seal_jobs_with_ring_key<L>,
          open_cookies<L>,
          seal_cookies<L>};
}

}  // namespace
}  // namespace nts::siv
