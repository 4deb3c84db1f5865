// The private, C-shaped contract that every AES-SIV tier fills.
//
// AES-SIV (RFC 5297): a key of 32, 48 or 64 octets, CMAC half first. A job is one message; a call takes an
// array of jobs so that a tier can run many messages side by side. The S2V input of a job is
// (associated data, nonce, plaintext), as in RFC 5297 section 6: associated data is always one component,
// even when it is empty; a nonce of 0 octets is no component at all (deterministic mode, RFC 5297 section 4).
//
// A tier file includes headers of this folder, <cpuid.h>, <immintrin.h> and <stdint.h>, and nothing else: an
// inline function of the standard library compiled with wider instructions could become the copy that
// baseline code calls.
#pragma once

#include <stdint.h>

namespace nts::siv {

// One message. `sealed` is tag (16 octets) | ciphertext; plaintext and ciphertext have the same length.
// In place is allowed in exactly one way: plaintext == sealed + 16.
// Everything is borrowed for the call.
struct Job {
  const uint8_t* associated_data;
  const uint8_t* nonce;
  uint8_t* plaintext;  // seal reads it, open writes it
  uint8_t* sealed;     // seal writes it, open reads it
  uint32_t associated_data_bytes;
  uint32_t nonce_bytes;
  uint32_t plaintext_bytes;
  uint32_t authentic;  // open writes 1 or 0; on 0 the plaintext is all zeros
};

// Room for one expanded key of the cookie ring: made once for each publication, read by every packet.
// The layout inside belongs to the tier.
struct alignas(64) RingKeySchedule {
  uint8_t bytes[1024];
};

// Room for the expanded keys of one burst: key i serves job i. The layout inside belongs to the tier, which
// may transpose it across keys.
inline constexpr uint32_t key_table_keys_max = 64;
struct alignas(64) KeyTable {
  uint8_t bytes[key_table_keys_max * 576];
};

// What the CMAC of a cookie's plaintext comes to before its last block, under the key that opened it: as
// secret as the plaintext.
struct alignas(16) CookieMac {
  uint8_t octets[16];
};

// One tier. All functions take the same path and touch the same addresses for a good tag and a bad one.
struct Kernels {
  const char* name;              // algorithm, lanes and CPU feature, for example "aesni_x4"
  const char* instruction_sets;  // what the CPU must have, for the operator
  uint32_t lanes;                // messages that run side by side
  uint32_t key_bytes;            // of each key below: 32, 48 or 64
  int (*cpu_can_run)(void);

  void (*expand_ring_key)(const uint8_t* key, RingKeySchedule* schedule);
  // Expands `count` <= key_table_keys_max keys.
  void (*expand_keys)(const uint8_t* const* keys, uint32_t count, KeyTable* table);

  // The same for messages without a plaintext, as requests nearly always are: the table then opens and seals
  // no others.
  void (*expand_keys_to_verify)(const uint8_t* const* keys, uint32_t count, KeyTable* table);

  // Job i under key i of the table, for count <= key_table_keys_max.
  void (*open)(const KeyTable* table, Job* jobs, uint32_t count);
  void (*seal)(const KeyTable* table, Job* jobs, uint32_t count);

  // Job i under schedule i: requests of one burst may carry cookies of several ring keys. Any count.
  void (*open_with_ring_keys)(const RingKeySchedule* const* schedules, Job* jobs, uint32_t count);
  // All jobs under the current ring key. Any count.
  void (*seal_with_ring_key)(const RingKeySchedule* schedule, Job* jobs, uint32_t count);

  // For plaintexts that are opened and sealed again under one key. open_cookies is open_with_ring_keys; where
  // it returns 1 (all cookies of one shape and under one key) it has written macs[i] too, and seal_cookies
  // under that key may have them: it is seal_with_ring_key, of plaintexts that gave their `macs`.
  uint32_t (*open_cookies)(const RingKeySchedule* const* schedules, Job* jobs, uint32_t count,
                           CookieMac* macs);
  void (*seal_cookies)(const RingKeySchedule* schedule, Job* jobs, uint32_t count, const CookieMac* macs);
};

}  // namespace nts::siv
