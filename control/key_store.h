// The key file: cookie keys over restarts, whole or not at all.
//
// Layout, native-endian: StoredHeader | StoredKey[count] | BLAKE2b-256 of all before it. A file with any
// fault (length, checksum, version, ids, states, no keys) is refused whole, moved aside under another name
// for a person to look at, and never half-loaded. Saving is temporary file, fsync, rename, fsync of the
// directory: whatever happens in between, the name holds the old ring or the new one.
//
// Time here is the epoch: seconds in which keys are known to have aged. It runs with CLOCK_BOOTTIME, goes on
// over restarts within one boot, and stands still while the machine is off, so that no wall clock, however
// wrong, makes a key look old (TESTS.md H09). A key may therefore be kept longer than asked, never shorter.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "control/guarded.h"
#include "nts/key_ring.h"

namespace control {

// A ring and what the keeper must remember beside it.
struct StoredRing {
  nts::KeyRing ring;
  // Per slot: the epoch at which the key stopped to seal; 0 = it still does, or does not yet. Retention
  // counts from here, since its last cookie is that young.
  std::array<std::uint64_t, nts::ring_keys_max> superseded_epoch_s;
  std::uint64_t epoch_s;                 // at the moment of saving
  std::uint64_t boottime_s;              // CLOCK_BOOTTIME at that moment ...
  std::array<std::uint8_t, 16> boot_id;  // ... of this boot
};

// Where the epoch stands now.
class Epoch {
 public:
  // Begins at 0.
  Epoch();
  // Goes on from what was saved.
  void resume(const StoredRing& saved);
  [[nodiscard]] std::uint64_t now_s() const;
  // Writes the present into `stored`, for saving.
  void stamp(StoredRing& stored) const;

 private:
  std::uint64_t base_epoch_s_ = 0;
  std::uint64_t base_boottime_s_ = 0;
  std::array<std::uint8_t, 16> boot_id_{};
};

inline constexpr std::uint32_t key_file_version = 1;
inline constexpr std::size_t key_file_bytes_max = 72 + 56 * nts::ring_keys_max + 32;

// Why the keeper cannot use `ring`, as a clause; empty when it can: valid by nts::is_valid, one key is
// current and no key that opens is all zeros.
[[nodiscard]] std::string fault_of_ring(const nts::KeyRing& ring);

// The file's octets and how many of them count.
struct KeyFileImage {
  std::size_t bytes;
  std::array<std::uint8_t, key_file_bytes_max> octets;
};

// `stored.ring` is valid and holds at least one key.
void encode_key_file(const StoredRing& stored, KeyFileImage& image);

// Empty when `octets` are a whole key file, now in `stored`; else why not, and `stored` is unchanged.
[[nodiscard]] std::string decode_key_file(std::span<const std::uint8_t> octets, StoredRing& stored);

enum class Loaded : std::uint8_t {
  ring,     // `stored` holds it
  missing,  // there is no such file
  refused   // with the reason; the file was moved aside
};

struct LoadReport {
  Loaded loaded;
  std::string reason;  // for people, when refused: what was wrong and where the file is now
};

// Reads `file`: a regular file of our own uid, mode 0600, one name, no symbolic link. Throws
// std::runtime_error with one sentence when the machine, not the file, is at fault (no permission, I/O
// error).
[[nodiscard]] LoadReport load_key_file(const std::filesystem::path& file, StoredRing& stored);

// Replaces `file`. Empty on success, else what failed; the old file is then still there.
[[nodiscard]] std::string save_key_file(const std::filesystem::path& file, const KeyFileImage& image);

}  // namespace control
