// AES-GCM-SIV in lanes (RFC 8452), written once over a lane type L: a lane is a packet.
//
// POLYVAL is a Horner chain, and zeros in front of it change nothing: packets of unlike lengths end together,
// the shorter ones begin with blocks of zeros. Two blocks are multiplied by H^2 and H and reduced as one
// product. Branches depend on lengths alone, which are public. Internal linkage throughout, for the reason
// nts/siv/kernel.h gives.
#pragma once

#include "nts/gcm_siv/kernel.h"
#include "nts/siv/octets.h"

namespace nts::gcm_siv {
namespace {

using siv::block_bytes;
using siv::Octets;

// Rows of the key table, for each lane one block: H, H^2 and the round keys of the message's cipher.
namespace row {
constexpr uint32_t hash = 0;
constexpr uint32_t hash_squared = 1;
constexpr uint32_t cipher = 2;
constexpr uint32_t count = cipher + 11;
}  // namespace row
constexpr uint32_t key_rows_bytes = row::count * block_bytes;  // of one key
static_assert(sizeof(KeyTable) == (key_table_keys_max + 16) * key_rows_bytes);
constexpr uint32_t last_round = 10;

template <class L>
[[gnu::always_inline]] inline typename L::State round_key(const uint8_t* rows, uint32_t number) {
  return L::enter(L::load_row(rows + (row::cipher + number) * L::width * block_bytes));
}

template <class L>
[[gnu::always_inline]] inline typename L::Block encrypt(const uint8_t* rows, const typename L::Block& block) {
  typename L::State state = L::both(L::enter(block), round_key<L>(rows, 0));
  for (uint32_t number = 1; number < last_round; ++number) {
    state = L::round(state, round_key<L>(rows, number));
  }
  return L::leave(L::last(state, round_key<L>(rows, last_round)));
}

constexpr uint8_t round_constants[] = {0, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};

// `blocks` under `key`, which is expanded on the way: it serves no other blocks.
template <class L, uint32_t Count>
[[gnu::always_inline]] inline void encrypt_once(typename L::Block key, typename L::Block (&blocks)[Count]) {
  typename L::State state[Count];
  const typename L::State first = L::enter(key);
  for (uint32_t n = 0; n < Count; ++n) state[n] = L::both(L::enter(blocks[n]), first);
  for (uint32_t number = 1; number < last_round; ++number) {
    key = L::next_round_key(key, round_constants[number]);
    const typename L::State entered = L::enter(key);
    for (uint32_t n = 0; n < Count; ++n) state[n] = L::round(state[n], entered);
  }
  const typename L::State entered = L::enter(L::next_round_key(key, round_constants[last_round]));
  for (uint32_t n = 0; n < Count; ++n) blocks[n] = L::leave(L::last(state[n], entered));
}

[[gnu::always_inline]] inline Octets load_nonce(const uint8_t* nonce) {
  return {siv::load_word<uint64_t>(nonce), siv::load_word<uint32_t>(nonce + 8)};
}

// RFC 8452 section 4: a number and the nonce, encrypted; of each block the first half is kept.
template <class L>
[[gnu::noinline]] void derive_group(const uint8_t* const (&keys)[L::width],
                                    const uint8_t* const (&nonces)[L::width], uint8_t* rows) {
  Octets numbered[L::width];
  for (uint32_t i = 0; i < L::width; ++i) {
    numbered[i] = {siv::load_word<uint32_t>(nonces[i]) << 32, siv::load_word<uint64_t>(nonces[i] + 4)};
  }
  typename L::Block blocks[4];
  blocks[0] = L::from_octets(numbered);
  for (uint32_t n = 1; n < 4; ++n) blocks[n] = L::counted(blocks[0], n);
  encrypt_once<L>(L::gather([&](uint32_t i) __attribute__((always_inline)) { return keys[i]; }), blocks);

  const auto put = [rows](uint32_t number, const typename L::Block& block) __attribute__((always_inline)) {
    L::store_row(rows + number * L::width * block_bytes, block);
  };
  const typename L::Block hash = L::low_halves(blocks[0], blocks[1]);
  put(row::hash, hash);
  put(row::hash_squared, L::reduced(L::product(hash, hash)));
  typename L::Block key = L::low_halves(blocks[2], blocks[3]);
  put(row::cipher, key);
  for (uint32_t number = 1; number <= last_round; ++number) {
    key = L::next_round_key(key, round_constants[number]);
    put(row::cipher + number, key);
  }
}

// How a message is cut into blocks for POLYVAL: associated data, plaintext, both padded with zeros, lengths.
struct Cut {
  uint32_t data_bytes, plaintext_bytes;
  uint32_t data_blocks, plaintext_blocks;  // the last of each perhaps short

  [[gnu::always_inline]] explicit Cut(const Job& job)
      : data_bytes(job.associated_data_bytes),
        plaintext_bytes(job.plaintext_bytes),
        data_blocks(blocks_of(data_bytes)),
        plaintext_blocks(blocks_of(plaintext_bytes)) {}
  uint32_t blocks() const { return data_blocks + plaintext_blocks + 1; }
  Octets lengths() const { return {uint64_t{data_bytes} * 8, uint64_t{plaintext_bytes} * 8}; }

 private:
  static uint32_t blocks_of(uint32_t bytes) { return bytes / block_bytes + (bytes % block_bytes != 0); }
};

// Block `number` of what is hashed for one message.
[[gnu::always_inline]] inline Octets hashed_block(const Job& job, const Cut& cut, uint32_t number) {
  const uint8_t* from = job.associated_data;
  uint32_t bytes = cut.data_bytes;
  if (number >= cut.data_blocks) {
    number -= cut.data_blocks;
    from = job.plaintext;
    bytes = cut.plaintext_bytes;
    if (number >= cut.plaintext_blocks) return cut.lengths();
  }
  const uint32_t done = number * block_bytes;
  const uint32_t rest = bytes - done;
  return siv::load_some(from + done, rest < block_bytes ? rest : block_bytes);
}

// A group of messages; lanes without one repeat the first, and write the same octets to the same place.
template <class L>
struct Group {
  Job* job[L::width];
  bool has_one_shape = true;

  Group(Job* jobs, uint32_t count) {
    uint32_t differs = 0;
    for (uint32_t i = 0; i < L::width; ++i) {
      job[i] = jobs + (i < count ? i : 0);
      differs |= (job[i]->associated_data_bytes ^ jobs->associated_data_bytes) |
                 (job[i]->plaintext_bytes ^ jobs->plaintext_bytes);
    }
    has_one_shape = differs == 0;
  }
};

// `next(step)` gives the blocks of all lanes; POLYVAL over `steps` of them.
template <class L, class Next>
[[gnu::always_inline]] inline typename L::Block polyval(const uint8_t* rows, uint32_t steps,
                                                        const Next& next) {
  const typename L::Block hash = L::load_row(rows);
  const typename L::Block squared = L::load_row(rows + row::hash_squared * L::width * block_bytes);
  typename L::Block sum{};
  uint32_t step = 0;
  if (steps % 2 != 0) sum = L::reduced(L::product(next(step++), hash));
  for (; step < steps; step += 2) {
    const typename L::Block first = L::both(sum, next(step));
    sum = L::folded(first, squared, next(step + 1), hash);
  }
  return sum;
}

// The tags (RFC 8452 section 4): POLYVAL, the nonce, one bit cleared, encrypted.
template <class L>
[[gnu::always_inline]] inline typename L::Block tag_of(const uint8_t* rows, const Group<L>& group) {
  typename L::Block sum;
  if (group.has_one_shape) {
    const Cut cut(*group.job[0]);
    sum = polyval<L>(
        rows, cut.blocks(), [&](uint32_t step) __attribute__((always_inline)) {
          if ((step + 1) * block_bytes <= cut.data_bytes) {
            return L::gather([&](uint32_t i) __attribute__((always_inline)) {
              return group.job[i]->associated_data + step * block_bytes;
            });
          }
          const uint32_t number = step - cut.data_blocks;  // wraps in the associated data, and is large then
          if (number < cut.plaintext_bytes / block_bytes) {
            return L::gather([&](uint32_t i) __attribute__((always_inline)) {
              return group.job[i]->plaintext + number * block_bytes;
            });
          }
          if (step + 1 == cut.blocks()) return L::same(cut.lengths());
          const bool is_data = step < cut.data_blocks;
          const uint32_t bytes = is_data ? cut.data_bytes : cut.plaintext_bytes;
          if (bytes >= block_bytes) {  // the last 16 octets, less those of the block before
            return L::moved_down(L::gather([&](uint32_t i) __attribute__((always_inline)) {
                                   const uint8_t* text =
                                       is_data ? group.job[i]->associated_data : group.job[i]->plaintext;
                                   return text + bytes - block_bytes;
                                 }),
                                 block_bytes - bytes % block_bytes);
          }
          Octets octets[L::width];
          for (uint32_t i = 0; i < L::width; ++i) octets[i] = hashed_block(*group.job[i], cut, step);
          return L::from_octets(octets);
        });
  } else {
    uint32_t longest = 0;
    for (uint32_t i = 0; i < L::width; ++i) {
      const uint32_t own = Cut(*group.job[i]).blocks();
      longest = own > longest ? own : longest;
    }
    sum = polyval<L>(rows, longest, [&](uint32_t step) {
      Octets octets[L::width];
      for (uint32_t i = 0; i < L::width; ++i) {
        const Cut cut(*group.job[i]);
        const uint32_t skipped = longest - cut.blocks();
        octets[i] = step < skipped ? Octets{0, 0} : hashed_block(*group.job[i], cut, step - skipped);
      }
      return L::from_octets(octets);
    });
  }
  Octets nonces[L::width];
  for (uint32_t i = 0; i < L::width; ++i) nonces[i] = load_nonce(group.job[i]->nonce);
  return encrypt<L>(rows, L::without_top_bit(L::both(sum, L::from_octets(nonces))));
}

// CTR over the texts, from the tags on (RFC 8452 section 4): a counter of 32 bits that wraps by itself.
template <class L, class From, class To>
[[gnu::always_inline]] inline void apply_ctr(const uint8_t* rows, const Group<L>& group,
                                             const typename L::Block& tag, const From& from, const To& to) {
  const typename L::Block base = L::with_top_bit(tag);
  uint32_t longest = 0;
  for (uint32_t i = 0; i < L::width; ++i) {
    const uint32_t own = group.job[i]->plaintext_bytes;
    longest = own > longest ? own : longest;
  }
  uint32_t done = 0;
  typename L::Block written{};
  if (group.has_one_shape) {
    for (; done + block_bytes <= longest; done += block_bytes) {
      const typename L::Block stream = encrypt<L>(rows, L::counted(base, done / block_bytes));
      const typename L::Block text =
          L::gather([&](uint32_t i) __attribute__((always_inline)) { return from(i) + done; });
      written = L::both(stream, text);
      L::scatter(
          [&](uint32_t i) __attribute__((always_inline)) { return to(i) + done; }, written);
    }
    if (done == longest) return;
    if (done != 0) {  // the last 16 octets as one block, the first of them for the second time
      const uint32_t rest = longest - done;
      const uint32_t end = longest - block_bytes;
      const typename L::Block stream = encrypt<L>(rows, L::counted(base, done / block_bytes));
      const typename L::Block text =
          L::gather([&](uint32_t i) __attribute__((always_inline)) { return from(i) + end; });
      const typename L::Block last = L::both(stream, L::moved_down(text, block_bytes - rest));
      L::scatter(
          [&](uint32_t i) __attribute__((always_inline)) { return to(i) + end; },
          L::both(L::moved_down(written, rest), L::moved_up(last, block_bytes - rest)));
      return;
    }
  }
  for (; done < longest; done += block_bytes) {
    Octets text[L::width];
    uint32_t rest[L::width];
    for (uint32_t i = 0; i < L::width; ++i) {
      const uint32_t own = group.job[i]->plaintext_bytes;
      rest[i] = own <= done ? 0 : own - done < block_bytes ? own - done : block_bytes;
      text[i] = rest[i] == 0 ? Octets{0, 0} : siv::load_some(from(i) + done, rest[i]);
    }
    const typename L::Block stream = encrypt<L>(rows, L::counted(base, done / block_bytes));
    L::to_octets(L::both(stream, L::from_octets(text)), text);
    for (uint32_t i = 0; i < L::width; ++i) {
      if (rest[i] != 0) siv::store_some(to(i) + done, text[i], rest[i]);
    }
  }
}

struct Open {
  template <class L>
  [[gnu::noinline]] static void run(const uint8_t* rows, Job* jobs, uint32_t count) {
    const Group<L> group(jobs, count);
    const auto sealed = [&](uint32_t i) __attribute__((always_inline)) { return group.job[i]->sealed; };
    const auto plaintext = [&](uint32_t i) __attribute__((always_inline)) { return group.job[i]->plaintext; };
    const typename L::Block tag = L::gather([&](uint32_t i) __attribute__((always_inline)) {
      return sealed(i) + group.job[i]->plaintext_bytes;
    });
    apply_ctr<L>(rows, group, tag, sealed, plaintext);
    uint32_t authentic[L::width];
    L::compare(tag_of<L>(rows, group), tag, authentic);
    for (uint32_t i = 0; i < count; ++i) {
      jobs[i].authentic = authentic[i];
      siv::keep_or_wipe(jobs[i].plaintext, jobs[i].plaintext_bytes, authentic[i]);
    }
  }
};

struct Seal {
  template <class L>
  [[gnu::noinline]] static void run(const uint8_t* rows, Job* jobs, uint32_t count) {
    const Group<L> group(jobs, count);
    const auto sealed = [&](uint32_t i) __attribute__((always_inline)) { return group.job[i]->sealed; };
    const auto plaintext = [&](uint32_t i) __attribute__((always_inline)) { return group.job[i]->plaintext; };
    const typename L::Block tag = tag_of<L>(rows, group);
    apply_ctr<L>(rows, group, tag, plaintext, sealed);
    L::scatter(
        [&](uint32_t i) __attribute__((always_inline)) { return sealed(i) + group.job[i]->plaintext_bytes; },
        tag);
  }
};

// ---- From a burst to groups ----

// Calls group(L{}, first, count) for whole groups, then for what is left in the narrowest lanes that take it.
template <class L, class Run>
[[gnu::always_inline]] inline void in_groups(uint32_t first, uint32_t count, const Run& run) {
  if constexpr (L::has_narrower) {
    while (count > L::Narrower::width) {
      const uint32_t part = count < L::width ? count : L::width;
      run(L{}, first, part);
      first += part;
      count -= part;
    }
    if (count > 0) in_groups<typename L::Narrower>(first, count, run);
  } else {
    for (uint32_t part = 0; count > 0; first += part, count -= part) {
      part = count < L::width ? count : L::width;
      run(L{}, first, part);
    }
  }
}

template <class L>
void derive_keys(const uint8_t* const* keys, const uint8_t* const* nonces, uint32_t count, KeyTable* table) {
  in_groups<L>(0, count, [&](auto lanes, uint32_t first, uint32_t part) {
    constexpr uint32_t width = decltype(lanes)::width;
    const uint8_t* own_keys[width];
    const uint8_t* own_nonces[width];
    for (uint32_t i = 0; i < width; ++i) {
      own_keys[i] = keys[first + (i < part ? i : 0)];
      own_nonces[i] = nonces[first + (i < part ? i : 0)];
    }
    derive_group<decltype(lanes)>(own_keys, own_nonces, table->bytes + first * key_rows_bytes);
  });
}

template <class L, class Operation>
void run_jobs(const KeyTable* table, Job* jobs, uint32_t count) {
  in_groups<L>(0, count, [&](auto lanes, uint32_t first, uint32_t part) {
    Operation::template run<decltype(lanes)>(table->bytes + first * key_rows_bytes, jobs + first, part);
  });
}

// The table of functions of a tier whose lanes are `L`.
template <class L>
constexpr Kernels make_kernels(const char* name, const char* instruction_sets, int (*cpu_can_run)(void)) {
  return {name,           instruction_sets,  L::width,         cpu_can_run,
          derive_keys<L>, run_jobs<L, Open>, run_jobs<L, Seal>};
}

}  // namespace
}  // namespace nts::gcm_siv
