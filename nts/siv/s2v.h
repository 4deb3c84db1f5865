// S2V in lanes (RFC 5297 section 2.4): CMACs of the associated data, the nonce and the plaintext, joined.
//
// Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/lanes.h"

namespace nts::siv {
namespace {

// How the plaintext of a lane is cut. The last 16 octets are xored with S2V's running value D (or the padded
// message with D doubled, below 16 octets); what lies before them does not need D and runs early.
struct Cut {
  uint32_t early_blocks;  // whole blocks without D
  uint32_t tail_bytes;    // octets in the last block: 1..16, 0 for an empty plaintext
  bool two_blocks;        // D spans the last two blocks
  bool is_short;          // below 16 octets
};

[[gnu::always_inline]] inline Cut cut(uint32_t bytes) {
  const uint32_t tail = bytes % block_bytes;
  if (bytes < block_bytes) return {0, tail, false, true};
  if (tail == 0) return {bytes / block_bytes - 1, block_bytes, false, false};
  return {bytes / block_bytes - 1, tail, true, false};
}

// The last one or two blocks of S2V's final CMAC: `d` over the components, `early` over the early blocks.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block finish_s2v(const Keys& keys, const Job* jobs,
                                                           const typename L::Block& d,
                                                           const typename L::State& early) {
  PerShape<L> up;    // octets in the last block; D moves so far into the block before it
  PerShape<L> down;  // and its rest to the front of the last
  PerShape<L> is_two;
  PerShape<L> is_short;
  PerShape<L> bytes;
  uint32_t twos = 0, shorts = 0;
  for (uint32_t i = 0; i < shapes<L>; ++i) {
    bytes[i] = jobs[i].plaintext_bytes;
    const Cut c = cut(bytes[i]);
    is_two[i] = c.two_blocks;
    is_short[i] = c.is_short;
    twos += c.two_blocks;
    shorts += c.is_short;
    up[i] = c.tail_bytes;
    down[i] = c.two_blocks ? block_bytes - c.tail_bytes : 0;
  }
  const Column plaintext(jobs->plaintext);
  const auto before = [&](uint32_t i) __attribute__((always_inline)) {
    const uint8_t* end = plaintext(i) + bytes[i % shapes<L>];
    if constexpr (has_one_shape<L>) return end - up[0] - block_bytes;
    return is_two[i % shapes<L>] != 0 ? end - up[i % shapes<L>] - block_bytes : zero_block;
  };
  const typename L::Block tail = load_tails<L>(plaintext, bytes, up, shorts == 0);
  typename L::Block d_last = d;
  if (shorts != 0) d_last = select<L>(is_short, L::doubled(d), d);
  const typename L::Block subkey = select<L>(is_two, keys.block(row::padded), keys.block(row::whole));
  if (twos != 0) d_last = L::moved_down(d_last, down);
  const typename L::State last_block = L::enter(L::both(L::both(tail, subkey), d_last));

  typename L::State state = early;
  const typename L::State first_key = keys.state(row::mac + whiten);
  if (twos != 0) {
    const typename L::State block = L::enter(L::both(L::gather(before, 0), L::moved_up(d, up)));
    typename L::State ahead = L::both(L::both(state, first_key), block);
    mac_rounds<L>(keys, ahead);
    if (twos == shapes<L>) {
      state = L::last(ahead, L::both(keys.state(row::fold), last_block));
    } else {
      ahead = L::last(ahead, keys.state(row::mac + last_round));
      const typename L::State mask = L::enter(lane_mask<L>(is_two));
      state = L::both(L::both(state, L::only(L::both(state, ahead), mask)), L::both(first_key, last_block));
    }
  } else {
    state = L::both(state, L::both(first_key, last_block));
  }
  mac_rounds<L>(keys, state);
  return L::leave(L::last(state, keys.state(row::mac + last_round)));
}

// S2V(associated data, nonce, plaintext) of each lane: the tag.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block s2v(const Keys& keys, const Job* jobs) {
  Chain<L> data{Column(jobs->associated_data)};
  Chain<L> nonce{Column(jobs->nonce)};
  Chain<L> early{Column(jobs->plaintext)};
  PerShape<L> bytes;
  PerShape<L> has_nonce;
  PerShape<L> blocks;
  uint32_t all_data_bytes = 0, nonces = 0, early_lanes = 0;

  for (uint32_t i = 0; i < shapes<L>; ++i) {
    bytes[i] = jobs[i].associated_data_bytes;
    all_data_bytes |= bytes[i];
  }
  const bool data_is_cached = keys.knows_empty() && all_data_bytes == 0;
  if (!data_is_cached) set_message<L>(keys, data, bytes, true);

  for (uint32_t i = 0; i < shapes<L>; ++i) {
    bytes[i] = jobs[i].nonce_bytes;
    has_nonce[i] = bytes[i] != 0;
    nonces += has_nonce[i];
  }
  if (nonces != 0) set_message<L>(keys, nonce, bytes, false);

  for (uint32_t i = 0; i < shapes<L>; ++i) {
    blocks[i] = cut(jobs[i].plaintext_bytes).early_blocks;
    early_lanes += blocks[i] != 0;
  }
  if (early_lanes != 0) {
    const auto last_early = [&](uint32_t i) __attribute__((always_inline)) {
      const uint32_t own = blocks[i % shapes<L>];
      return own == 0 ? zero_block : early.message(i) + (own - 1) * block_bytes;
    };
    set_lengths<L>(early, blocks);
    early.final_block = L::gather(last_early, 0);
  }

  // The three do not need each other. The nonce, nearly always one block, runs beside one block of another
  // chain, and so do as many early blocks as there are steps of associated data.
  typename L::State data_state{}, nonce_state{}, early_state{};
  if (data.steps >= early.steps) {
    const uint32_t with_nonce = nonce.steps < data.steps - early.steps ? nonce.steps : 0;
    run_chains<L>(keys, data.steps - early.steps - with_nonce, data, data_state);
    run_chains<L>(keys, with_nonce, data, data_state, nonce, nonce_state);
    run_chains<L>(keys, early.steps, data, data_state, early, early_state);
    run_chains<L>(keys, nonce.steps - with_nonce, nonce, nonce_state);
  } else {
    const uint32_t with_nonce = nonce.steps <= early.steps - data.steps ? nonce.steps : 0;
    run_chains<L>(keys, early.steps - data.steps - with_nonce, early, early_state);
    run_chains<L>(keys, with_nonce, early, early_state, nonce, nonce_state);
    run_chains<L>(keys, data.steps, data, data_state, early, early_state);
    run_chains<L>(keys, nonce.steps - with_nonce, nonce, nonce_state);
  }

  typename L::Block d = keys.block(row::s2v_empty);
  if (!data_is_cached) {
    d = L::both(keys.block(row::s2v_start), L::leave(L::last(data_state, keys.state(row::mac + last_round))));
  }
  if (nonces != 0) {
    const typename L::Block added =
        L::both(L::doubled(d), L::leave(L::last(nonce_state, keys.state(row::mac + last_round))));
    d = select<L>(has_nonce, added, d);
  }
  if (early_lanes != 0) {
    early_state = L::last(early_state, keys.state(row::mac + last_round));
    if (early_lanes != shapes<L>) early_state = L::only(early_state, L::enter(lane_mask<L>(blocks)));
  }
  return finish_s2v<L>(keys, jobs, d, early_state);
}

}  // namespace
}  // namespace nts::siv
