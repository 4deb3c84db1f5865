#include "nts/siv/siv.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "nts/secret.h"

namespace nts::siv {

// One table a tier, each in a file and a library of its own.
extern const Kernels portable_x4;
#if defined(__x86_64__)
extern const Kernels aesni_x4;
#endif

namespace {

constexpr const Kernels* const tiers[] = {
// Wider tiers come first when they come.
#if defined(__x86_64__)
    &aesni_x4,
#endif
    &portable_x4,
};

// A published answer. The key is 32 octets; sealed is tag | ciphertext.
struct KnownAnswer {
  std::span<const std::uint8_t> key, associated_data, nonce, plaintext, sealed;
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

// NTS's own shape, which no RFC prints: a client's authenticator, empty plaintext and a nonce of 16 octets
// under A.1's key and data. Made with nettle 3.8.1 and checked against pycryptodome.
constexpr std::uint8_t empty_nonce[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
                                        0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};
constexpr std::uint8_t empty_sealed[] = {0x37, 0x44, 0x42, 0xd7, 0x3f, 0xa0, 0x01, 0x71,
                                         0x34, 0x79, 0x5c, 0xe3, 0xdd, 0xc0, 0x6c, 0xc0};

constexpr KnownAnswer answers[] = {
    {a1_key, a1_data, {}, a1_plaintext, a1_sealed},
    {a1_key, a1_data, empty_nonce, {}, empty_sealed},
};

constexpr std::size_t message_bytes_max = 32;
constexpr std::uint32_t copies_max = 33;  // one more than two groups of the widest tier planned

// The same message `copies` times through one call. True when every copy gives the published answer, a
// changed tag is refused and leaves no plaintext, and its neighbours do not notice.
bool gives(const Kernels& tier, const KnownAnswer& answer, std::uint32_t copies) noexcept {
  KeyTable table;
  RingKeySchedule ring_key;
  std::array<const std::uint8_t*, copies_max> keys;
  std::array<const RingKeySchedule*, copies_max> ring_keys;
  std::array<Job, copies_max> jobs;
  std::array<std::array<std::uint8_t, message_bytes_max>, copies_max> sealed{};
  std::array<std::array<std::uint8_t, message_bytes_max>, copies_max> plain{};
  keys.fill(answer.key.data());
  ring_keys.fill(&ring_key);
  tier.expand_keys(keys.data(), copies, &table);
  tier.expand_ring_key(answer.key.data(), &ring_key);

  const auto fill_jobs = [&] {
    for (std::uint32_t i = 0; i < copies; ++i) {
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
    for (std::uint32_t i = 0; i < copies; ++i) {
      good = good && std::equal(answer.sealed.begin(), answer.sealed.end(), sealed[i].begin());
      sealed[i].fill(0);
    }
  };
  for (std::uint32_t i = 0; i < copies; ++i) {
    std::copy(answer.plaintext.begin(), answer.plaintext.end(), plain[i].begin());
  }
  fill_jobs();
  tier.seal(&table, jobs.data(), copies);
  check_sealed();
  tier.seal_with_ring_key(&ring_key, jobs.data(), copies);
  check_sealed();

  const std::uint32_t forged = copies / 2;  // its tag is all zeros, which is never right
  const auto check_opened = [&] {
    for (std::uint32_t i = 0; i < copies; ++i) {
      good = good && jobs[i].authentic == (i == forged ? 0U : 1U);
      for (std::size_t at = 0; at < answer.plaintext.size(); ++at) {
        good = good && plain[i][at] == (i == forged ? 0 : answer.plaintext[at]);
      }
    }
  };
  for (std::uint32_t i = 0; i < copies; ++i) {
    std::copy(answer.sealed.begin(), answer.sealed.end(), sealed[i].begin());
    if (i == forged) std::fill_n(sealed[i].begin(), tag_bytes, std::uint8_t{0});
  }
  fill_jobs();
  tier.open(&table, jobs.data(), copies);
  check_opened();
  fill_jobs();
  tier.open_with_ring_keys(ring_keys.data(), jobs.data(), copies);
  check_opened();
  return good;
}

}  // namespace

std::span<const Kernels* const> all_tiers() noexcept { return tiers; }

bool gives_known_answers(const Kernels& tier) noexcept {
  bool good = true;
  for (const KnownAnswer& answer : answers) {
    for (std::uint32_t copies = 1; copies <= copies_max; ++copies) good = gives(tier, answer, copies) && good;
  }
  return good;
}

const Kernels* choose_tier(std::string_view forced) noexcept {
  for (const Kernels* tier : tiers) {
    if (!forced.empty() && forced != tier->name) continue;
    if (tier->cpu_can_run() != 0 && gives_known_answers(*tier)) return tier;
  }
  return nullptr;
}

}  // namespace nts::siv
