#include "nts/key_ring.h"

#include <cstring>

#include "nts/check.h"
#include "nts/secret.h"

namespace nts {
namespace {

bool is_same(const RingKey& left, const RingKey& right) noexcept {
  return left.id == right.id && opens(left) == opens(right) && equal_in_constant_time(left.key, right.key);
}

}  // namespace

bool is_valid(const KeyRing& ring) noexcept {
  if (ring.generation == 0) return false;
  std::uint32_t current = 0;
  for (std::uint32_t slot = 0; slot < ring_keys_max; ++slot) {
    const RingKey& key = ring.slots[slot];
    if (key.state == KeyState::empty) continue;
    if (static_cast<std::uint32_t>(key.state) > static_cast<std::uint32_t>(KeyState::retired)) return false;
    if (key.id == 0 || key.id == 0xffffffff || key.id % ring_keys_max != slot) return false;
    if (key.state == KeyState::current) {
      if (key.id != ring.current_id) return false;
      ++current;
    }
  }
  return ring.current_id == 0 ? current == 0 : current == 1;
}

ExpandedKeyRing::ExpandedKeyRing(const siv::Kernels& tier)
    : tier_(tier), slots_(std::make_unique<std::array<Slot, ring_keys_max>>()) {}

ExpandedKeyRing::~ExpandedKeyRing() {
  for (Slot& slot : *slots_) {
    wipe(slot.schedule.bytes);
    wipe(slot.key.key);
  }
}

void ExpandedKeyRing::load(const KeyRing& ring) noexcept {
  check(is_valid(ring));
  bool has_expanded = false;
  for (std::uint32_t i = 0; i < ring_keys_max; ++i) {
    Slot& slot = (*slots_)[i];
    const RingKey& key = ring.slots[i];
    if (!is_same(slot.key, key)) {
      if (opens(key)) {
        tier_.expand_ring_key(key.key.data(), &slot.schedule);
        has_expanded = true;
      } else {
        wipe(slot.schedule.bytes);
      }
    }
    slot.key = key;
  }
  if (has_expanded) wipe_stack_below();
  generation_ = ring.generation;
  current_id_ = ring.current_id;
}

const siv::RingKeySchedule& ExpandedKeyRing::current_schedule() const noexcept {
  check(can_serve());
  return (*slots_)[current_id_ % ring_keys_max].schedule;
}

ExpandedKeyRing::Lookup ExpandedKeyRing::find(std::uint32_t id) const noexcept {
  const Slot& slot = (*slots_)[id % ring_keys_max];
  if (slot.key.id != id || slot.key.state == KeyState::empty) return {Found::unknown, nullptr};
  if (slot.key.state == KeyState::retired) return {Found::retired, nullptr};
  return {Found::opens, &slot.schedule};
}

}  // namespace nts
