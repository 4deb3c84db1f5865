// Two copies of the ring may meet when the keeper starts: the key file's and the keys page's, which outlives
// the keeper on its tmpfs. This decides what counts.
//
// The rule: no key that may have sealed a cookie is lost while any copy of it exists, and the generation
// never goes down for the page's readers. So
//   - one copy alone counts as it is;
//   - of two, the one of the higher generation says which key seals; the file when they are equal, because it
//     also knows when each key was superseded. The file is ahead when the keeper died between saving and
//     publishing; the page is ahead when the disk could not be written, or the file is an old backup;
//   - a key that only the other copy opens is accepted from now on, if its slot is free;
//   - what differs from the page gets a generation above the page's.
// A key whose age is not known counts as superseded now: kept longer than asked, never shorter.
//
// Pure: no file, no page, no clock.
#pragma once

#include <cstdint>

#include "control/key_rotation.h"

namespace control {

struct CopiesReport {
  bool has_ring;             // false: there was no copy at all, and the result is untouched
  bool must_save;            // the result is not what the file holds
  std::uint32_t keys_added;  // from the copy that did not win
  std::uint32_t keys_lost;   // of that copy, because another key that opens has their slot
};

// `file` and `page` may be null; a ring behind them is valid and has a current key.
[[nodiscard]] CopiesReport reconcile_copies(const StoredRing* file, const nts::KeyRing* page,
                                            const RotationMoment& now, StoredRing& result);

}  // namespace control
