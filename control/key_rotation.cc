#include "control/key_rotation.h"

#include <algorithm>

#include "nts/check.h"
#include "nts/secret.h"

namespace control {
namespace {

// Random, but short enough to be read aloud.
constexpr std::uint32_t first_id_max = 1U << 24;
constexpr std::uint32_t id_max = 0xfffffffe;  // 0xffffffff is never an id

std::uint32_t newest_id(const nts::KeyRing& ring) noexcept {
  std::uint32_t newest = 0;
  for (const nts::RingKey& key : ring.slots) {
    if (key.state != nts::KeyState::empty) newest = std::max(newest, key.id);
  }
  return newest;
}

std::size_t slot_of(std::uint32_t id) noexcept { return id % nts::ring_keys_max; }

void put_new_key(StoredRing& stored, std::uint32_t id, nts::KeyState state, const RotationMoment& now) {
  nts::RingKey& key = stored.ring.slots[slot_of(id)];
  key = {id, state, now.unix_s, {}};
  randombytes_buf(key.key.data(), key.key.size());
  stored.superseded_epoch_s[slot_of(id)] = 0;
}

// Accepting, superseded, and all its cookies older than the retention.
bool is_past_retention(const StoredRing& stored, std::size_t slot, std::uint64_t epoch_s,
                       std::uint32_t retention_s) noexcept {
  const std::uint64_t superseded = stored.superseded_epoch_s[slot];
  return stored.ring.slots[slot].state == nts::KeyState::accepting && superseded != 0 &&
         epoch_s >= superseded && epoch_s - superseded >= retention_s;
}

}  // namespace

void make_first_ring(StoredRing& stored, const RotationMoment& now, std::uint64_t generation) {
  nts::wipe({reinterpret_cast<std::uint8_t*>(&stored.ring), sizeof stored.ring});
  stored.superseded_epoch_s.fill(0);
  const std::uint32_t id = 1 + randombytes_uniform(first_id_max);
  put_new_key(stored, id, nts::KeyState::current, now);
  stored.ring.current_id = id;
  stored.ring.generation = generation;
}

std::uint32_t pending_key_id(const nts::KeyRing& ring) noexcept {
  const std::uint32_t newest = newest_id(ring);
  return newest > ring.current_id && opens(ring.slot_of(newest)) ? newest : 0;
}

std::string add_pending_key(StoredRing& stored, const RotationMoment& now, std::uint32_t retention_s) {
  if (const std::uint32_t pending = pending_key_id(stored.ring); pending != 0) {
    return "key " + std::to_string(pending) + " still waits to become current; look at the dataplane's cores";
  }
  const std::uint32_t newest = newest_id(stored.ring);
  if (newest >= id_max) return "key ids are used up; start anew with an empty key file";
  const std::uint32_t id = newest + 1;
  const nts::RingKey& evicted = stored.ring.slots[slot_of(id)];
  if (opens(evicted) && !is_past_retention(stored, slot_of(id), now.epoch_s, retention_s)) {
    return "key " + std::to_string(evicted.id) + " would be pushed out within its retention of " +
           std::to_string(retention_s) + " s; rotate later, or lower [keys] retention_s";
  }
  put_new_key(stored, id, nts::KeyState::accepting, now);
  ++stored.ring.generation;
  return {};
}

void take_over(StoredRing& stored, const RotationMoment& now) {
  const std::uint32_t next = pending_key_id(stored.ring);
  nts::check(next != 0);
  const std::size_t old_slot = slot_of(stored.ring.current_id);
  stored.ring.slots[old_slot].state = nts::KeyState::accepting;
  // 0 means "not superseded", and the epoch of a new machine begins there.
  stored.superseded_epoch_s[old_slot] = std::max<std::uint64_t>(now.epoch_s, 1);
  stored.ring.slots[slot_of(next)].state = nts::KeyState::current;
  stored.ring.current_id = next;
  ++stored.ring.generation;
}

bool has_key_to_retire(const StoredRing& stored, std::uint64_t epoch_s, std::uint32_t retention_s) noexcept {
  for (std::size_t slot = 0; slot < nts::ring_keys_max; ++slot) {
    if (is_past_retention(stored, slot, epoch_s, retention_s)) return true;
  }
  return false;
}

void retire_old_keys(StoredRing& stored, std::uint64_t epoch_s, std::uint32_t retention_s) noexcept {
  for (std::size_t slot = 0; slot < nts::ring_keys_max; ++slot) {
    if (!is_past_retention(stored, slot, epoch_s, retention_s)) continue;
    nts::wipe(stored.ring.slots[slot].key);
    stored.ring.slots[slot].state = nts::KeyState::retired;
  }
  ++stored.ring.generation;
}

}  // namespace control
