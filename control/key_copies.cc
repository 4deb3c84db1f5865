#include "control/key_copies.h"

#include <algorithm>

#include "nts/secret.h"

namespace control {
namespace {

bool is_same_key(const nts::RingKey& left, const nts::RingKey& right) noexcept {
  return left.id == right.id && nts::equal_in_constant_time(left.key, right.key);
}

// What the page does not say: when its keys were superseded.
void take_page(const nts::KeyRing& page, const StoredRing* file, std::uint64_t now_s, StoredRing& result) {
  result.ring = page;
  result.superseded_epoch_s.fill(0);
  for (std::size_t slot = 0; slot < nts::ring_keys_max; ++slot) {
    const nts::RingKey& key = page.slots[slot];
    if (key.state != nts::KeyState::accepting || key.id > page.current_id) continue;
    const bool is_known =
        file != nullptr && is_same_key(file->ring.slots[slot], key) && file->superseded_epoch_s[slot] != 0;
    result.superseded_epoch_s[slot] = is_known ? file->superseded_epoch_s[slot] : now_s;
  }
}

void add_missing_keys(const nts::KeyRing& other, std::uint64_t now_s, StoredRing& result,
                      CopiesReport& report) {
  for (std::size_t slot = 0; slot < nts::ring_keys_max; ++slot) {
    const nts::RingKey& key = other.slots[slot];
    nts::RingKey& mine = result.ring.slots[slot];
    if (!opens(key)) continue;
    if (opens(mine)) {
      if (!is_same_key(mine, key)) ++report.keys_lost;
      continue;
    }
    // Retired is retired: its octets were erased because nobody needs them any more.
    if (mine.state == nts::KeyState::retired && mine.id == key.id) continue;
    mine = key;
    mine.state = nts::KeyState::accepting;
    result.superseded_epoch_s[slot] = now_s;
    ++report.keys_added;
  }
}

bool is_same_ring(const nts::KeyRing& left, const nts::KeyRing& right) noexcept {
  return sodium_memcmp(&left, &right, sizeof left) == 0;
}

}  // namespace

CopiesReport reconcile_copies(const StoredRing* file, const nts::KeyRing* page, const RotationMoment& now,
                              StoredRing& result) {
  CopiesReport report{};
  if (file == nullptr && page == nullptr) return report;
  report.has_ring = true;
  const std::uint64_t now_s = std::max<std::uint64_t>(now.epoch_s, 1);  // 0 means "not superseded"
  const bool page_wins = file == nullptr || (page != nullptr && page->generation > file->ring.generation);
  if (page_wins) {
    take_page(*page, file, now_s, result);
    if (file != nullptr) add_missing_keys(file->ring, now_s, result, report);
  } else {
    result = *file;
    if (page != nullptr) add_missing_keys(*page, now_s, result, report);
  }
  if (page != nullptr && result.ring.generation <= page->generation && !is_same_ring(result.ring, *page)) {
    result.ring.generation = page->generation + 1;
  }
  report.must_save = file == nullptr || !is_same_ring(result.ring, file->ring);
  return report;
}

}  // namespace control
