// Cookies that are opened and sealed again: the CMAC of their text is computed once.
//
// A fresh cookie holds the same two keys as the one that came, mostly under the same ring key, and S2V's
// chain over a text needs neither nonce nor associated data before its last block (RFC 5297 section 2.4).
// What opening finds there, sealing takes over: of four blocks of text three fall away. Groups of one shape
// and one key only (usual.h). Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/groups.h"

namespace nts::siv {
namespace {

// The mac of each lane of a group; a lane without a job has its first one's, as in run_padded.
template <class Mac>
struct MacColumn {
  Mac* macs;
  uint32_t count;
  [[gnu::always_inline]] auto* operator()(uint32_t lane) const {
    return macs[lane < count ? lane : 0].octets;
  }
};

// The tag of each lane: `d` over associated data and nonce, `mac` over all of the text but its last block.
template <class L, class Keys>
[[gnu::always_inline]] inline typename L::Block end_cookie(const Keys& keys, const Job& job,
                                                           const typename L::Block& d,
                                                           const typename L::Block& mac) {
  const typename L::Block last =
      final_block<L>(keys, Column(job.plaintext), job.plaintext_bytes, block_bytes);
  typename L::State state = begin_chain<L>(keys, L::both(L::both(mac, last), d));
  mac_rounds<L>(keys, state);
  return end_chain<L>(keys, state);
}

struct OpenCookies {
  using Mac = CookieMac;

  template <class L, class Keys>
  [[gnu::noinline]] static void run(const Keys& keys, Job* jobs, const MacColumn<Mac>& macs) {
    const Column sealed(jobs->sealed);
    const Column to(jobs->plaintext);
    const uint32_t bytes[1] = {jobs->plaintext_bytes};
    apply_ctr<L>(keys, L::gather(sealed, 0), Column(jobs->sealed, block_bytes), to, bytes);
    Blocks<L> early(keys, to);
    const typename L::Block d = d_without_data<L>(keys, *jobs, Column(jobs->nonce), early);
    const typename L::Block mac = end_chain<L>(keys, early.state);
    L::scatter(macs, 0, mac);
    const typename L::Block tag = end_cookie<L>(keys, *jobs, d, mac);
    uint32_t authentic[L::width];
    L::compare(tag, L::gather(sealed, 0), authentic);
    for (uint32_t i = 0; i < L::width; ++i) {
      jobs[i].authentic = authentic[i];
      keep_or_wipe(to(i), bytes[0], authentic[i]);
    }
  }
};

struct SealCookies {
  using Mac = const CookieMac;

  template <class L, class Keys>
  [[gnu::noinline]] static void run(const Keys& keys, Job* jobs, const MacColumn<Mac>& macs) {
    const Column nonce(jobs->nonce);
    typename L::State state = begin_chain<L>(keys, L::both(L::gather(nonce, 0), keys.block(row::whole)));
    mac_rounds<L>(keys, state);
    const typename L::Block d = L::both(L::doubled(keys.block(row::s2v_empty)), end_chain<L>(keys, state));
    const typename L::Block tag = end_cookie<L>(keys, *jobs, d, L::gather(macs, 0));
    const uint32_t bytes[1] = {jobs->plaintext_bytes};
    apply_ctr<L>(keys, tag, Column(jobs->plaintext), Column(jobs->sealed, block_bytes), bytes);
    L::scatter(Column(jobs->sealed), 0, tag);
  }
};

// In groups as those of run_one_shape.
template <class L, class Operation>
void run_cookies(const uint8_t* key, Job* jobs, typename Operation::Mac* macs, uint32_t count) {
  const typename L::SameKey same_key(key, true);
  while (count > 0 && !fits_narrower<L>(count)) {
    const uint32_t part = count < L::width ? count : L::width;
    const MacColumn<typename Operation::Mac> column{macs, part};
    if (part == L::width) {
      Operation::template run<OneShape<L>>(same_key, jobs, column);
    } else {
      Job padded[L::width];
      for (uint32_t i = 0; i < L::width; ++i) padded[i] = jobs[i < part ? i : 0];
      Operation::template run<OneShape<L>>(same_key, padded, column);
      for (uint32_t i = 0; i < part; ++i) jobs[i].authentic = padded[i].authentic;
    }
    jobs += part;
    macs += part;
    count -= part;
  }
  if constexpr (!is_void<NarrowerOf<L>>) {
    if (count > 0) run_cookies<NarrowerOf<L>, Operation>(key, jobs, macs, count);
  }
}

[[gnu::always_inline]] inline bool are_usual_cookies(const Job* jobs, uint32_t count) {
  return count != 0 && is_usual_cookie(jobs[0]) && all_have_one_shape(jobs, count);
}

template <class L>
uint32_t open_cookies(const RingKeySchedule* const* schedules, Job* jobs, uint32_t count, CookieMac* macs) {
  if constexpr (L::knows_usual_shapes) {
    if (are_usual_cookies(jobs, count) && are_one(schedules, count)) {
      run_cookies<L, OpenCookies>(schedules[0]->bytes, jobs, macs, count);
      return 1;
    }
  }
  open_jobs_with_ring_keys<L>(schedules, jobs, count);
  return 0;
}

template <class L>
void seal_cookies(const RingKeySchedule* schedule, Job* jobs, uint32_t count, const CookieMac* macs) {
  if constexpr (L::knows_usual_shapes) {
    if (are_usual_cookies(jobs, count)) {
      return run_cookies<L, SealCookies>(schedule->bytes, jobs, macs, count);
    }
  }
  seal_jobs_with_ring_key<L>(schedule, jobs, count);
}

}  // namespace
}  // namespace nts::siv
