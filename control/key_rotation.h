// The life of cookie keys, as rules on a value: first ring, new key, hand-over, retirement.
//
// Pure: no file, no page, no clock. Each function makes one change and raises the generation; the keeper
// saves the result before it publishes it, so a restart serves whatever was ever sealed. A key that is newer
// than the current one is `pending`: published and accepted everywhere, sealed with by nobody until
// take_over.
#pragma once

#include <cstdint>
#include <string>

#include "control/key_store.h"

namespace control {

struct RotationMoment {
  std::uint64_t epoch_s;  // what retention counts
  std::uint64_t unix_s;   // for people only
};

// One current key, random, with a random id: cookies of a lost ring then name keys this one never had.
// `generation` is above every one published before.
void make_first_ring(StoredRing& stored, const RotationMoment& now, std::uint64_t generation);

// The id of the key that waits to become current; 0 = none.
[[nodiscard]] std::uint32_t pending_key_id(const nts::KeyRing& ring) noexcept;

// Adds a new key as accepting. Empty on success; else why not, for the operator: one is pending already, or
// the slot still holds a key whose last cookies are younger than the retention.
[[nodiscard]] std::string add_pending_key(StoredRing& stored, const RotationMoment& now,
                                          std::uint32_t retention_s);

// The pending key becomes current, the current one accepting. There is a pending key.
void take_over(StoredRing& stored, const RotationMoment& now);

// True when a key's last cookies are older than the retention.
[[nodiscard]] bool has_key_to_retire(const StoredRing& stored, std::uint64_t epoch_s,
                                     std::uint32_t retention_s) noexcept;

// Erases the octets of all such keys; their ids are remembered as retired. There is at least one.
void retire_old_keys(StoredRing& stored, std::uint64_t epoch_s, std::uint32_t retention_s) noexcept;

}  // namespace control
