// AES-SIV with keys of 48 octets (AEAD 16, AES-192): the AES-NI tier compiled once more for this key size,
// its table under a name of its own.
#define NOONMARK_SIV_KEY_BITS 384
#define aesni_x4 siv_384_aesni_x4
#include "nts/siv/siv_aesni_x4.cc"
