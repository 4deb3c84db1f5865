#include "nts/gcm_siv/gcm_siv.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "nts/tiers.h"

namespace nts::gcm_siv {

// One table a tier, each in a file and a library of its own.
extern const Kernels gcm_siv_portable_x4;
#if defined(__x86_64__)
extern const Kernels gcm_siv_aesni_x4;
extern const Kernels gcm_siv_vaes256_x8;
extern const Kernels gcm_siv_vaes512_x16;
#endif

namespace {

constexpr const Kernels* const tiers[] = {
#if defined(__x86_64__)
    &gcm_siv_vaes512_x16,
    &gcm_siv_vaes256_x8,
    &gcm_siv_aesni_x4,
#endif
    &gcm_siv_portable_x4,
};

// Ciphertext | tag under a key and a nonce.
struct KnownAnswer {
  std::span<const std::uint8_t> key, nonce, associated_data, plaintext, sealed;
};

// RFC 8452 appendix C.1, the first answer with associated data.
constexpr std::uint8_t c1_key[] = {0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr std::uint8_t c1_nonce[] = {0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr std::uint8_t c1_data[] = {0x01};
constexpr std::uint8_t c1_plaintext[] = {0x02, 0, 0, 0, 0, 0, 0, 0};
constexpr std::uint8_t c1_sealed[] = {0x1e, 0x6d, 0xab, 0xa3, 0x56, 0x69, 0xf4, 0x27, 0x3b, 0x0a, 0x1a, 0x25,
                                      0x60, 0x96, 0x9c, 0xdf, 0x79, 0x0d, 0x99, 0x75, 0x9a, 0xbd, 0x15, 0x08};

// The answer there to one block: what becomes its tag has the top bit set, which must go.
constexpr std::uint8_t top_bit_plaintext[] = {0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
constexpr std::uint8_t top_bit_sealed[] = {0x74, 0x3f, 0x7c, 0x80, 0x77, 0xab, 0x25, 0xf8, 0x62, 0x4e, 0x2e,
                                           0x94, 0x85, 0x79, 0xcf, 0x77, 0x30, 0x3a, 0xaf, 0x90, 0xf6, 0xfe,
                                           0x21, 0x19, 0x9c, 0x60, 0x68, 0x57, 0x74, 0x37, 0xa0, 0xc4};

// A counter of 32 bits that wraps with the second block: the tag is all ones. Wycheproof, tcId 64.
constexpr std::uint8_t key[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
constexpr std::array<std::uint8_t, nonce_bytes> wrap_nonce{};
constexpr std::uint8_t wrap_data[] = {0x61, 0x6b, 0x2d, 0xff, 0x4d, 0x66, 0x5e, 0x5f,
                                      0x7a, 0xb8, 0x90, 0x72, 0x3d, 0xd9, 0x81, 0xb1};
constexpr std::uint8_t wrap_plaintext[] = {
    0xf0, 0x12, 0xc6, 0xa7, 0xeb, 0x0e, 0x8a, 0xf5, 0xbc, 0x45, 0xe0, 0x15, 0xe7, 0x68, 0x0a, 0x69,
    0x3d, 0xc7, 0x09, 0xb9, 0x53, 0x83, 0xf6, 0xa9, 0x4b, 0xab, 0xec, 0x1b, 0xc3, 0x6e, 0x4b, 0xe3,
    0xcf, 0x4f, 0x55, 0xa3, 0x1a, 0x94, 0xf1, 0x1c, 0x6c, 0x3f, 0x90, 0xee, 0xd9, 0x96, 0x82, 0xbc};
constexpr auto wrap_sealed = [] {
  std::array<std::uint8_t, sizeof wrap_plaintext + tag_bytes> octets{};
  for (std::size_t i = sizeof wrap_plaintext; i < octets.size(); ++i) octets[i] = 0xff;
  return octets;
}();

// NTS's own shapes with octets that count up from zero: a client's authenticator (empty plaintext), an answer
// (cookies, the last block short), and one more length, so that a group of lanes may hold nothing but unlike
// messages. Made with BoringSSL.
constexpr auto counting = [] {
  std::array<std::uint8_t, 156> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<std::uint8_t>(i);
  return octets;
}();
constexpr std::span<const std::uint8_t> counted(std::size_t octets) {
  return std::span(counting).first(octets);
}
constexpr std::uint8_t request_sealed[] = {0x15, 0xcb, 0x49, 0x05, 0x2f, 0xcc, 0x26, 0xb5,
                                           0x60, 0x10, 0xa1, 0x25, 0x01, 0xa2, 0xd1, 0xe1};
constexpr std::uint8_t answer_sealed[] = {
    0xee, 0x1e, 0x64, 0xf5, 0x78, 0x61, 0x18, 0xe1, 0x4f, 0x7c, 0xc7, 0xa0, 0x5a, 0x9c, 0x39,
    0x5c, 0x8c, 0xb6, 0xa4, 0xa0, 0x15, 0xd1, 0x3d, 0x9c, 0x54, 0x9b, 0x1d, 0x8a, 0x10, 0xbb,
    0x00, 0x2b, 0xf6, 0xe7, 0x3b, 0x0b, 0xd7, 0xe9, 0x6a, 0x9a, 0xea, 0xdc, 0xa8, 0x16, 0x88,
    0x4f, 0x00, 0x74, 0x5a, 0xdb, 0x76, 0xce, 0xdf, 0x01, 0xd5, 0x28, 0xfa, 0xc5, 0xf0, 0x5b,
    0xca, 0x98, 0xc9, 0xf2, 0xca, 0x75, 0xba, 0x22, 0x88, 0x6f, 0x02, 0x8b, 0xdb, 0x20, 0x12,
    0x8b, 0x20, 0x9c, 0xd4, 0xb8, 0x48, 0x2c, 0x23, 0x06, 0xd6, 0x39, 0x48, 0x26};
constexpr std::uint8_t unlike_sealed[] = {
    0xbf, 0xf4, 0x48, 0x52, 0xaf, 0xb7, 0x4b, 0x25, 0x80, 0xf2, 0xec, 0x2b, 0xc6, 0x2f, 0xa1, 0x0a, 0xd2,
    0xaf, 0x7a, 0xdc, 0x58, 0x7f, 0x5e, 0xc5, 0x58, 0xbb, 0x4d, 0xd6, 0xa6, 0xdb, 0x83, 0x56, 0x38, 0xfe,
    0x46, 0xe3, 0xb2, 0xbc, 0xc2, 0x28, 0x18, 0xce, 0x2c, 0x25, 0x98, 0xfa, 0xf7, 0x7c, 0x1f};

constexpr KnownAnswer answers[] = {
    {c1_key, c1_nonce, c1_data, c1_plaintext, c1_sealed},
    {c1_key, c1_nonce, counted(0), top_bit_plaintext, top_bit_sealed},
    {key, wrap_nonce, wrap_data, wrap_plaintext, wrap_sealed},
    {key, counted(nonce_bytes), counted(156), counted(0), request_sealed},
    {key, counted(nonce_bytes), counted(84), counted(72), answer_sealed},
    {key, counted(nonce_bytes), counted(40), counted(33), unlike_sealed},
};

constexpr std::size_t message_bytes_max = sizeof answer_sealed;
constexpr std::uint32_t messages_max = self_test_messages_max;

// `count` messages through one call, chosen as gives_at_every_fill says. True when each gives its known
// answer, a zero tag is refused and leaves no plaintext, and its neighbours do not notice.
bool gives(const Kernels& tier, std::uint32_t first, std::uint32_t step, std::uint32_t count) noexcept {
  KeyTable table;
  std::array<const std::uint8_t*, messages_max> keys;
  std::array<const std::uint8_t*, messages_max> nonces;
  std::array<Job, messages_max> jobs;
  std::array<std::array<std::uint8_t, message_bytes_max>, messages_max> plain{};
  std::array<std::array<std::uint8_t, message_bytes_max>, messages_max> sealed{};
  const auto answer_of = [&](std::uint32_t i) -> const KnownAnswer& {
    return answers[(first + i * step) % std::size(answers)];
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    const KnownAnswer& answer = answer_of(i);
    keys[i] = answer.key.data();
    nonces[i] = answer.nonce.data();
    std::copy(answer.plaintext.begin(), answer.plaintext.end(), plain[i].begin());
    jobs[i] = {.associated_data = answer.associated_data.data(),
               .nonce = answer.nonce.data(),
               .plaintext = plain[i].data(),
               .sealed = sealed[i].data(),
               .associated_data_bytes = static_cast<std::uint32_t>(answer.associated_data.size()),
               .nonce_bytes = nonce_bytes,
               .plaintext_bytes = static_cast<std::uint32_t>(answer.plaintext.size()),
               .authentic = 2};
  }
  bool good = true;
  tier.derive_keys(keys.data(), nonces.data(), count, &table);
  tier.seal(&table, jobs.data(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const KnownAnswer& answer = answer_of(i);
    good = good && std::equal(answer.sealed.begin(), answer.sealed.end(), sealed[i].begin());
  }
  // The tag of one is all zeros, which is right for none of them.
  const std::uint32_t forged = count / 2;
  std::fill_n(jobs[forged].sealed + jobs[forged].plaintext_bytes, tag_bytes, std::uint8_t{0});
  tier.open(&table, jobs.data(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const KnownAnswer& answer = answer_of(i);
    good = good && jobs[i].authentic == (i == forged ? 0U : 1U);
    for (std::size_t at = 0; at < answer.plaintext.size(); ++at) {
      good = good && plain[i][at] == (i == forged ? 0 : answer.plaintext[at]);
    }
  }
  return good;
}

}  // namespace

std::span<const Kernels* const> all_tiers() noexcept { return tiers; }

bool gives_known_answers(const Kernels& tier) noexcept {
  return gives_at_every_fill(std::size(answers),
                             [&](std::uint32_t first, std::uint32_t step, std::uint32_t count) {
                               return gives(tier, first, step, count);
                             });
}

const Kernels* choose_tier_of(std::span<const Kernels* const> candidates, std::string_view forced) noexcept {
  return first_good_tier(candidates, forced, gives_known_answers);
}

const Kernels* choose_tier(std::string_view forced) noexcept { return choose_tier_of(tiers, forced); }

}  // namespace nts::gcm_siv
