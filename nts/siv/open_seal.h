// The two operations on one group of packets: jobs[0] to jobs[L::width - 1].
//
// Internal linkage throughout, for the reason lanes.h gives.
#pragma once

#include "nts/siv/ctr.h"
#include "nts/siv/usual.h"

namespace nts::siv {
namespace {

template <class L, class Keys>
[[gnu::noinline]] void open_group(const Keys& keys, Job* jobs) {
  const Column sealed(jobs->sealed, 0);
  const Column from(jobs->sealed, block_bytes);
  const Column to(jobs->plaintext, 0);
  PerShape<L> bytes;
  for (uint32_t i = 0; i < shapes<L>; ++i) bytes[i] = jobs[i].plaintext_bytes;
  if constexpr (!has_no_text<L>) apply_ctr<L>(keys, L::gather(sealed, 0), from, to, bytes);
  const typename L::Block tag = Tags<L>::of(keys, jobs);
  uint32_t authentic[L::width];
  L::compare(tag, L::gather(sealed, 0), authentic);
  for (uint32_t i = 0; i < L::width; ++i) jobs[i].authentic = authentic[i];
  if constexpr (has_no_text<L>) return;
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
  const typename L::Block tag = Tags<L>::of(keys, jobs);
  apply_ctr<L>(keys, tag, from, to, bytes);
  L::scatter(sealed, 0, tag);
}

}  // namespace
}  // namespace nts::siv
