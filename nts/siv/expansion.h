// Key expansion in lanes (FIPS 197 section 5.2), and the table of functions that makes a tier of a lane type.
//
// Beside the round keys a schedule keeps what every message under the key needs again: the CMAC subkeys (RFC
// 4493 section 2.3) and S2V's start. Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/lanes.h"

namespace nts::siv {
namespace {

// Expands one half of each key at `keys + offset` and encrypts `text` under it on the way: each round key
// goes into the cipher as soon as it exists.
template <class L>
[[gnu::always_inline]] inline typename L::Block expand_and_encrypt(const uint8_t* const (&keys)[L::width],
                                                                   uint32_t offset,
                                                                   uint8_t* const (&to)[L::width],
                                                                   uint32_t to_offset) {
  typename L::Block key = L::gather(keys, offset);
  L::scatter(to, to_offset, key);
  typename L::State state = L::enter(key);
  const auto next = [&](uint32_t number, uint8_t round_constant) __attribute__((always_inline)) {
    key = L::next_round_key(key, round_constant);
    L::scatter(to, to_offset + number * block_bytes, key);
  };
  const auto step = [&](uint32_t number, uint8_t round_constant) __attribute__((always_inline)) {
    next(number, round_constant);
    state = L::round(state, L::enter(key));
  };
  step(1, 0x01), step(2, 0x02), step(3, 0x04), step(4, 0x08), step(5, 0x10);
  step(6, 0x20), step(7, 0x40), step(8, 0x80), step(9, 0x1b);
  next(10, 0x36);
  return L::leave(L::last(state, L::enter(key)));
}

// Encrypts one block of each lane under the expanded CMAC key.
template <class L>
[[gnu::always_inline]] inline typename L::Block encrypt(const typename L::Keys& keys,
                                                        const typename L::Block& block) {
  typename L::State state = L::both(keys.mac(whiten), L::enter(block));
  mac_rounds<L>(keys, state);
  return L::leave(L::last(state, keys.mac(last_round)));
}

// Fills the schedules of L::width keys of 32 octets each.
template <class L>
[[gnu::noinline]] void expand_group(const uint8_t* const (&keys)[L::width],
                                    Schedule* const (&schedules)[L::width]) {
  uint8_t* to[L::width];
  const Schedule* expanded[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    to[i] = reinterpret_cast<uint8_t*>(schedules[i]);
    expanded[i] = schedules[i];
  }
  const typename L::Block zero_encrypted = expand_and_encrypt<L>(keys, 0, to, offsetof(Schedule, mac));
  (void)expand_and_encrypt<L>(keys, block_bytes, to, offsetof(Schedule, ctr));
  const typename L::Block whole = L::doubled(zero_encrypted);
  const typename L::Block padded = L::doubled(whole);
  L::scatter(to, offsetof(Schedule, whole), whole);
  L::scatter(to, offsetof(Schedule, padded), padded);
  const uint8_t* from[L::width];
  for (uint32_t i = 0; i < L::width; ++i) from[i] = to[i];
  L::scatter(to, offsetof(Schedule, fold),
             L::both(L::gather(from, offsetof(Schedule, mac)),
                     L::gather(from, offsetof(Schedule, mac) + last_round * block_bytes)));
  // CMAC of the zero block: its one block is whole, so it is the subkey itself that is encrypted.
  const typename L::Keys mac_keys(expanded, false, false);
  L::scatter(to, offsetof(Schedule, s2v_start), L::doubled(encrypt<L>(mac_keys, whole)));
}

// CMAC of the empty message, added to S2V's start: what an empty component comes to.
template <class L>
[[gnu::noinline]] void add_empty_component(Schedule* const (&schedules)[L::width]) {
  const Schedule* expanded[L::width];
  uint8_t* to[L::width];
  Octets padding[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    expanded[i] = schedules[i];
    to[i] = reinterpret_cast<uint8_t*>(schedules[i]);
    padding[i] = {0x80, 0};
  }
  const typename L::Keys keys(expanded, false, false);
  const typename L::Block mac = encrypt<L>(keys, L::both(L::from_octets(padding), keys.padded()));
  L::scatter(to, offsetof(Schedule, s2v_empty), L::both(keys.s2v_start(), mac));
}

template <class L>
void expand_table(const uint8_t* const* keys, uint32_t count, KeyTable* table) {
  for (uint32_t at = 0; at < count; at += L::width) {
    const uint8_t* group[L::width];
    Schedule* schedules[L::width];
    for (uint32_t i = 0; i < L::width; ++i) {
      const uint32_t key = at + i < count ? at + i : at;  // a lane without a key repeats the first
      group[i] = keys[key];
      schedules[i] = reinterpret_cast<Schedule*>(table->bytes + key * table_stride_bytes);
    }
    expand_group<L>(group, schedules);
  }
}

template <class L>
void expand_ring(const uint8_t* key, RingKeySchedule* schedule) {
  const uint8_t* group[L::width];
  Schedule* schedules[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    group[i] = key;
    schedules[i] = reinterpret_cast<Schedule*>(schedule->bytes);
  }
  expand_group<L>(group, schedules);
  add_empty_component<L>(schedules);
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
