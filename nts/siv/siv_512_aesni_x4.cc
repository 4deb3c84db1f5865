// AES-SIV with keys of 64 octets (AEAD 17, AES-256): the AES-NI tier compiled once more for this key size,
// its table under a name of its own.
#define NOONMARK_SIV_KEY_BITS 512
#define aesni_x4 siv_512_aesni_x4
#include "nts/siv/siv_aesni_x4.cc"
