// The private, C-shaped contract that every AES-GCM-SIV tier fills.
//
// AEAD_AES_128_GCM_SIV (RFC 8452): a 16-octet key, a nonce of 12 octets and no other length. Every message
// has keys of its own, derived from key and nonce (section 4), so a call takes an array of messages and a
// tier runs many of them side by side. A tier file includes headers of this folder and of nts/siv, <cpuid.h>,
// <immintrin.h> and <stdint.h>, and nothing else, for the reason nts/siv/kernel.h gives.
#pragma once

#include <stdint.h>

#include "nts/siv/kernel.h"

namespace nts::gcm_siv {

// The job of nts/siv, with one difference: `sealed` is ciphertext | tag (16 octets), as RFC 8452 writes it,
// so in place means plaintext == sealed. `nonce_bytes` is 12.
using siv::Job;

inline constexpr uint32_t tag_bytes = 16;
inline constexpr uint32_t key_bytes = 16;
inline constexpr uint32_t nonce_bytes = 12;

// Room for the derived keys of one burst, and for the empty lanes of its last group. The layout inside
// belongs to the tier.
inline constexpr uint32_t key_table_keys_max = 64;
struct alignas(64) KeyTable {
  uint8_t bytes[(key_table_keys_max + 16) * 208];
};

// One tier. All functions take the same path and touch the same addresses for a good tag and a bad one.
struct Kernels {
  const char* name;              // lanes and CPU feature, for example "gcm_siv_aesni_x4"
  const char* instruction_sets;  // what the CPU must have, for the operator
  uint32_t lanes;                // messages that run side by side
  int (*cpu_can_run)(void);

  // The keys of message i from key i (16 octets) and nonce i (12 octets); count <= key_table_keys_max.
  void (*derive_keys)(const uint8_t* const* keys, const uint8_t* const* nonces, uint32_t count,
                      KeyTable* table);

  // Job i under the keys of message i; `count` and nonces are those that the table was made for.
  void (*open)(const KeyTable* table, Job* jobs, uint32_t count);
  void (*seal)(const KeyTable* table, Job* jobs, uint32_t count);
};

}  // namespace nts::gcm_siv
