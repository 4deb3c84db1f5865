// CTR in lanes (RFC 5297 section 2.6), in one of two ways.
//
// Across: a lane is a packet, as in S2V. Along: the blocks of one packet stand side by side in a register,
// for unlike CMAC they do not wait for each other. A text then comes and goes in whole registers where across
// it is gathered and scattered by blocks, which costs a wide register as much as the cipher does. Internal
// linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/lanes.h"

namespace nts::siv {
namespace {

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
[[gnu::always_inline]] inline void cipher_across(const Keys& keys, const typename L::Block& tag,
                                                 const Column& from, const Column& to,
                                                 const PerShape<L>& bytes) {
  uint32_t longest = 0;
  uint32_t shortest = ~uint32_t{0};
  for (uint32_t i = 0; i < shapes<L>; ++i) {
    longest = bytes[i] > longest ? bytes[i] : longest;
    shortest = bytes[i] < shortest ? bytes[i] : shortest;
  }
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

template <class L, class Keys>
[[gnu::always_inline]] inline void apply_ctr(const Keys& keys, const typename L::Block& tag,
                                             const Column& from, const Column& to, const PerShape<L>& bytes) {
  uint32_t any = 0;
  for (uint32_t i = 0; i < shapes<L>; ++i) any |= bytes[i];
  if (any == 0) return;
  if constexpr (L::ciphers_along && has_one_shape<L>) {
    L::cipher_along_one_shape(keys, tag, from, to, bytes[0]);
  } else if constexpr (L::ciphers_along) {
    const auto bytes_of = [&](uint32_t lane) __attribute__((always_inline)) {
      return bytes[lane % shapes<L>];
    };
    L::cipher_along(keys, tag, from, to, bytes_of);
  } else {
    cipher_across<L>(keys, tag, from, to, bytes);
  }
}

}  // namespace
}  // namespace nts::siv
