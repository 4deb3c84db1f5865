#include "dataplane/served_keys.h"

#include <sodium.h>

namespace dataplane {
namespace {

// Published::read copies through its own stack frame, key octets and all. This covers that frame and a page.
constexpr std::size_t stack_wiped_bytes = sizeof(nts::KeyRing) + 4096;

[[gnu::noinline]] bool read_ring(const shm::KeysPage& page, nts::KeyRing& ring,
                                 std::uint64_t& generation) noexcept {
  return page.ring.read(ring, generation);
}

}  // namespace

ServedKeys::ServedKeys(const nts::siv::Kernels& tier) : ring_(tier) {}

bool ServedKeys::take(const shm::KeysPage* page) noexcept {
  if (page == nullptr) return false;
  if (page != page_) {
    page_ = page;
    seen_ = 0;  // another file counts its own generations
  }
  std::uint64_t generation = 0;
  if (!read_ring(*page, copy_, generation)) return false;  // a write in progress: the next burst comes soon
  seen_ = generation;
  // A ring that breaks its own rules is refused whole, and the keys we have stay.
  const bool is_taken = nts::is_valid(copy_);
  if (is_taken) ring_.load(copy_);
  sodium_memzero(&copy_, sizeof copy_);
  sodium_stackzero(stack_wiped_bytes);
  return is_taken;
}

}  // namespace dataplane
