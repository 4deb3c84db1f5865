#include "nts/siv/siv.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "nts/secret.h"

namespace nts::siv {

// One table a tier, each in a file and a library of its own.
extern const Kernels portable_x4;
#if defined(__x86_64__)
extern const Kernels aesni_x4;
extern const Kernels vaes256_x8;
extern const Kernels vaes512_x16;
#endif

namespace {

constexpr const Kernels* const tiers[] = {
#if defined(__x86_64__)
    &vaes512_x16,
    &vaes256_x8,
    &aesni_x4,
#endif
    &portable_x4,
};

// A published answer, under a1_key. Sealed is tag | ciphertext.
struct KnownAnswer {
  std::span<const std::uint8_t> associated_data, nonce, plaintext, sealed;
};

// RFC 5297 appendix A.1 (deterministic: no nonce).
constexpr std::uint8_t a1_key[] = {0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7, 0xf6, 0xf5,
                                   0xf4, 0xf3, 0xf2, 0xf1, 0xf0, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5,
                                   0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
constexpr std::uint8_t a1_data[] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
                                    0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27};
constexpr std::uint8_t a1_plaintext[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                         0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};
constexpr std::uint8_t a1_sealed[] = {0x85, 0x63, 0x2d, 0x07, 0xc6, 0xe8, 0xf3, 0x7f, 0x95, 0x0a,
                                      0xcd, 0x32, 0x0a, 0x2e, 0xcc, 0x93, 0x40, 0xc0, 0x2b, 0x96,
                                      0x90, 0xc4, 0xdc, 0x04, 0xda, 0xef, 0x7f, 0x6a, 0xfe, 0x5c};

// NTS's own shapes, which no RFC prints, under A.1's key and with octets that count up from zero: a client's
// authenticator (empty plaintext), a cookie (no associated data, four blocks) and an answer (many blocks, the
// last one short). Without the last two a wrong counter, or a wrong start for cookies, would go unseen. Made
// with nettle 3.8.1, and the same from pycryptodome.
constexpr auto counting = [] {
  std::array<std::uint8_t, 84> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<std::uint8_t>(i);
  return octets;
}();
constexpr std::span<const std::uint8_t> counted(std::size_t octets) {
  return std::span(counting).first(octets);
}
constexpr std::size_t nonce_bytes = 16;
constexpr std::uint8_t request_sealed[] = {0x37, 0x44, 0x42, 0xd7, 0x3f, 0xa0, 0x01, 0x71,
                                           0x34, 0x79, 0x5c, 0xe3, 0xdd, 0xc0, 0x6c, 0xc0};
constexpr std::uint8_t cookie_sealed[] = {
    0x7f, 0x02, 0xa5, 0x9c, 0xfa, 0x2e, 0xfd, 0xcd, 0x5a, 0xec, 0xcc, 0xaa, 0xae, 0xfa, 0x69, 0xea,
    0xbd, 0x8a, 0x50, 0xe1, 0x1a, 0x97, 0xf2, 0xb5, 0x40, 0x8a, 0xff, 0x65, 0x29, 0x53, 0x94, 0xbe,
    0x8b, 0xa1, 0x4d, 0x28, 0xc2, 0xa7, 0xcb, 0xd9, 0x4f, 0x24, 0xf8, 0x9d, 0x59, 0xd7, 0xbc, 0xca,
    0xfb, 0xdc, 0xe9, 0x02, 0xb4, 0xf0, 0x39, 0x53, 0xcf, 0xad, 0x21, 0xd3, 0xbd, 0x46, 0x01, 0x9b,
    0x85, 0xd3, 0x59, 0x23, 0xa8, 0x0f, 0x55, 0x01, 0xeb, 0x85, 0x30, 0xc9, 0x48, 0x67, 0xf6, 0x3d};
constexpr std::uint8_t answer_sealed[] = {
    0x5b, 0xdb, 0xe0, 0x6b, 0x70, 0x20, 0xc5, 0x78, 0x76, 0x1c, 0xea, 0xd1, 0xde, 0xf5, 0xd9, 0x47,
    0x1c, 0x75, 0x90, 0x19, 0xfd, 0x7c, 0x58, 0x2f, 0xa2, 0x61, 0x99, 0xbb, 0x9a, 0x58, 0x0d, 0x05,
    0x12, 0x1b, 0x59, 0xab, 0x0f, 0x53, 0xf1, 0x2b, 0xc7, 0x94, 0x06, 0xb9, 0x27, 0xe7, 0x1b, 0x15,
    0xf5, 0xa3, 0x39, 0xc3, 0x81, 0x88, 0x47, 0x27, 0x3a, 0xa5, 0x8f, 0xd7, 0x73, 0x21, 0x20, 0x31,
    0xf6, 0x4e, 0x7f, 0xfe, 0x7d, 0x99, 0x40, 0x80, 0x42, 0x90, 0x53, 0xac};

// A fifth shape, so that one group of lanes may hold nothing but unlike messages: no tier then finds a shape
// that is worth a group of its own, and the code for lanes of unequal length runs here before it runs for a
// client.
constexpr std::size_t short_nonce_bytes = 12;
constexpr std::uint8_t unlike_sealed[] = {
    0x34, 0x34, 0xa4, 0x6b, 0x69, 0x85, 0x18, 0x08, 0xb5, 0x9a, 0xb5, 0x71, 0xc6, 0x93, 0xee, 0xa4, 0xed,
    0x5b, 0x41, 0x82, 0x44, 0x89, 0x1e, 0x1b, 0xaf, 0x93, 0x65, 0xef, 0xc6, 0x64, 0x34, 0x2f, 0x83, 0x7f,
    0xa1, 0xdd, 0x14, 0x25, 0x7e, 0x07, 0x68, 0x0e, 0xe6, 0xc1, 0x89, 0xe6, 0x09, 0xd5, 0x3d};

constexpr KnownAnswer answers[] = {
    {a1_data, {}, a1_plaintext, a1_sealed},
    {a1_data, counted(nonce_bytes), {}, request_sealed},
    {counted(0), counted(nonce_bytes), counted(64), cookie_sealed},
    {counted(84), counted(nonce_bytes), counted(60), answer_sealed},
    {counted(40), counted(short_nonce_bytes), counted(33), unlike_sealed},
};

constexpr std::size_t message_bytes_max = 80;
constexpr std::uint32_t messages_max = 33;  // one more than two groups of the widest tier

// `count` messages through one call: message i is answers[(first + i * step) % size], so that a step of 0
// puts one shape into all lanes and a step of 1 unlike ones side by side, for which a tier has other code.
// True when each gives its published answer, a changed tag is refused and leaves no plaintext, and its
// neighbours do not notice.
bool gives(const Kernels& tier, std::uint32_t first, std::uint32_t step, std::uint32_t count) noexcept {
  KeyTable table;
  RingKeySchedule ring_key;
  std::array<const std::uint8_t*, messages_max> keys;
  std::array<const RingKeySchedule*, messages_max> ring_keys;
  std::array<Job, messages_max> jobs;
  std::array<std::array<std::uint8_t, message_bytes_max>, messages_max> sealed{};
  std::array<std::array<std::uint8_t, message_bytes_max>, messages_max> plain{};
  keys.fill(a1_key);
  ring_keys.fill(&ring_key);
  tier.expand_keys(keys.data(), count, &table);
  tier.expand_ring_key(a1_key, &ring_key);

  const auto answer_of = [&](std::uint32_t i) -> const KnownAnswer& {
    return answers[(first + i * step) % std::size(answers)];
  };
  const auto fill_jobs = [&] {
    for (std::uint32_t i = 0; i < count; ++i) {
      const KnownAnswer& answer = answer_of(i);
      jobs[i] = {.associated_data = answer.associated_data.data(),
                 .nonce = answer.nonce.data(),
                 .plaintext = plain[i].data(),
                 .sealed = sealed[i].data(),
                 .associated_data_bytes = static_cast<std::uint32_t>(answer.associated_data.size()),
                 .nonce_bytes = static_cast<std::uint32_t>(answer.nonce.size()),
                 .plaintext_bytes = static_cast<std::uint32_t>(answer.plaintext.size()),
                 .authentic = 2};
    }
  };
  bool good = true;
  const auto check_sealed = [&] {
    for (std::uint32_t i = 0; i < count; ++i) {
      const KnownAnswer& answer = answer_of(i);
      good = good && std::equal(answer.sealed.begin(), answer.sealed.end(), sealed[i].begin());
      sealed[i].fill(0);
    }
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    std::copy(answer_of(i).plaintext.begin(), answer_of(i).plaintext.end(), plain[i].begin());
  }
  fill_jobs();
  tier.seal(&table, jobs.data(), count);
  check_sealed();
  tier.seal_with_ring_key(&ring_key, jobs.data(), count);
  check_sealed();

  const std::uint32_t forged = count / 2;  // its tag is all zeros, which is never right
  const auto check_opened = [&] {
    for (std::uint32_t i = 0; i < count; ++i) {
      const KnownAnswer& answer = answer_of(i);
      good = good && jobs[i].authentic == (i == forged ? 0U : 1U);
      for (std::size_t at = 0; at < answer.plaintext.size(); ++at) {
        good = good && plain[i][at] == (i == forged ? 0 : answer.plaintext[at]);
      }
    }
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    std::copy(answer_of(i).sealed.begin(), answer_of(i).sealed.end(), sealed[i].begin());
    if (i == forged) std::fill_n(sealed[i].begin(), tag_bytes, std::uint8_t{0});
  }
  fill_jobs();
  tier.open(&table, jobs.data(), count);
  check_opened();
  fill_jobs();
  tier.open_with_ring_keys(ring_keys.data(), jobs.data(), count);
  check_opened();
  return good;
}

}  // namespace

std::span<const Kernels* const> all_tiers() noexcept { return tiers; }

bool gives_known_answers(const Kernels& tier) noexcept {
  bool good = true;
  for (std::uint32_t first = 0; first < std::size(answers); ++first) {
    for (std::uint32_t count = 1; count <= messages_max; ++count) {
      for (const std::uint32_t step : {0U, 1U}) good = gives(tier, first, step, count) && good;
    }
  }
  return good;
}

const Kernels* choose_tier_of(std::span<const Kernels* const> candidates, std::string_view forced) noexcept {
  for (const Kernels* tier : candidates) {
    if (!forced.empty() && forced != tier->name) continue;
    if (tier->cpu_can_run() != 0 && gives_known_answers(*tier)) return tier;
  }
  return nullptr;
}

const Kernels* choose_tier(std::string_view forced) noexcept { return choose_tier_of(tiers, forced); }

}  // namespace nts::siv
