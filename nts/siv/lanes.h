// AES-SIV written once, for any kind of lane. A lane is a packet.
//
// Rules: RFC 5297 (S2V and CTR), RFC 4493 (CMAC). AES inside one packet is a serial chain, so speed comes
// from running the same step of several packets side by side. A tier brings a type `L` that says how
// `L::width` packets are held and how they go through one AES round; everything else is here:
//
//   L::Block            one block of 16 octets of each packet, in octet order
//   L::State            the same inside the cipher (bitsliced, or simply the Block)
//   L::SameKey          the expanded key that all lanes share
//   L::RowKeys          expanded keys of their own; whatever it copies it wipes
//   L::counters_abreast how many counter blocks of each lane run together
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

constexpr uint32_t round_keys = 11;  // AES-128: ten rounds
constexpr uint32_t whiten = 0, last_round = round_keys - 1;

// One expanded 32-octet key is this many blocks. A row holds the same block of as many keys as stand side by
// side in one register of the tier, so that a round key of several packets is one load.
namespace row {
constexpr uint32_t mac = 0;
constexpr uint32_t ctr = round_keys;
constexpr uint32_t whole = 2 * round_keys;  // CMAC subkey K1: the last block is whole
constexpr uint32_t padded = whole + 1;      // CMAC subkey K2: the last block was padded
constexpr uint32_t fold = whole + 2;  // mac[10] xor mac[0]: the end of one block and the start of the next
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

// Rounds 1 to 9. The round key is fetched once for all chains.
template <class L, class Keys, class... State>
[[gnu::always_inline]] inline void mac_rounds(const Keys& keys, State&... state) {
  const auto round = [&](uint32_t number) __attribute__((always_inline)) {
    const typename L::State key = keys.state(row::mac + number);
    ((state = L::round(state, key)), ...);
  };
  round(1), round(2), round(3), round(4), round(5), round(6), round(7), round(8), round(9);
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

// ---- CTR ----

// `Count` counter blocks of each lane over the octets at `done`. The last round's key is xored with the text,
// so the keystream never stands alone. Returns the last block written.
template <class L, uint32_t Count, class Keys>
[[gnu::always_inline]] inline typename L::Block cipher_blocks(const Keys& keys, const typename L::Block& base,
                                                              const Column& from, const Column& to,
                                                              uint32_t done) {
  typename L::State state[Count];
  const typename L::State first = keys.state(row::ctr + whiten);
  for (uint32_t n = 0; n < Count; ++n) {
    state[n] = L::both(first, L::enter(L::counter(base, done / block_bytes + n)));
  }
  for (uint32_t number = 1; number < last_round; ++number) {
    const typename L::State key = keys.state(row::ctr + number);
    for (uint32_t n = 0; n < Count; ++n) state[n] = L::round(state[n], key);
  }
  const typename L::State last = keys.state(row::ctr + last_round);
  typename L::Block text;
  for (uint32_t n = 0; n < Count; ++n) {
    const uint32_t at = done + n * block_bytes;
    text = L::leave(L::last(state[n], L::both(last, L::enter(L::gather(from, at)))));
    L::scatter(to, at, text);
  }
  return text;
}

// One counter block of each lane over what is left behind `done`, octet by octet where need be.
template <class L, class Keys>
[[gnu::always_inline]] inline void cipher_rest(const Keys& keys, const typename L::Block& base,
                                               const Column& from, const Column& to, const PerShape<L>& bytes,
                                               uint32_t done) {
  typename L::State a =
      L::both(keys.state(row::ctr + whiten), L::enter(L::counter(base, done / block_bytes)));
  for (uint32_t number = 1; number < last_round; ++number) a = L::round(a, keys.state(row::ctr + number));
  Octets text[L::width];
  uint32_t rest[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint32_t own = bytes[i % shapes<L>];
    rest[i] = own <= done ? 0 : own - done < block_bytes ? own - done : block_bytes;
    text[i] = rest[i] == 0 ? Octets{0, 0} : load_some(from(i) + done, rest[i]);
  }
  const typename L::State key = L::both(keys.state(row::ctr + last_round), L::enter(L::from_octets(text)));
  L::to_octets(L::leave(L::last(a, key)), text);
  for (uint32_t i = 0; i < L::width; ++i) {
    if (rest[i] != 0) store_some(to(i) + done, text[i], rest[i]);
  }
}

template <class L, class Keys>
[[gnu::always_inline]] inline void apply_ctr(const Keys& keys, const typename L::Block& tag,
                                             const Column& from, const Column& to, const PerShape<L>& bytes) {
  uint32_t longest = 0;
  uint32_t shortest = ~uint32_t{0};
  for (uint32_t i = 0; i < shapes<L>; ++i) {
    longest = bytes[i] > longest ? bytes[i] : longest;
    shortest = bytes[i] < shortest ? bytes[i] : shortest;
  }
  if (longest == 0) return;
  const typename L::Block base = L::counter_base(tag);
  constexpr uint32_t abreast = L::counters_abreast;
  typename L::Block written{};
  uint32_t done = 0;
  for (; done + abreast * block_bytes <= shortest; done += abreast * block_bytes) {
    written = cipher_blocks<L, abreast>(keys, base, from, to, done);
  }
  for (; done + block_bytes <= shortest; done += block_bytes) {
    written = cipher_blocks<L, 1>(keys, base, from, to, done);
  }
  if constexpr (has_one_shape<L>) {
    if (done == longest) return;
    if (done != 0) {
      // The last 16 octets are written as one block, some of them for the second time: the end of the block
      // before, then the rest.
      const uint32_t rest[1] = {longest - done};
      const uint32_t gap[1] = {block_bytes - rest[0]};
      typename L::State a =
          L::both(keys.state(row::ctr + whiten), L::enter(L::counter(base, done / block_bytes)));
      for (uint32_t number = 1; number < last_round; ++number) a = L::round(a, keys.state(row::ctr + number));
      const typename L::Block text = L::moved_down(L::gather(from, longest - block_bytes), gap);
      const typename L::State key = L::both(keys.state(row::ctr + last_round), L::enter(text));
      L::scatter(to, longest - block_bytes,
                 L::both(L::moved_down(written, rest), L::moved_up(L::leave(L::last(a, key)), gap)));
      return;
    }
  }
  for (; done < longest; done += block_bytes) cipher_rest<L>(keys, base, from, to, bytes, done);
}

// ---- One group of packets: jobs[0] to jobs[L::width - 1] ----

template <class L, class Keys>
[[gnu::noinline]] void open_group(const Keys& keys, Job* jobs) {
  const Column sealed(jobs->sealed, 0);
  const Column from(jobs->sealed, block_bytes);
  const Column to(jobs->plaintext, 0);
  PerShape<L> bytes;
  for (uint32_t i = 0; i < shapes<L>; ++i) bytes[i] = jobs[i].plaintext_bytes;
  const typename L::Block tag = L::gather(sealed, 0);
  apply_ctr<L>(keys, tag, from, to, bytes);
  uint32_t authentic[L::width];
  L::compare(s2v<L>(keys, jobs), tag, authentic);
  for (uint32_t i = 0; i < L::width; ++i) {
    keep_or_wipe(to(i), bytes[i % shapes<L>], authentic[i]);
    jobs[i].authentic = authentic[i];
  }
}

template <class L, class Keys>
[[gnu::noinline]] void seal_group(const Keys& keys, Job* jobs) {
  const Column from(jobs->plaintext, 0);
  const Column sealed(jobs->sealed, 0);
  const Column to(jobs->sealed, block_bytes);
  PerShape<L> bytes;
  for (uint32_t i = 0; i < shapes<L>; ++i) bytes[i] = jobs[i].plaintext_bytes;
  const typename L::Block tag = s2v<L>(keys, jobs);
  apply_ctr<L>(keys, tag, from, to, bytes);
  L::scatter(sealed, 0, tag);
}

}  // namespace
}  // namespace nts::siv
