// The keys page as one core uses it: copied when published anew, checked, expanded, and the copy wiped.
#pragma once

#include <cstdint>

#include "dataplane/shm/pages.h"
#include "nts/key_ring.h"
#include "nts/siv/siv.h"

namespace dataplane {

class ServedKeys {
 public:
  explicit ServedKeys(const nts::siv::Kernels& tier);

  // Takes over what was published since the last call. `page` may be null: then the keys stay. Returns true
  // when the ring changed: from now on cookies are opened with ring().generation().
  bool refresh(const shm::KeysPage* page) noexcept {
    if (page == page_ && (page == nullptr || page->ring.generation() == seen_)) return false;
    return take(page);
  }

  // False while the page holds something newer than the last refresh() could read: a write is in progress.
  [[nodiscard]] bool has_seen_all() const noexcept {
    return page_ == nullptr || page_->ring.generation() == seen_;
  }

  [[nodiscard]] const nts::ExpandedKeyRing& ring() const noexcept { return ring_; }

 private:
  bool take(const shm::KeysPage* page) noexcept;

  const shm::KeysPage* page_ = nullptr;
  std::uint64_t seen_ = 0;  // generation of the page copied last; 0 = none
  nts::ExpandedKeyRing ring_;
  nts::KeyRing copy_{};  // zeros but for the length of one take()
};

}  // namespace dataplane
