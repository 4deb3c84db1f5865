// From an array of jobs to groups of lanes.
//
// Nearly every call brings messages of one shape (equal lengths, and for cookies one key): these run where
// they are, in groups as wide as the tier is, the rest in the narrowest lanes that hold it. All other calls
// are sorted, so that like runs with like: a group takes as long as its longest lane. Only what is left over
// runs in lanes of unequal length.
#pragma once

#include "nts/siv/open_seal.h"

namespace nts::siv {
namespace {

// `Narrower` is void for the narrowest lanes of a tier.
template <class L>
using NarrowerOf = typename L::Narrower;
template <class T>
constexpr bool is_void = false;
template <>
constexpr bool is_void<void> = true;

// True when `count` packets are better held by the next narrower lanes.
template <class L>
[[gnu::always_inline]] constexpr bool fits_narrower(uint32_t count) {
  if constexpr (is_void<NarrowerOf<L>>) {
    return false;
  } else {
    return count <= NarrowerOf<L>::width;
  }
}

// What the rows of a whole group take.
template <class L>
constexpr uint32_t all_rows_bytes = (L::width + L::keys_in_row - 1) / L::keys_in_row* L::rows_bytes;

// ---- The table of one burst ----

// Rows of keys side by side, then how many keys there are. A lane without a key holds the first key of its
// group.
template <class L>
[[gnu::always_inline]] inline const uint8_t* table_rows(const KeyTable* table, uint32_t key) {
  return table->bytes + key / L::keys_in_row * L::rows_bytes;
}
template <class L>
[[gnu::always_inline]] inline const uint8_t* table_key(const KeyTable* table, uint32_t key) {
  return table_rows<L>(table, key) + key % L::keys_in_row * block_bytes;
}
constexpr uint32_t table_count_at = sizeof(KeyTable) - sizeof(uint32_t);

// ---- The two operations ----

// Each looks for the shapes of NTS first (usual.h): cookies under one key, requests that are opened and
// answers that are sealed.
[[gnu::always_inline]] inline bool is_usual_cookie(const Job& job) {
  return job.associated_data_bytes == 0 && job.nonce_bytes == block_bytes &&
         job.plaintext_bytes >= usual_text_bytes_min && job.plaintext_bytes % block_bytes == 0;
}
[[gnu::always_inline]] inline bool has_usual_data(const Job& job) {
  return job.associated_data_bytes > block_bytes && job.nonce_bytes == block_bytes;
}

struct Open {
  template <class L, class Keys>
  [[gnu::always_inline]] static void run(const Keys& keys, Job* jobs) {
    if constexpr (has_one_shape<L> && L::knows_usual_shapes) {
      if constexpr (Keys::are_one) {
        if (is_usual_cookie(*jobs)) return open_group<Usual<L, Text::whole, false>>(keys, jobs);
      } else {
        if (jobs->plaintext_bytes == 0 && has_usual_data(*jobs))
          return open_group<Usual<L, Text::none, true>>(keys, jobs);
      }
    }
    open_group<L>(keys, jobs);
  }
};
struct Seal {
  template <class L, class Keys>
  [[gnu::always_inline]] static void run(const Keys& keys, Job* jobs) {
    if constexpr (has_one_shape<L> && L::knows_usual_shapes) {
      if constexpr (Keys::are_one) {
        if (is_usual_cookie(*jobs)) return seal_group<Usual<L, Text::whole, false>>(keys, jobs);
      } else if (jobs->plaintext_bytes >= usual_text_bytes_min && has_usual_data(*jobs)) {
        if (jobs->plaintext_bytes % block_bytes == 0)
          return seal_group<Usual<L, Text::whole, true>>(keys, jobs);
        return seal_group<Usual<L, Text::cut, true>>(keys, jobs);
      }
    }
    seal_group<L>(keys, jobs);
  }
};

// A lane without a job repeats the first of its group: the same values go to the same places, and no lane
// needs a special case.
template <class L, class Operation, class Keys>
[[gnu::always_inline]] inline void run_padded(const Keys& keys, Job* jobs, uint32_t count) {
  if (count == L::width) {
    Operation::template run<L>(keys, jobs);
    return;
  }
  Job padded[L::width];
  for (uint32_t i = 0; i < L::width; ++i) padded[i] = jobs[i < count ? i : 0];
  Operation::template run<L>(keys, padded);
  for (uint32_t i = 0; i < count; ++i) jobs[i].authentic = padded[i].authentic;
}

// Jobs of one shape, in order. `keys_of(lanes, i)` are the keys of the group that begins with job i.
template <class L, class Operation, class KeysOf>
void run_one_shape(const KeysOf& keys_of, Job* jobs, uint32_t first, uint32_t count) {
  if constexpr (!is_void<NarrowerOf<L>>) {
    if (fits_narrower<L>(count)) return run_one_shape<NarrowerOf<L>, Operation>(keys_of, jobs, first, count);
  }
  while (count > 0 && !fits_narrower<L>(count)) {
    const uint32_t part = count < L::width ? count : L::width;
    run_padded<OneShape<L>, Operation>(keys_of(L{}, first), jobs + first, part);
    first += part;
    count -= part;
  }
  if constexpr (!is_void<NarrowerOf<L>>) {
    if (count > 0) run_one_shape<NarrowerOf<L>, Operation>(keys_of, jobs, first, count);
  }
}

// ---- Mixed bursts ----

// Where the expanded key of a job lies: rows `row_bytes` apart.
struct KeyPlace {
  const uint8_t* at;
};

// The keys of a group that do not stand side by side already, copied so that they do; wiped at the end. The
// CTR half is left out when `with_ctr` is false: nobody reads it, and for requests, which have no plaintext,
// nobody has made it.
template <class L>
struct KeyRows {
  alignas(64) uint8_t bytes[all_rows_bytes<L>];

  KeyRows(const KeyPlace* keys, uint32_t count, uint32_t row_bytes, bool with_ctr) {
    for (uint32_t i = 0; i < L::width; ++i) {
      const uint8_t* from = keys[i < count ? i : 0].at;
      uint8_t* to = bytes + i / L::keys_in_row * L::rows_bytes + i % L::keys_in_row * block_bytes;
      copy_rows(to, from, row_bytes, row::mac, row::ctr);
      if (with_ctr) copy_rows(to, from, row_bytes, row::ctr, row::whole);
      copy_rows(to, from, row_bytes, row::whole, row::count);
    }
  }
  KeyRows(const KeyRows&) = delete;
  KeyRows& operator=(const KeyRows&) = delete;
  ~KeyRows() {
    __builtin_memset(bytes, 0, sizeof bytes);
    __asm__ __volatile__("" : : "r"(bytes) : "memory");  // the stores are not dead
  }

 private:
  [[gnu::always_inline]] static void copy_rows(uint8_t* to, const uint8_t* from, uint32_t row_bytes,
                                               uint32_t first, uint32_t end) {
#pragma GCC unroll 11
    for (uint32_t row = first; row < end; ++row) {
      __builtin_memcpy(to + row * L::row_bytes, from + row * row_bytes, block_bytes);
    }
  }
};

constexpr uint32_t sort_jobs_max = 64;

// A part of a call, sorted.
struct Sorted {
  Job jobs[sort_jobs_max];
  KeyPlace keys[sort_jobs_max];
  uint8_t order[sort_jobs_max];
};

[[gnu::always_inline]] inline bool same_shape(const Job& a, const Job& b) {
  return ((a.associated_data_bytes ^ b.associated_data_bytes) | (a.nonce_bytes ^ b.nonce_bytes) |
          (a.plaintext_bytes ^ b.plaintext_bytes)) == 0;
}

// Sorts by blocks of plaintext, then of associated data, which is what a group costs; then by the exact
// shape and by key, so that equals stand together.
inline bool comes_before(const Job& a, uintptr_t key_a, const Job& b, uintptr_t key_b) {
  const auto blocks = [](uint32_t bytes) { return bytes / block_bytes + (bytes % block_bytes != 0); };
  const uint32_t ranks[][2] = {
      {blocks(a.plaintext_bytes), blocks(b.plaintext_bytes)},
      {blocks(a.associated_data_bytes), blocks(b.associated_data_bytes)},
      {a.plaintext_bytes, b.plaintext_bytes},
      {a.associated_data_bytes, b.associated_data_bytes},
      {a.nonce_bytes, b.nonce_bytes},
  };
  for (const auto& rank : ranks) {
    if (rank[0] != rank[1]) return rank[0] < rank[1];
  }
  return key_a < key_b;
}

// One group whose keys lie anywhere; `L` or OneShape<L>.
template <class L, class Operation>
[[gnu::noinline]] void run_anywhere(Job* jobs, const KeyPlace* keys, uint32_t count, uint32_t row_bytes,
                                    bool is_ring) {
  uint32_t plaintext_bytes = 0;
  for (uint32_t i = 0; i < count; ++i) plaintext_bytes |= jobs[i].plaintext_bytes;
  const bool with_ctr = plaintext_bytes != 0;
  const KeyRows<L> rows(keys, count, row_bytes, with_ctr);
  run_padded<L, Operation>(typename L::RowKeys(rows.bytes, with_ctr, is_ring), jobs, count);
}

template <class L, class Operation>
void run_anywhere_in_narrowest(Job* jobs, const KeyPlace* keys, uint32_t count, uint32_t row_bytes) {
  if constexpr (!is_void<NarrowerOf<L>>) {
    if (fits_narrower<L>(count)) {
      return run_anywhere_in_narrowest<NarrowerOf<L>, Operation>(jobs, keys, count, row_bytes);
    }
  }
  run_anywhere<OneShape<L>, Operation>(jobs, keys, count, row_bytes, false);
}

// `key_of(i)` is the place of job i's expanded key.
template <class L, class Operation, class KeyOf>
[[gnu::noinline]] void run_sorted(const KeyOf& key_of, Job* jobs, uint32_t count, uint32_t row_bytes,
                                  bool is_ring) {
  Sorted sorted;
  // In a ring a key is part of the shape, for lanes that share one need no copy of it.
  const auto rank_of_key = [&](uint32_t i) { return is_ring ? reinterpret_cast<uintptr_t>(key_of(i)) : 0; };
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t j = i;
    for (; j > 0; --j) {
      const uint8_t before = sorted.order[j - 1];
      if (!comes_before(jobs[i], rank_of_key(i), jobs[before], rank_of_key(before))) break;
      sorted.order[j] = before;
    }
    sorted.order[j] = static_cast<uint8_t>(i);
  }
  for (uint32_t i = 0; i < count; ++i) {
    sorted.jobs[i] = jobs[sorted.order[i]];
    sorted.keys[i] = {key_of(sorted.order[i])};
  }
  for (uint32_t at = 0; at < count;) {
    const uint32_t most = count - at < L::width ? count - at : L::width;
    Job* const group = sorted.jobs + at;
    const KeyPlace* const keys = sorted.keys + at;
    uint32_t run = 1;
    while (run < most && same_shape(group[0], group[run]) && (!is_ring || keys[0].at == keys[run].at)) ++run;
    // No group is less than a quarter full, whatever a client does to the shapes.
    if (run * 4 < most) {
      run_anywhere<L, Operation>(group, keys, most, row_bytes, is_ring);
      run = most;
    } else if (is_ring) {
      const bool with_ctr = group[0].plaintext_bytes != 0;
      const auto same_key = [keys, with_ctr](auto lanes, uint32_t) {
        return typename decltype(lanes)::SameKey(keys[0].at, with_ctr);
      };
      run_one_shape<L, Operation>(same_key, group, 0, run);
    } else {
      run_anywhere_in_narrowest<L, Operation>(group, keys, run, row_bytes);
    }
    at += run;
  }
  for (uint32_t i = 0; i < count; ++i) jobs[sorted.order[i]].authentic = sorted.jobs[i].authentic;
}

template <class L, class Operation, class KeyOf>
void run_all_sorted(const KeyOf& key_of, Job* jobs, uint32_t count, uint32_t row_bytes, bool is_ring) {
  for (uint32_t done = 0; done < count; done += sort_jobs_max) {
    const uint32_t part = count - done < sort_jobs_max ? count - done : sort_jobs_max;
    run_sorted<L, Operation>([&](uint32_t i) { return key_of(done + i); }, jobs + done, part, row_bytes,
                             is_ring);
  }
}

// ---- The calls ----

// The three lengths of a job lie side by side, with `authentic` behind them: a register of 128 bits.
[[gnu::always_inline]] inline bool all_have_one_shape(const Job* jobs, uint32_t count) {
  typedef uint32_t Lengths __attribute__((vector_size(16)));
  static_assert(__builtin_offsetof(Job, authentic) == __builtin_offsetof(Job, associated_data_bytes) + 12);
  const auto lengths_of = [](const Job& job) __attribute__((always_inline)) {
    Lengths lengths;
    __builtin_memcpy(&lengths, &job.associated_data_bytes, sizeof lengths);
    return lengths;
  };
  const Lengths first = lengths_of(jobs[0]);
  Lengths differs = {};
  for (uint32_t i = 1; i < count; ++i) differs |= lengths_of(jobs[i]) ^ first;
  return (differs[0] | differs[1] | differs[2]) == 0;
}

template <class L, class Operation>
[[gnu::always_inline]] inline void run_with_table(const KeyTable* table, Job* jobs, uint32_t count) {
  if (count == 0) return;
  uint32_t keys;
  __builtin_memcpy(&keys, table->bytes + table_count_at, sizeof keys);
  if (keys == count && all_have_one_shape(jobs, count)) {
    const bool with_ctr = jobs[0].plaintext_bytes != 0;
    const auto keys_of = [ table, with_ctr ](auto lanes, uint32_t i) __attribute__((always_inline)) {
      return typename decltype(lanes)::RowKeys(table_rows<decltype(lanes)>(table, i), with_ctr, false);
    };
    return run_one_shape<L, Operation>(keys_of, jobs, 0, count);
  }
  run_all_sorted<L, Operation>([table](uint32_t i) { return table_key<L>(table, i); }, jobs, count,
                               L::row_bytes, false);
}

template <class L, class Operation>
[[gnu::always_inline]] inline void run_with_one_ring_key(const uint8_t* key, Job* jobs, uint32_t count) {
  if (count == 0) return;
  if (all_have_one_shape(jobs, count)) {
    const bool with_ctr = jobs[0].plaintext_bytes != 0;
    const auto same_key = [ key, with_ctr ](auto lanes, uint32_t) __attribute__((always_inline)) {
      return typename decltype(lanes)::SameKey(key, with_ctr);
    };
    return run_one_shape<L, Operation>(same_key, jobs, 0, count);
  }
  run_all_sorted<L, Operation>([key](uint32_t) { return key; }, jobs, count, block_bytes, true);
}

template <class L>
void open_jobs(const KeyTable* table, Job* jobs, uint32_t count) {
  run_with_table<L, Open>(table, jobs, count);
}

template <class L>
void seal_jobs(const KeyTable* table, Job* jobs, uint32_t count) {
  run_with_table<L, Seal>(table, jobs, count);
}

[[gnu::always_inline]] inline bool are_one(const RingKeySchedule* const* schedules, uint32_t count) {
  uintptr_t differs = 0;
  for (uint32_t i = 1; i < count; ++i) {
    differs |= reinterpret_cast<uintptr_t>(schedules[i]) ^ reinterpret_cast<uintptr_t>(schedules[0]);
  }
  return differs == 0;
}

template <class L>
void open_jobs_with_ring_keys(const RingKeySchedule* const* schedules, Job* jobs, uint32_t count) {
  if (count == 0) return;
  if (are_one(schedules, count)) return run_with_one_ring_key<L, Open>(schedules[0]->bytes, jobs, count);
  run_all_sorted<L, Open>([schedules](uint32_t i) { return schedules[i]->bytes; }, jobs, count, block_bytes,
                          true);
}

template <class L>
void seal_jobs_with_ring_key(const RingKeySchedule* schedule, Job* jobs, uint32_t count) {
  run_with_one_ring_key<L, Seal>(schedule->bytes, jobs, count);
}

}  // namespace
}  // namespace nts::siv
