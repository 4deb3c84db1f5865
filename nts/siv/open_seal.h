// The two operations on one group of packets: jobs[0] to jobs[L::width - 1].
//
// Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/ctr.h"
#include "nts/siv/s2v.h"

namespace nts::siv {
namespace {

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
  for (uint32_t i = 0; i < L::width; ++i) jobs[i].authentic = authentic[i];
  if constexpr (has_one_shape<L>) {
    if (bytes[0] == 0) return;
  }
  for (uint32_t i = 0; i < L::width; ++i) keep_or_wipe(to(i), bytes[i % shapes<L>], authentic[i]);
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
