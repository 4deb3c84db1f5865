// AES-SIV written once, for any kind of lane. A lane is a packet.
//
// Rules: RFC 5297 (S2V and CTR), RFC 4493 (CMAC). AES inside one packet is a serial chain, so speed comes
// from running the same step of several packets side by side. A tier brings a type `L` that says how
// `L::width` packets are held and how they go through one AES round; everything else is here:
//
//   L::Block   one block of 16 octets of each packet, in octet order
//   L::State   the same inside the cipher (bitsliced, or simply the Block)
//   L::Keys    the expanded keys of the packets in flight; whatever it copies it wipes
//
// Every name has internal linkage, and nothing but kernel.h is included: each tier compiles its own copy with
// its own instructions, and the linker can never exchange one for another.
//
// Branches and addresses depend on lengths and counts alone, which anybody on the wire can see.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "nts/siv/kernel.h"

namespace nts::siv {
namespace {

constexpr uint32_t block_bytes = 16;
constexpr uint32_t round_keys = 11;  // AES-128: ten rounds
constexpr uint32_t whiten = 0, last_round = round_keys - 1;

// 16 octets as two little-endian words.
struct Octets {
  uint64_t low, high;
};

// One expanded 32-octet key. Both KeyTable and RingKeySchedule hold these.
struct alignas(16) Schedule {
  uint8_t mac[round_keys][block_bytes];
  uint8_t ctr[round_keys][block_bytes];
  uint8_t whole[block_bytes];      // CMAC subkey K1: the last block is whole
  uint8_t padded[block_bytes];     // CMAC subkey K2: the last block was padded
  uint8_t fold[block_bytes];       // mac[10] xor mac[0]: the end of one block and the start of the next
  uint8_t s2v_start[block_bytes];  // doubled CMAC(zero block): S2V before its first component
  uint8_t s2v_empty[block_bytes];  // S2V after an empty component; only in a RingKeySchedule
};
constexpr uint32_t table_stride_bytes = sizeof(KeyTable) / key_table_keys_max;
static_assert(sizeof(Schedule) <= table_stride_bytes);
static_assert(sizeof(Schedule) <= sizeof(RingKeySchedule));

alignas(16) constexpr uint8_t zero_block[block_bytes] = {};

// ---- A few octets at a time. No read or write leaves the message. ----

template <class Word>
[[gnu::always_inline]] inline uint64_t load_word(const uint8_t* at) {
  Word word;
  __builtin_memcpy(&word, at, sizeof(word));
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && sizeof(Word) > 1) {
    return __builtin_bswap64(word) >> (64 - 8 * sizeof(Word));
  }
  return word;
}

template <class Word>
[[gnu::always_inline]] inline void store_word(uint8_t* at, uint64_t value) {
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && sizeof(Word) > 1) {
    value = __builtin_bswap64(value << (64 - 8 * sizeof(Word)));
  }
  const Word word = static_cast<Word>(value);
  __builtin_memcpy(at, &word, sizeof(word));
}

// The first `bytes` < 8 octets, zeros behind. Two loads that may overlap: the shared octets are equal.
[[gnu::always_inline]] inline uint64_t load_few(const uint8_t* at, uint32_t bytes) {
  if (bytes >= 4) return load_word<uint32_t>(at) | load_word<uint32_t>(at + bytes - 4) << (8 * (bytes - 4));
  if (bytes >= 2) return load_word<uint16_t>(at) | load_word<uint16_t>(at + bytes - 2) << (8 * (bytes - 2));
  return bytes == 1 ? *at : 0;
}

// The first `bytes` <= 16 octets, zeros behind.
[[gnu::always_inline]] inline Octets load_some(const uint8_t* at, uint32_t bytes) {
  if (bytes >= 16) return {load_word<uint64_t>(at), load_word<uint64_t>(at + 8)};
  if (bytes >= 8) return {load_word<uint64_t>(at), load_few(at + 8, bytes - 8)};
  return {load_few(at, bytes), 0};
}

// The first `bytes` < 16 octets with RFC 4493's padding: one bit, then zeros.
[[gnu::always_inline]] inline Octets load_padded(const uint8_t* at, uint32_t bytes) {
  Octets octets = load_some(at, bytes);
  const uint64_t bit = uint64_t{0x80} << (8 * (bytes & 7));
  if (bytes < 8) {
    octets.low |= bit;
  } else {
    octets.high |= bit;
  }
  return octets;
}

[[gnu::always_inline]] inline void store_some(uint8_t* at, Octets octets, uint32_t bytes) {
  uint64_t rest = octets.low;
  if (bytes >= 8) {
    store_word<uint64_t>(at, octets.low);
    at += 8;
    rest = octets.high;
  }
  if (bytes >= 16) {
    store_word<uint64_t>(at, rest);
    return;
  }
  if ((bytes & 4) != 0) {
    store_word<uint32_t>(at, rest);
    at += 4;
    rest >>= 32;
  }
  if ((bytes & 2) != 0) {
    store_word<uint16_t>(at, rest);
    at += 2;
    rest >>= 16;
  }
  if ((bytes & 1) != 0) store_word<uint8_t>(at, rest);
}

// Keeps the octets when `keep` is 1 and clears them when it is 0, with the same loads and stores.
[[gnu::always_inline]] inline void keep_or_wipe(uint8_t* at, uint32_t bytes, uint32_t keep) {
  uint64_t mask = uint64_t{0} - keep;
  __asm__("" : "+r"(mask));  // The compiler may not know that it is all or nothing and branch on it.
  typedef uint64_t Pair __attribute__((vector_size(16)));
  const Pair pair_mask = {mask, mask};
  for (; bytes >= block_bytes; bytes -= block_bytes, at += block_bytes) {
    Pair pair;
    __builtin_memcpy(&pair, at, block_bytes);
    pair &= pair_mask;
    __builtin_memcpy(at, &pair, block_bytes);
  }
  for (; bytes > 0; --bytes, ++at) *at = static_cast<uint8_t>(*at & mask);
}

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

// The lane that tells the lengths of lane i.
template <class L>
constexpr uint32_t length_lane(uint32_t i) {
  return has_one_shape<L> ? 0 : i;
}

// ---- AES rounds over one, two or three chains of each lane ----

// Rounds 1 to 9. The round key is fetched once for all chains.
template <class L, class... State>
[[gnu::always_inline]] inline void mac_rounds(const typename L::Keys& keys, State&... state) {
  const auto round = [&](uint32_t number) __attribute__((always_inline)) {
    const typename L::State key = keys.mac(number);
    ((state = L::round(state, key)), ...);
  };
  round(1), round(2), round(3), round(4), round(5), round(6), round(7), round(8), round(9);
}

template <class L, class... State>
[[gnu::always_inline]] inline void ctr_rounds(const typename L::Keys& keys, State&... state) {
  const auto round = [&](uint32_t number) __attribute__((always_inline)) {
    const typename L::State key = keys.ctr(number);
    ((state = L::round(state, key)), ...);
  };
  round(1), round(2), round(3), round(4), round(5), round(6), round(7), round(8), round(9);
}

// ---- CMAC ----

// One CMAC in each lane, of messages that may differ in length. Lanes end together, so a shorter message
// begins later: until then its lane runs on zeros, and its state is cleared when it begins.
template <class L>
struct Chain {
  const uint8_t* next[L::width];  // the block that comes next, once the lane has begun
  uint32_t begin[L::width];       // the step at which the lane begins; `steps` for a lane without a block
  uint32_t step = 0;
  uint32_t steps = 0;
  uint32_t ragged = 0;              // the last step at which a lane begins; 0 when all have one length
  typename L::Block final_block{};  // with padding and subkey, made beforehand
};

template <class L>
[[gnu::always_inline]] inline void set_lengths(Chain<L>& chain, const uint32_t (&blocks)[L::width]) {
  if constexpr (has_one_shape<L>) {
    chain.steps = blocks[0];
    return;
  }
  for (uint32_t i = 0; i < L::width; ++i) chain.steps = blocks[i] > chain.steps ? blocks[i] : chain.steps;
  for (uint32_t i = 0; i < L::width; ++i) {
    chain.begin[i] = chain.steps - blocks[i];
    chain.ragged = chain.begin[i] > chain.ragged ? chain.begin[i] : chain.ragged;
  }
}

// All ones in the lanes where `on` is not 0.
template <class L>
typename L::Block lane_mask(const uint32_t (&on)[L::width]) {
  Octets octets[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint64_t word = on[i] != 0 ? ~uint64_t{0} : 0;
    octets[i] = {word, word};
  }
  return L::from_octets(octets);
}

// The steps at which lanes are still beginning.
template <class L>
[[gnu::noinline]] void absorb_ragged(const typename L::Keys& keys, Chain<L>& chain,
                                     typename L::State& state) {
  const uint8_t* from[L::width];
  uint32_t running[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    running[i] = chain.step > chain.begin[i];
    const bool reads = chain.step >= chain.begin[i] && chain.step + 1 < chain.steps;
    from[i] = reads ? chain.next[i] : zero_block;
    if (reads) chain.next[i] += block_bytes;
  }
  const bool is_final = chain.step + 1 == chain.steps;
  const typename L::Block block = is_final ? chain.final_block : L::gather(from, 0);
  const typename L::State begun = L::both(keys.mac(whiten), L::enter(block));
  if (chain.step == 0) {
    state = begun;
  } else {
    const typename L::State mask = L::enter(lane_mask<L>(running));
    state = L::both(begun, L::only(L::last(state, keys.mac(last_round)), mask));
  }
}

// Takes the next block into the state and whitens it for round 1.
template <class L>
[[gnu::always_inline]] inline void absorb(const typename L::Keys& keys, Chain<L>& chain,
                                          typename L::State& state) {
  if constexpr (!has_one_shape<L>) {
    if (chain.ragged != 0 && chain.step <= chain.ragged) {
      absorb_ragged<L>(keys, chain, state);
      ++chain.step;
      return;
    }
  }
  typename L::Block block;
  if (chain.step + 1 == chain.steps) {
    block = chain.final_block;
  } else {
    block = L::gather(chain.next, 0);
    for (uint32_t i = 0; i < L::width; ++i) chain.next[i] += block_bytes;
  }
  if (chain.step == 0) {
    state = L::both(keys.mac(whiten), L::enter(block));
  } else {
    state = L::last(state, L::both(keys.fold(), L::enter(block)));
  }
  ++chain.step;
}

template <class L>
[[gnu::always_inline]] inline void run_chains(const typename L::Keys& keys, uint32_t steps, Chain<L>& a,
                                              typename L::State& state_a) {
  typename L::State s = state_a;
  for (; steps > 0; --steps) {
    absorb<L>(keys, a, s);
    mac_rounds<L>(keys, s);
  }
  state_a = s;
}

template <class L>
[[gnu::always_inline]] inline void run_chains(const typename L::Keys& keys, uint32_t steps, Chain<L>& a,
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

// The last `tail_bytes`, 1 to 16, of messages that end at `end` and have at least 16 octets, with RFC 4493's
// padding. Without a branch: what stands before them is loaded too, and moved out.
template <class L>
[[gnu::always_inline]] inline typename L::Block load_tails(const uint8_t* const (&end)[L::width],
                                                           const uint32_t (&tail_bytes)[L::width]) {
  const uint8_t* last_block[L::width];
  uint32_t before[L::width];
  Octets padding[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    last_block[i] = end[i] - block_bytes;
    before[i] = block_bytes - tail_bytes[i];
    padding[i] = {0x80, 0};
  }
  return L::both(L::moved_down(L::gather(last_block, 0), before),
                 L::moved_up(L::from_octets(padding), tail_bytes));
}

// A CMAC chain over whole messages: `final_block` gets padding and subkey.
template <class L>
[[gnu::always_inline]] inline void set_message(const typename L::Keys& keys, Chain<L>& chain,
                                               const uint8_t* const (&message)[L::width],
                                               const uint32_t (&bytes)[L::width], bool empty_is_a_block) {
  uint32_t blocks[L::width];
  uint32_t is_whole[L::width];
  uint32_t tail_bytes[L::width];
  const uint8_t* final_at[L::width];
  const uint8_t* end[L::width];
  bool all_whole = true;
  bool none_whole = true;
  bool all_long = true;
  for (uint32_t i = 0; i < L::width; ++i) {
    blocks[i] = (bytes[i] + block_bytes - 1) / block_bytes;
    is_whole[i] = bytes[i] != 0 && bytes[i] % block_bytes == 0;
    final_at[i] = blocks[i] == 0 ? message[i] : message[i] + (blocks[i] - 1) * block_bytes;
    if (blocks[i] == 0 && empty_is_a_block) blocks[i] = 1;
    all_whole = all_whole && is_whole[i] != 0;
    none_whole = none_whole && is_whole[i] == 0;
    all_long = all_long && bytes[i] >= block_bytes;
    tail_bytes[i] = is_whole[i] != 0 ? block_bytes : bytes[i] % block_bytes;
    end[i] = message[i] + bytes[i];
    chain.next[i] = message[i];
  }
  set_lengths<L>(chain, blocks);
  if (all_whole) {
    chain.final_block = L::both(L::gather(final_at, 0), keys.whole());
    return;
  }
  const typename L::Block subkey =
      none_whole ? keys.padded() : L::select(lane_mask<L>(is_whole), keys.whole(), keys.padded());
  if (all_long) {
    chain.final_block = L::both(load_tails<L>(end, tail_bytes), subkey);
    return;
  }
  Octets octets[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    octets[i] =
        is_whole[i] != 0 ? load_some(final_at[i], block_bytes) : load_padded(final_at[i], tail_bytes[i]);
  }
  chain.final_block = L::both(L::from_octets(octets), subkey);
}

// ---- S2V ----

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
template <class L>
[[gnu::always_inline]] inline typename L::Block finish_s2v(const typename L::Keys& keys,
                                                           Job* const (&jobs)[L::width],
                                                           const typename L::Block& d,
                                                           const typename L::State& early) {
  uint32_t up[L::width];    // octets in the last block; D moves so far into the block before it
  uint32_t down[L::width];  // and its rest to the front of the last
  uint32_t is_two[L::width];
  uint32_t is_short[L::width];
  uint32_t is_padded[L::width];
  const uint8_t* before[L::width];
  const uint8_t* end[L::width];
  uint32_t twos = 0, shorts = 0;
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint32_t bytes = jobs[length_lane<L>(i)]->plaintext_bytes;
    const uint8_t* plaintext = jobs[i]->plaintext;
    const Cut c = cut(bytes);
    is_two[i] = is_padded[i] = c.two_blocks;
    is_short[i] = c.is_short;
    twos += c.two_blocks;
    shorts += c.is_short;
    up[i] = c.tail_bytes;
    down[i] = c.two_blocks ? block_bytes - c.tail_bytes : 0;
    before[i] = c.two_blocks ? plaintext + c.early_blocks * block_bytes : zero_block;
    end[i] = plaintext + bytes;
  }
  typename L::Block tail;
  if (shorts == 0) {
    tail = load_tails<L>(end, up);
  } else {
    Octets octets[L::width];
    for (uint32_t i = 0; i < L::width; ++i) {
      const uint8_t* tail_at = up[i] == 0 ? zero_block : end[i] - up[i];
      octets[i] = up[i] == block_bytes ? load_some(tail_at, block_bytes) : load_padded(tail_at, up[i]);
    }
    tail = L::from_octets(octets);
  }
  typename L::Block d_last = d;
  typename L::Block subkey = keys.whole();
  if (shorts == L::width) {
    d_last = L::doubled(d);
  } else if (shorts != 0) {
    d_last = L::select(lane_mask<L>(is_short), L::doubled(d), d);
  }
  if (twos != 0) {
    d_last = L::moved_down(d_last, down);
    subkey = twos == L::width ? keys.padded() : L::select(lane_mask<L>(is_padded), keys.padded(), subkey);
  }
  const typename L::State last_block = L::enter(L::both(L::both(tail, subkey), d_last));

  typename L::State state = early;
  if (twos != 0) {
    const typename L::State block = L::enter(L::both(L::gather(before, 0), L::moved_up(d, up)));
    typename L::State ahead = L::both(L::both(state, keys.mac(whiten)), block);
    mac_rounds<L>(keys, ahead);
    if (twos == L::width) {
      state = L::last(ahead, L::both(keys.fold(), last_block));
    } else {
      ahead = L::last(ahead, keys.mac(last_round));
      const typename L::State mask = L::enter(lane_mask<L>(is_two));
      state = L::both(L::both(state, L::only(L::both(state, ahead), mask)),
                      L::both(keys.mac(whiten), last_block));
    }
  } else {
    state = L::both(state, L::both(keys.mac(whiten), last_block));
  }
  mac_rounds<L>(keys, state);
  return L::leave(L::last(state, keys.mac(last_round)));
}

// S2V(associated data, nonce, plaintext) of each lane: the tag.
template <class L>
[[gnu::always_inline]] inline typename L::Block s2v(const typename L::Keys& keys,
                                                    Job* const (&jobs)[L::width]) {
  Chain<L> data, nonce, early;
  const uint8_t* at[L::width];
  uint32_t bytes[L::width];
  uint32_t blocks[L::width];
  uint32_t has_nonce[L::width];
  uint32_t all_data_bytes = 0, nonces = 0, early_lanes = 0;

  for (uint32_t i = 0; i < L::width; ++i) {
    at[i] = jobs[i]->associated_data;
    bytes[i] = jobs[length_lane<L>(i)]->associated_data_bytes;
    all_data_bytes |= bytes[i];
  }
  const bool data_is_cached = keys.knows_empty() && all_data_bytes == 0;
  if (!data_is_cached) set_message<L>(keys, data, at, bytes, true);

  for (uint32_t i = 0; i < L::width; ++i) {
    at[i] = jobs[i]->nonce;
    bytes[i] = jobs[length_lane<L>(i)]->nonce_bytes;
    has_nonce[i] = bytes[i] != 0;
    nonces += has_nonce[i];
  }
  if (nonces != 0) set_message<L>(keys, nonce, at, bytes, false);

  for (uint32_t i = 0; i < L::width; ++i) {
    blocks[i] = cut(jobs[length_lane<L>(i)]->plaintext_bytes).early_blocks;
    early_lanes += blocks[i] != 0;
    early.next[i] = jobs[i]->plaintext;
    at[i] = blocks[i] == 0 ? zero_block : jobs[i]->plaintext + (blocks[i] - 1) * block_bytes;
  }
  if (early_lanes != 0) {
    set_lengths<L>(early, blocks);
    early.final_block = L::gather(at, 0);
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

  typename L::Block d;
  if (data_is_cached) {
    d = keys.s2v_empty();
  } else {
    d = L::both(keys.s2v_start(), L::leave(L::last(data_state, keys.mac(last_round))));
  }
  if (nonces != 0) {
    const typename L::Block added =
        L::both(L::doubled(d), L::leave(L::last(nonce_state, keys.mac(last_round))));
    d = nonces == L::width ? added : L::select(lane_mask<L>(has_nonce), added, d);
  }
  if (early_lanes != 0) {
    early_state = L::last(early_state, keys.mac(last_round));
    if (early_lanes != L::width) early_state = L::only(early_state, L::enter(lane_mask<L>(blocks)));
  }
  return finish_s2v<L>(keys, jobs, d, early_state);
}

// ---- CTR ----

// The last round's key is xored with the text, so the keystream never stands alone. Two counter blocks of
// each lane run together.
template <class L>
[[gnu::always_inline]] inline void apply_ctr(const typename L::Keys& keys, const typename L::Block& tag,
                                             const uint8_t* const (&from)[L::width],
                                             uint8_t* const (&to)[L::width],
                                             const uint32_t (&bytes)[L::width]) {
  uint32_t longest = 0;
  uint32_t shortest = ~uint32_t{0};
  for (uint32_t i = 0; i < L::width; ++i) {
    longest = bytes[i] > longest ? bytes[i] : longest;
    shortest = bytes[i] < shortest ? bytes[i] : shortest;
  }
  if (longest == 0) return;
  const typename L::Block base = L::counter_base(tag);
  const typename L::State first = keys.ctr(whiten);
  const typename L::State last = keys.ctr(last_round);
  uint32_t done = 0;
  for (; done + 2 * block_bytes <= shortest; done += 2 * block_bytes) {
    const uint32_t number = done / block_bytes;
    typename L::State a = L::both(first, L::enter(L::counter(base, number)));
    typename L::State b = L::both(first, L::enter(L::counter(base, number + 1)));
    ctr_rounds<L>(keys, a, b);
    const typename L::Block text_a = L::leave(L::last(a, L::both(last, L::enter(L::gather(from, done)))));
    const typename L::Block text_b =
        L::leave(L::last(b, L::both(last, L::enter(L::gather(from, done + block_bytes)))));
    L::scatter(to, done, text_a);
    L::scatter(to, done + block_bytes, text_b);
  }
  for (; done < longest; done += block_bytes) {
    typename L::State a = L::both(first, L::enter(L::counter(base, done / block_bytes)));
    ctr_rounds<L>(keys, a);
    Octets text[L::width];
    uint32_t rest[L::width];
    for (uint32_t i = 0; i < L::width; ++i) {
      rest[i] = bytes[i] <= done ? 0 : bytes[i] - done < block_bytes ? bytes[i] - done : block_bytes;
      text[i] = rest[i] == 0 ? Octets{0, 0} : load_some(from[i] + done, rest[i]);
    }
    L::to_octets(L::leave(L::last(a, L::both(last, L::enter(L::from_octets(text))))), text);
    for (uint32_t i = 0; i < L::width; ++i) {
      if (rest[i] != 0) store_some(to[i] + done, text[i], rest[i]);
    }
  }
}

// ---- One group of packets ----

template <uint32_t Width>
struct Group {
  Job* jobs[Width];
  const Schedule* schedules[Width];
};

template <uint32_t Width>
[[gnu::always_inline]] inline bool is_one_shape(const Group<Width>& group) {
  const Job& first = *group.jobs[0];
  uint32_t differs = 0;
  for (uint32_t i = 1; i < Width; ++i) {
    const Job& job = *group.jobs[i];
    differs |= (job.associated_data_bytes ^ first.associated_data_bytes) |
               (job.nonce_bytes ^ first.nonce_bytes) | (job.plaintext_bytes ^ first.plaintext_bytes);
  }
  return differs == 0;
}

template <uint32_t Width>
[[gnu::always_inline]] inline bool has_plaintext(const Group<Width>& group) {
  uint32_t any = 0;
  for (uint32_t i = 0; i < Width; ++i) any |= group.jobs[i]->plaintext_bytes;
  return any != 0;
}

template <class L>
[[gnu::noinline]] void open_group(const Group<L::width>& group, bool knows_empty) {
  const typename L::Keys keys(group.schedules, has_plaintext(group), knows_empty);
  const uint8_t* sealed[L::width];
  const uint8_t* from[L::width];
  uint8_t* to[L::width];
  uint32_t bytes[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    sealed[i] = group.jobs[i]->sealed;
    from[i] = group.jobs[i]->sealed + block_bytes;
    to[i] = group.jobs[i]->plaintext;
    bytes[i] = group.jobs[length_lane<L>(i)]->plaintext_bytes;
  }
  const typename L::Block tag = L::gather(sealed, 0);
  apply_ctr<L>(keys, tag, from, to, bytes);
  uint32_t authentic[L::width];
  L::compare(s2v<L>(keys, group.jobs), tag, authentic);
  for (uint32_t i = 0; i < L::width; ++i) {
    keep_or_wipe(to[i], bytes[i], authentic[i]);
    group.jobs[i]->authentic = authentic[i];
  }
}

template <class L>
[[gnu::noinline]] void seal_group(const Group<L::width>& group, bool knows_empty) {
  const typename L::Keys keys(group.schedules, has_plaintext(group), knows_empty);
  const uint8_t* from[L::width];
  uint8_t* sealed[L::width];
  uint8_t* to[L::width];
  uint32_t bytes[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    from[i] = group.jobs[i]->plaintext;
    sealed[i] = group.jobs[i]->sealed;
    to[i] = group.jobs[i]->sealed + block_bytes;
    bytes[i] = group.jobs[length_lane<L>(i)]->plaintext_bytes;
  }
  const typename L::Block tag = s2v<L>(keys, group.jobs);
  apply_ctr<L>(keys, tag, from, to, bytes);
  L::scatter(sealed, 0, tag);
}

template <class L>
void open_any_group(const Group<L::width>& group, bool knows_empty) {
  is_one_shape(group) ? open_group<OneShape<L>>(group, knows_empty) : open_group<L>(group, knows_empty);
}

template <class L>
void seal_any_group(const Group<L::width>& group, bool knows_empty) {
  is_one_shape(group) ? seal_group<OneShape<L>>(group, knows_empty) : seal_group<L>(group, knows_empty);
}

// ---- A call: groups of lanes from an array of jobs ----

// Jobs of like length share a group, because a group takes as long as its longest lane.
inline uint64_t length_rank(const Job& job) {
  return (uint64_t{job.plaintext_bytes} + 15) / 16 << 32 | (uint64_t{job.associated_data_bytes} + 15) / 16;
}

constexpr uint32_t sort_jobs_max = 64;

// Writes the order in which `count` <= sort_jobs_max jobs fill the lanes. Returns at once for the usual burst
// of one shape.
inline void order_by_length(const Job* jobs, uint32_t count, uint8_t (&order)[sort_jobs_max]) {
  uint32_t differs = 0;
  for (uint32_t i = 0; i < count; ++i) {
    order[i] = static_cast<uint8_t>(i);
    differs |= (jobs[i].plaintext_bytes ^ jobs[0].plaintext_bytes) |
               (jobs[i].associated_data_bytes ^ jobs[0].associated_data_bytes);
  }
  if (differs == 0) return;
  uint64_t rank[sort_jobs_max];
  for (uint32_t i = 0; i < count; ++i) rank[i] = length_rank(jobs[i]);
  for (uint32_t i = 1; i < count; ++i) {
    const uint8_t moving = order[i];
    uint32_t j = i;
    for (; j > 0 && rank[order[j - 1]] > rank[moving]; --j) order[j] = order[j - 1];
    order[j] = moving;
  }
}

// Runs `each_group` over all jobs; `schedule_of(i)` is the key of job i. A lane without a job repeats the
// first of its group: the same values go to the same places, and no lane needs a special case.
template <class L, class ScheduleOf, class EachGroup>
[[gnu::always_inline]] inline void for_each_group(Job* jobs, uint32_t count, const ScheduleOf& schedule_of,
                                                  const EachGroup& each_group) {
  for (uint32_t done = 0; done < count; done += sort_jobs_max) {
    const uint32_t part = count - done < sort_jobs_max ? count - done : sort_jobs_max;
    uint8_t order[sort_jobs_max];
    order_by_length(jobs + done, part, order);
    for (uint32_t at = 0; at < part; at += L::width) {
      Group<L::width> group;
      for (uint32_t i = 0; i < L::width; ++i) {
        const uint32_t job = done + order[at + i < part ? at + i : at];
        group.jobs[i] = jobs + job;
        group.schedules[i] = schedule_of(job);
      }
      each_group(group);
    }
  }
}

[[gnu::always_inline]] inline const Schedule* table_schedule(const KeyTable* table, uint32_t key) {
  return reinterpret_cast<const Schedule*>(table->bytes + key * table_stride_bytes);
}

template <class L>
void open_jobs(const KeyTable* table, Job* jobs, uint32_t count) {
  for_each_group<L>(
      jobs, count, [table](uint32_t i) { return table_schedule(table, i); },
      [](const Group<L::width>& group) { open_any_group<L>(group, false); });
}

template <class L>
void seal_jobs(const KeyTable* table, Job* jobs, uint32_t count) {
  for_each_group<L>(
      jobs, count, [table](uint32_t i) { return table_schedule(table, i); },
      [](const Group<L::width>& group) { seal_any_group<L>(group, false); });
}

template <class L>
void open_jobs_with_ring_keys(const RingKeySchedule* const* schedules, Job* jobs, uint32_t count) {
  for_each_group<L>(
      jobs, count, [schedules](uint32_t i) { return reinterpret_cast<const Schedule*>(schedules[i]->bytes); },
      [](const Group<L::width>& group) { open_any_group<L>(group, true); });
}

template <class L>
void seal_jobs_with_ring_key(const RingKeySchedule* schedule, Job* jobs, uint32_t count) {
  for_each_group<L>(
      jobs, count, [schedule](uint32_t) { return reinterpret_cast<const Schedule*>(schedule->bytes); },
      [](const Group<L::width>& group) { seal_any_group<L>(group, true); });
}

}  // namespace
}  // namespace nts::siv
