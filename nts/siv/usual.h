// S2V for the three shapes that NTS has, in groups of one shape: a cookie, a request and an answer.
//
// The same CMACs as in s2v.h. There the lengths decide at every step what comes next, and at each place where
// ways meet again a compiler puts all lanes onto the stack; here each shape is a function of its own, and
// nothing is decided inside a loop. Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/s2v.h"

namespace nts::siv {
namespace {

enum class Text {
  none,
  whole,
  cut
};  // a plaintext: empty, of whole blocks, or with a part of one at its end

// A group of one shape with a nonce of one block, and a plaintext of two blocks at least or none. With `Data`
// the associated data has more than one block; without, it is empty, and the keys know what that comes to.
template <class L, Text Kind, bool Data>
struct Usual : OneShape<L> {};
template <class L, Text Kind, bool Data>
constexpr bool has_one_shape<Usual<L, Kind, Data>> = true;

template <class L>
constexpr bool has_no_text = false;
template <class L, bool Data>
constexpr bool has_no_text<Usual<L, Text::none, Data>> = true;

constexpr uint32_t usual_text_bytes_min = 2 * block_bytes;

// ---- The steps of a chain ----

template <class L, class Keys>
[[gnu::always_inline]] inline typename L::State begin_chain(const Keys& keys,
                                                            const typename L::Block& block) {
  return L::both(keys.state(row::mac + whiten), L::enter(block));
}

// The next block; the one before is through all rounds but the last.
template <class L, class Keys>
[[gnu::always_inline]] inline void absorb_block(const Keys& keys, typename L::State& state,
                                                const typename L::Block& block) {
  state = L::last(state, L::both(keys.state(row::fold), L::enter(block)));
}

template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block end_chain(const Keys& keys, const typename L::State& state) {
  return L::leave(L::last(state, keys.state(row::mac + last_round)));
}

// A chain over the whole blocks of a message, of which the one at `next_bytes` comes next.
template <class L>
struct Blocks {
  Column message;
  typename L::State state;
  uint32_t next_bytes = block_bytes;

  template <class Keys>
  [[gnu::always_inline]] Blocks(const Keys& keys, const Column& from)
      : message(from), state(begin_chain<L>(keys, L::gather(from, 0))) {}

  template <class Keys>
  [[gnu::always_inline]] void absorb(const Keys& keys) {
    absorb_block<L>(keys, state, L::gather(message, next_bytes));
    next_bytes += block_bytes;
  }
  template <class Keys>
  [[gnu::always_inline]] void run(const Keys& keys, uint32_t steps) {
    for (; steps > 0; --steps) {
      mac_rounds<L>(keys, state);
      absorb(keys);
    }
  }
};

// The last block of messages of at least 16 octets, with padding and subkey; `tail_bytes` of it are theirs.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block final_block(const Keys& keys, const Column& message,
                                                            uint32_t bytes, uint32_t tail_bytes) {
  const uint32_t tail[1] = {tail_bytes};
  const uint32_t before[1] = {block_bytes - tail_bytes};
  const typename L::Block block = L::moved_down(L::gather(message, bytes - block_bytes), before);
  if (tail_bytes == block_bytes) return L::both(block, keys.block(row::whole));
  return L::both(block, L::both(L::moved_up(L::same({0x80, 0}), tail), keys.block(row::padded)));
}

// ---- S2V ----

// D, S2V's value over the components before the plaintext. `early` goes through the plaintext's blocks
// before those that D is xored with, all rounds but the last.
template <class L, Text Kind, class Keys>
[[gnu::always_inline]] inline typename L::Block d_over_data(const Keys& keys, const Job& job,
                                                            const Column& nonce,
                                                            [[maybe_unused]] Blocks<L>* early) {
  const uint32_t bytes = job.associated_data_bytes;
  const uint32_t blocks = (bytes - 1) / block_bytes;  // but the last
  Blocks<L> data(keys, Column(job.associated_data));
  if constexpr (Kind == Text::none) {
    data.run(keys, blocks - 1);
    mac_rounds<L>(keys, data.state);
  } else {
    // What one chain has more than the other goes first, the rest side by side.
    const uint32_t early_blocks = job.plaintext_bytes / block_bytes - 1;
    const uint32_t together = blocks < early_blocks ? blocks : early_blocks;
    data.run(keys, blocks - together);
    early->run(keys, early_blocks - together);
    for (uint32_t step = 1; step < together; ++step) {
      mac_rounds<L>(keys, data.state, early->state);
      data.absorb(keys);
      early->absorb(keys);
    }
    mac_rounds<L>(keys, data.state, early->state);
  }
  absorb_block<L>(keys, data.state, final_block<L>(keys, data.message, bytes, bytes - blocks * block_bytes));
  typename L::State beside = begin_chain<L>(keys, L::both(L::gather(nonce, 0), keys.block(row::whole)));
  mac_rounds<L>(keys, data.state, beside);
  const typename L::Block d = L::both(keys.block(row::s2v_start), end_chain<L>(keys, data.state));
  return L::both(L::doubled(d), end_chain<L>(keys, beside));
}

// The same where there is no associated data: a cookie's.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block d_without_data(const Keys& keys, const Job& job,
                                                               const Column& nonce, Blocks<L>& early) {
  typename L::State beside = begin_chain<L>(keys, L::both(L::gather(nonce, 0), keys.block(row::whole)));
  mac_rounds<L>(keys, early.state, beside);
  for (uint32_t step = job.plaintext_bytes / block_bytes - 1; step > 1; --step) {
    early.absorb(keys);
    mac_rounds<L>(keys, early.state);
  }
  return L::both(L::doubled(keys.block(row::s2v_empty)), end_chain<L>(keys, beside));
}

template <class L, Text Kind, bool Data, class Keys>
[[gnu::always_inline]] inline typename L::Block s2v_of_usual(const Keys& keys, const Job* jobs) {
  using Block = typename L::Block;
  const Column nonce(jobs->nonce);
  if constexpr (Kind == Text::none) {
    const Block d = d_over_data<L, Kind>(keys, *jobs, nonce, nullptr);
    const Block padded = L::both(L::same({0x80, 0}), keys.block(row::whole));
    typename L::State state = begin_chain<L>(keys, L::both(padded, L::doubled(d)));
    mac_rounds<L>(keys, state);
    return end_chain<L>(keys, state);
  } else {
    const Column text(jobs->plaintext);
    const uint32_t bytes = jobs->plaintext_bytes;
    Blocks<L> early(keys, text);
    Block d;
    if constexpr (Data) {
      d = d_over_data<L, Kind>(keys, *jobs, nonce, &early);
    } else {
      d = d_without_data<L>(keys, *jobs, nonce, early);
    }
    const uint32_t tail_bytes = Kind == Text::whole ? block_bytes : bytes % block_bytes;
    const Block last = final_block<L>(keys, text, bytes, tail_bytes);
    if constexpr (Kind == Text::whole) {
      absorb_block<L>(keys, early.state, L::both(last, d));
    } else {
      // D spans the last two blocks.
      const uint32_t up[1] = {tail_bytes};
      const uint32_t down[1] = {block_bytes - tail_bytes};
      const Block before = L::gather(text, bytes - tail_bytes - block_bytes);
      absorb_block<L>(keys, early.state, L::both(before, L::moved_up(d, up)));
      mac_rounds<L>(keys, early.state);
      absorb_block<L>(keys, early.state, L::both(last, L::moved_down(d, down)));
    }
    mac_rounds<L>(keys, early.state);
    return end_chain<L>(keys, early.state);
  }
}

// The tag of each lane, whatever is known of them.
template <class L>
struct Tags {
  template <class Keys>
  [[gnu::always_inline]] static typename L::Block of(const Keys& keys, const Job* jobs) {
    return s2v<L>(keys, jobs);
  }
};
template <class L, Text Kind, bool Data>
struct Tags<Usual<L, Kind, Data>> {
  template <class Keys>
  [[gnu::always_inline]] static typename L::Block of(const Keys& keys, const Job* jobs) {
    return s2v_of_usual<OneShape<L>, Kind, Data>(keys, jobs);
  }
};

}  // namespace
}  // namespace nts::siv
