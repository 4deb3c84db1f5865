// AES-SIV with keys of 64 octets (AEAD 17, AES-256): the portable tier compiled once more for this key size,
// its table under a name of its own.
#define NOONMARK_SIV_KEY_BITS 512
#define portable_x4 siv_512_portable_x4
#include "nts/siv/siv_portable.cc"
