// The cookie keys by id: a plain value that travels through the keys page, and its expanded form, one per
// core.
//
// Ids rise by one; a key lives in slot id % ring_keys_max, so a look-up is one comparison and a new key
// evicts exactly the oldest. 0 and 0xffffffff are never ids. States: a key is published as `accepting` (it
// opens cookies), becomes `current` (it also seals) once every core has acknowledged it, goes back to
// `accepting` when the next one takes over, and ends `retired`: its octets are gone, its id is remembered.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "nts/siv/siv.h"

namespace nts {

inline constexpr std::uint32_t ring_keys_max = 128;

enum class KeyState : std::uint32_t { empty = 0, accepting = 1, current = 2, retired = 3 };

struct RingKey {
  std::uint32_t id;
  KeyState state;
  std::uint64_t created_s;  // seconds since 1970 by the host's clock: for people, decides nothing
  std::array<std::uint8_t, siv::key_bytes> key;  // AEAD_AES_SIV_CMAC_256; zeros when retired or empty
};
static_assert(sizeof(RingKey) == 48);

// True when cookies under this key are good.
[[nodiscard]] constexpr bool opens(const RingKey& key) noexcept {
  return key.state == KeyState::accepting || key.state == KeyState::current;
}

struct KeyRing {
  std::uint64_t generation;  // rises with every change; 0 = no ring yet
  std::uint32_t current_id;  // the one key in state current; 0 = none: nothing is sealed, nothing is served
  std::uint32_t reserved;
  std::array<RingKey, ring_keys_max> slots;

  [[nodiscard]] const RingKey& slot_of(std::uint32_t id) const noexcept { return slots[id % ring_keys_max]; }
};
static_assert(sizeof(KeyRing) == 16 + 48 * ring_keys_max);
static_assert(std::is_trivially_copyable_v<KeyRing>);

// True when the ring keeps its own rules: each key in its slot, at most one current and it is current_id, no
// forbidden id. A reader refuses a ring that does not.
[[nodiscard]] bool is_valid(const KeyRing& ring) noexcept;

// What the packet path uses: the ring's keys expanded by a tier. About 140 KiB; made at start, refilled in
// place on each publication, wiped when it goes.
class ExpandedKeyRing {
 public:
  explicit ExpandedKeyRing(const siv::Kernels& tier);
  ~ExpandedKeyRing();
  ExpandedKeyRing(const ExpandedKeyRing&) = delete;
  ExpandedKeyRing& operator=(const ExpandedKeyRing&) = delete;

  // Takes over `ring` (valid by is_valid). Expands only slots that changed. Allocates nothing.
  void load(const KeyRing& ring) noexcept;

  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  // False until a ring with a current key was loaded.
  [[nodiscard]] bool can_serve() const noexcept { return current_id_ != 0; }
  [[nodiscard]] std::uint32_t current_id() const noexcept { return current_id_; }
  [[nodiscard]] const siv::RingKeySchedule& current_schedule() const noexcept;

  enum class Found : std::uint8_t { opens, retired, unknown };
  struct Lookup {
    Found found;
    const siv::RingKeySchedule* schedule;  // set when `opens`
  };
  [[nodiscard]] Lookup find(std::uint32_t id) const noexcept;

 private:
  struct Slot {
    siv::RingKeySchedule schedule;
    RingKey key;
  };
  const siv::Kernels& tier_;
  std::unique_ptr<std::array<Slot, ring_keys_max>> slots_;
  std::uint64_t generation_ = 0;
  std::uint32_t current_id_ = 0;
};

}  // namespace nts
