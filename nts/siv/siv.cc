#include "nts/siv/siv.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "nts/siv/known_answers.h"
#include "nts/tiers.h"

namespace nts::siv {

// One table a tier, each in a file and a library of its own.
extern const Kernels portable_x4;
extern const Kernels siv_384_portable_x4;
extern const Kernels siv_512_portable_x4;
#if defined(__x86_64__)
extern const Kernels aesni_x4;
extern const Kernels vaes256_x8;
extern const Kernels vaes512_x16;
extern const Kernels siv_384_aesni_x4;
extern const Kernels siv_512_aesni_x4;
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
// Few ask for these: the widest lanes are not compiled for them.
constexpr const Kernels* const tiers_384[] = {
#if defined(__x86_64__)
    &siv_384_aesni_x4,
#endif
    &siv_384_portable_x4,
};
constexpr const Kernels* const tiers_512[] = {
#if defined(__x86_64__)
    &siv_512_aesni_x4,
#endif
    &siv_512_portable_x4,
};

constexpr std::size_t message_bytes_max = 224;
constexpr std::uint32_t messages_max = self_test_messages_max;

// `count` messages through one call, chosen as gives_at_every_fill says. True when each gives its known
// answer, a changed tag is refused and leaves no plaintext, and its neighbours do not notice.
bool gives(const Kernels& tier, const KnownAnswers& known, std::uint32_t first, std::uint32_t step,
           std::uint32_t count) noexcept {
  KeyTable table;
  RingKeySchedule ring_key;
  std::array<const std::uint8_t*, messages_max> keys;
  std::array<const RingKeySchedule*, messages_max> ring_keys;
  std::array<Job, messages_max> jobs;
  std::array<std::array<std::uint8_t, message_bytes_max>, messages_max> sealed{};
  std::array<std::array<std::uint8_t, message_bytes_max>, messages_max> plain{};
  keys.fill(known.key.data());
  ring_keys.fill(&ring_key);
  tier.expand_keys(keys.data(), count, &table);
  tier.expand_ring_key(known.key.data(), &ring_key);

  const auto answer_of = [&](std::uint32_t i) -> const KnownAnswer& {
    return known.answers[(first + i * step) % known.answers.size()];
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
  const auto check_sealed = [&](std::uint32_t but = messages_max) {
    for (std::uint32_t i = 0; i < count; ++i) {
      const KnownAnswer& answer = answer_of(i);
      good = good && (i == but || std::equal(answer.sealed.begin(), answer.sealed.end(), sealed[i].begin()));
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
  if (step == 0 && answer_of(0).plaintext.empty()) {
    tier.expand_keys_to_verify(keys.data(), count, &table);
    fill_jobs();
    tier.open(&table, jobs.data(), count);
    check_opened();
  }
  fill_jobs();
  tier.open_with_ring_keys(ring_keys.data(), jobs.data(), count);
  check_opened();

  std::array<CookieMac, messages_max> macs;
  fill_jobs();
  const bool has_macs = tier.open_cookies(ring_keys.data(), jobs.data(), count, macs.data()) != 0;
  check_opened();
  if (has_macs) {
    for (auto& octets : sealed) octets.fill(0);
    tier.seal_cookies(&ring_key, jobs.data(), count, macs.data());
    check_sealed(forged);  // its plaintext is gone
  }
  return good;
}

}  // namespace

std::span<const Kernels* const> all_tiers(std::uint32_t bytes_of_key) noexcept {
  if (bytes_of_key == key_bytes_384) return tiers_384;
  if (bytes_of_key == key_bytes_512) return tiers_512;
  return bytes_of_key == key_bytes_256 ? std::span<const Kernels* const>(tiers)
                                       : std::span<const Kernels* const>{};
}

bool gives_known_answers(const Kernels& tier) noexcept {
  for (const KnownAnswers& known : known_answers) {
    if (known.key.size() != tier.key_bytes) continue;
    return gives_at_every_fill(static_cast<std::uint32_t>(known.answers.size()),
                               [&](std::uint32_t first, std::uint32_t step, std::uint32_t count) {
                                 return gives(tier, known, first, step, count);
                               });
  }
  return false;
}

const Kernels* choose_tier_of(std::span<const Kernels* const> candidates, std::string_view forced) noexcept {
  return first_good_tier(candidates, forced, gives_known_answers);
}

const Kernels* choose_tier(std::string_view forced, std::uint32_t bytes_of_key) noexcept {
  return choose_tier_of(all_tiers(bytes_of_key), forced);
}

}  // namespace nts::siv
