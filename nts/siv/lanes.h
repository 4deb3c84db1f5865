// AES-SIV written once, for any kind of lane. A lane is a packet.
//
// Rules: RFC 5297 (S2V and CTR), RFC 4493 (CMAC). AES inside one packet is a serial chain, so speed comes
// from running the same step of several packets side by side. A tier brings a type `L` that says how
// `L::width` packets are held and how they go through one AES round; everything else is here:
//
//   L::Block            one block of 16 octets of each packet, in octet order
//   L::State            the same inside the cipher (bitsliced, or simply the Block)
//   L::SameKey          the expanded key that all lanes share: `are_one`
//   L::RowKeys          expanded keys of their own; whatever it copies it wipes
//   L::knows_usual_shapes whether usual.h is compiled for it too
//   L::ciphers_along    whether CTR runs along one message (L::cipher_along) or across the lanes
//   L::counters_abreast across: how many counter blocks of each lane run together
//
// Every name has internal linkage, and nothing but kernel.h is included: each tier compiles its own copy with
// its own instructions, and the linker can never exchange one for another.
//
// Branches and addresses depend on lengths and counts alone, which anybody on the wire can see.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "nts/siv/kernel.h"
#include "nts/siv/octets.h"

namespace nts::siv {
namespace {

// Of an AES-SIV key, which has two halves: AES-128, AES-192 or AES-256. A tier file serves one size and is
// compiled once for each (siv_384_aesni_x4.cc says how).
#ifndef NOONMARK_SIV_KEY_BITS
#define NOONMARK_SIV_KEY_BITS 256
#endif
constexpr uint32_t half_key_bytes = NOONMARK_SIV_KEY_BITS / 16;
constexpr uint32_t round_keys = half_key_bytes / 4 + 7;
constexpr uint32_t whiten = 0, last_round = round_keys - 1;

// One expanded key is this many blocks. A row holds the same block of as many keys as stand side by
// side in one register of the tier, so that a round key of several packets is one load.
namespace row {
constexpr uint32_t mac = 0;
constexpr uint32_t ctr = round_keys;
constexpr uint32_t whole = 2 * round_keys;  // CMAC subkey K1: the last block is whole
constexpr uint32_t padded = whole + 1;      // CMAC subkey K2: the last block was padded
constexpr uint32_t fold =
    whole + 2;  // mac[last_round] xor mac[0]: the end of one block and the start of the next
constexpr uint32_t s2v_start = whole + 3;  // doubled CMAC(zero block): S2V before its first component
constexpr uint32_t s2v_empty = whole + 4;  // S2V after an empty component; only in a RingKeySchedule
constexpr uint32_t count = whole + 5;
}  // namespace row

// ---- Lanes of one shape ----

// The same lanes, in a group whose messages all have the same three lengths, as those of nearly every burst
// do. Everything below is compiled for such a group too: there each length is one number and not `width`
// equal ones, no lane begins late, and half of the instructions fall away.
template <class L>
struct OneShape : L {};

template <class L>
constexpr bool has_one_shape = false;
template <class L>
constexpr bool has_one_shape<OneShape<L>> = true;

// How many lanes may differ in length, and a fact about the length of each of these.
template <class L>
constexpr uint32_t shapes = has_one_shape<L> ? 1 : L::width;
template <class L>
using PerShape = uint32_t[shapes<L>];

// One pointer of each of the jobs of a group: a lane's message.
struct Column {
  const uint8_t* first;
  uint32_t offset;

  template <class Pointer>
  [[gnu::always_inline]] explicit Column(Pointer* const& of_first_job, uint32_t beyond = 0)
      : first(reinterpret_cast<const uint8_t*>(&of_first_job)), offset(beyond) {}
  [[gnu::always_inline]] uint8_t* operator()(uint32_t lane) const {
    uint8_t* message;
    __builtin_memcpy(&message, first + lane * sizeof(Job), sizeof message);
    return message + offset;
  }
};

// ---- AES rounds over one or several chains of each lane ----

// Rounds 1 to the last but one. The round key is fetched once for all chains.
template <class L, class Keys, class... State>
[[gnu::always_inline]] inline void mac_rounds(const Keys& keys, State&... state) {
  const auto round = [&](uint32_t number) __attribute__((always_inline)) {
    const typename L::State key = keys.state(row::mac + number);
    ((state = L::round(state, key)), ...);
  };
  round(1), round(2), round(3), round(4), round(5), round(6), round(7), round(8), round(9);
  if constexpr (last_round > 10) round(10), round(11);
  if constexpr (last_round > 12) round(12), round(13);
}

// ---- CMAC ----

// One CMAC in each lane, of messages that may differ in length. Lanes end together, so a shorter message
// begins later: until then its lane runs on zeros, and its state is cleared when it begins.
template <class L>
struct Chain {
  Column message;
  PerShape<L> begin{};  // the step at which the lane begins; `steps` for a lane without a block
  uint32_t step = 0;
  uint32_t steps = 0;
  uint32_t ragged = 0;              // the last step at which a lane begins; 0 when all have one length
  typename L::Block final_block{};  // with padding and subkey, made beforehand
};

template <class L>
[[gnu::always_inline]] inline void set_lengths(Chain<L>& chain, const PerShape<L>& blocks) {
  if constexpr (has_one_shape<L>) {
    chain.steps = blocks[0];
    return;
  }
  for (uint32_t i = 0; i < shapes<L>; ++i) chain.steps = blocks[i] > chain.steps ? blocks[i] : chain.steps;
  for (uint32_t i = 0; i < shapes<L>; ++i) {
    chain.begin[i] = chain.steps - blocks[i];
    chain.ragged = chain.begin[i] > chain.ragged ? chain.begin[i] : chain.ragged;
  }
}

// All ones in the lanes where `on` is not 0.
template <class L>
[[gnu::always_inline]] inline typename L::Block lane_mask(const PerShape<L>& on) {
  Octets octets[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint64_t word = on[i % shapes<L>] != 0 ? ~uint64_t{0} : 0;
    octets[i] = {word, word};
  }
  return L::from_octets(octets);
}

// `a` in the lanes where `on` is not 0, `b` in the others.
template <class L>
[[gnu::always_inline]] inline typename L::Block select(const PerShape<L>& on, const typename L::Block& a,
                                                       const typename L::Block& b) {
  if constexpr (has_one_shape<L>) {
    return on[0] != 0 ? a : b;
  } else {
    return L::select(lane_mask<L>(on), a, b);
  }
}

// The steps at which lanes are still beginning.
template <class L, class Keys>
[[gnu::noinline]] void absorb_ragged(const Keys& keys, Chain<L>& chain, typename L::State& state) {
  PerShape<L> running;
  for (uint32_t i = 0; i < shapes<L>; ++i) running[i] = chain.step > chain.begin[i];
  const auto from = [&](uint32_t i) -> const uint8_t* {
    const bool reads = chain.step >= chain.begin[i] && chain.step + 1 < chain.steps;
    return reads ? chain.message(i) + (chain.step - chain.begin[i]) * block_bytes : zero_block;
  };
  const bool is_final = chain.step + 1 == chain.steps;
  const typename L::Block block = is_final ? chain.final_block : L::gather(from, 0);
  const typename L::State begun = L::both(keys.state(row::mac + whiten), L::enter(block));
  if (chain.step == 0) {
    state = begun;
  } else {
    const typename L::State mask = L::enter(lane_mask<L>(running));
    state = L::both(begun, L::only(L::last(state, keys.state(row::mac + last_round)), mask));
  }
}

// The block that all lanes absorb at this step, once all have begun.
template <class L>
[[gnu::always_inline]] inline typename L::Block next_block(const Chain<L>& chain) {
  if (chain.step + 1 == chain.steps) return chain.final_block;
  if constexpr (has_one_shape<L>) {
    return L::gather(chain.message, chain.step * block_bytes);
  } else {
    return L::gather([&](uint32_t i) { return chain.message(i) - chain.begin[i] * block_bytes; },
                     chain.step * block_bytes);
  }
}

// Takes the next block into the state and whitens it for round 1.
template <class L, class Keys>
[[gnu::always_inline]] inline void absorb(const Keys& keys, Chain<L>& chain, typename L::State& state) {
  if constexpr (!has_one_shape<L>) {
    if (chain.ragged != 0 && chain.step <= chain.ragged) {
      absorb_ragged<L>(keys, chain, state);
      ++chain.step;
      return;
    }
  }
  const typename L::State block = L::enter(next_block<L>(chain));
  if (chain.step == 0) {
    state = L::both(keys.state(row::mac + whiten), block);
  } else {
    state = L::last(state, L::both(keys.state(row::fold), block));
  }
  ++chain.step;
}

template <class L, class Keys>
[[gnu::always_inline]] inline void run_chains(const Keys& keys, uint32_t steps, Chain<L>& a,
                                              typename L::State& state_a) {
  typename L::State s = state_a;
  for (; steps > 0; --steps) {
    absorb<L>(keys, a, s);
    mac_rounds<L>(keys, s);
  }
  state_a = s;
}

template <class L, class Keys>
[[gnu::always_inline]] inline void run_chains(const Keys& keys, uint32_t steps, Chain<L>& a,
                                              typename L::State& state_a, Chain<L>& b,
                                              typename L::State& state_b) {
  typename L::State s = state_a;
  typename L::State t = state_b;
  for (; steps > 0; --steps) {
    absorb<L>(keys, a, s);
    absorb<L>(keys, b, t);
    mac_rounds<L>(keys, s, t);
  }
  state_a = s;
  state_b = t;
}

// The last `tail_bytes`, 0 to 16, of messages of `bytes`, with RFC 4493's padding unless they are 16. Where
// `all_long` says that no message is shorter than 16 octets there is no branch: what stands before the tail
// is loaded too, and moved out.
template <class L>
[[gnu::always_inline]] inline typename L::Block load_tails(const Column& message, const PerShape<L>& bytes,
                                                           const PerShape<L>& tail_bytes, bool all_long) {
  const auto end = [&](uint32_t i) __attribute__((always_inline)) {
    return message(i) + bytes[i % shapes<L>];
  };
  if (all_long) {
    PerShape<L> before;
    for (uint32_t i = 0; i < shapes<L>; ++i) before[i] = block_bytes - tail_bytes[i];
    const auto last_block = [&](uint32_t i) __attribute__((always_inline)) { return end(i) - block_bytes; };
    return L::both(L::moved_down(L::gather(last_block, 0), before),
                   L::moved_up(L::same({0x80, 0}), tail_bytes));
  }
  if constexpr (has_one_shape<L>) {
    if (tail_bytes[0] == 0) return L::same({0x80, 0});
  }
  Octets octets[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint32_t tail = tail_bytes[i % shapes<L>];
    octets[i] = tail == block_bytes ? load_some(end(i) - tail, tail)
                                    : load_padded(tail == 0 ? zero_block : end(i) - tail, tail);
  }
  return L::from_octets(octets);
}

// A CMAC chain over whole messages: `final_block` gets padding and subkey.
template <class L, class Keys>
[[gnu::always_inline]] inline void set_message(const Keys& keys, Chain<L>& chain, const PerShape<L>& bytes,
                                               bool empty_is_a_block) {
  PerShape<L> blocks;
  PerShape<L> is_whole;
  PerShape<L> tail_bytes;
  bool all_long = true;
  for (uint32_t i = 0; i < shapes<L>; ++i) {
    blocks[i] = (bytes[i] + block_bytes - 1) / block_bytes;
    if (blocks[i] == 0 && empty_is_a_block) blocks[i] = 1;
    is_whole[i] = bytes[i] != 0 && bytes[i] % block_bytes == 0;
    tail_bytes[i] = is_whole[i] != 0 ? block_bytes : bytes[i] % block_bytes;
    all_long = all_long && bytes[i] >= block_bytes;
  }
  set_lengths<L>(chain, blocks);
  chain.final_block = L::both(load_tails<L>(chain.message, bytes, tail_bytes, all_long),
                              select<L>(is_whole, keys.block(row::whole), keys.block(row::padded)));
}

}  // namespace
}  // namespace nts::siv
