// Messages of AES-GCM-SIV that own their octets, one or many through one call of a tier.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "nts/gcm_siv/gcm_siv.h"

namespace tests {

using Octets = std::vector<std::uint8_t>;

struct GcmSivMessage {
  Octets key, nonce, associated_data, plaintext, sealed;  // sealed: ciphertext | tag

  nts::gcm_siv::Job job() {
    for (Octets* octets : {&associated_data, &plaintext}) octets->reserve(octets->size() + 1);
    return {.associated_data = associated_data.data(),
            .nonce = nonce.data(),
            .plaintext = plaintext.data(),
            .sealed = sealed.data(),
            .associated_data_bytes = static_cast<std::uint32_t>(associated_data.size()),
            .nonce_bytes = static_cast<std::uint32_t>(nonce.size()),
            .plaintext_bytes = static_cast<std::uint32_t>(plaintext.size()),
            .authentic = 7};
  }
};

namespace gcm_siv_detail {

inline std::vector<nts::gcm_siv::Job> jobs_of(std::vector<GcmSivMessage>& messages,
                                              const nts::gcm_siv::Kernels& tier,
                                              nts::gcm_siv::KeyTable& table) {
  std::vector<nts::gcm_siv::Job> jobs;
  std::vector<const std::uint8_t*> keys;
  std::vector<const std::uint8_t*> nonces;
  for (GcmSivMessage& message : messages) {
    jobs.push_back(message.job());
    keys.push_back(message.key.data());
    nonces.push_back(message.nonce.data());
  }
  tier.derive_keys(keys.data(), nonces.data(), static_cast<std::uint32_t>(jobs.size()), &table);
  return jobs;
}

}  // namespace gcm_siv_detail

inline void seal_all(const nts::gcm_siv::Kernels& tier, std::vector<GcmSivMessage>& messages) {
  for (GcmSivMessage& m : messages) m.sealed.assign(m.plaintext.size() + nts::gcm_siv::tag_bytes, 0x33);
  nts::gcm_siv::KeyTable table;
  auto jobs = gcm_siv_detail::jobs_of(messages, tier, table);
  tier.seal(&table, jobs.data(), static_cast<std::uint32_t>(jobs.size()));
}

// Whether each was authentic; the plaintexts are in place.
inline std::vector<bool> open_all(const nts::gcm_siv::Kernels& tier, std::vector<GcmSivMessage>& messages) {
  for (GcmSivMessage& m : messages) m.plaintext.assign(m.sealed.size() - nts::gcm_siv::tag_bytes, 0xaa);
  nts::gcm_siv::KeyTable table;
  auto jobs = gcm_siv_detail::jobs_of(messages, tier, table);
  tier.open(&table, jobs.data(), static_cast<std::uint32_t>(jobs.size()));
  std::vector<bool> authentic;
  for (const auto& job : jobs) authentic.push_back(job.authentic == 1);
  return authentic;
}

inline Octets random_octets(std::mt19937& random, std::size_t bytes) {
  Octets out(bytes);
  for (std::uint8_t& octet : out) octet = static_cast<std::uint8_t>(random());
  return out;
}

// Messages of random lengths, or the shapes of NTS with one unlike among them now and then.
inline std::vector<GcmSivMessage> random_messages(std::mt19937& random, std::size_t count, bool nts_shapes) {
  const auto any_length = [&]() -> std::size_t {
    switch (random() % 4) {
      case 0:
        return random() % 5 * 16;
      case 1:
        return random() % 40;
      case 2:
        return random() % 260;
      default:
        return random() % 8 == 0 ? random() % 1500 : 72;
    }
  };
  const bool is_request = random() % 2 == 0;
  const bool has_unlike = random() % 2 == 0;
  std::vector<GcmSivMessage> messages;
  for (std::size_t i = 0; i < count; ++i) {
    const bool usual = nts_shapes && !(has_unlike && random() % 8 == 0);
    messages.push_back({random_octets(random, 16),
                        random_octets(random, 12),
                        random_octets(random, !usual       ? any_length()
                                              : is_request ? 156
                                                           : 84),
                        random_octets(random, !usual       ? any_length()
                                              : is_request ? 0
                                                           : 72),
                        {}});
  }
  return messages;
}

// Every tier this CPU runs.
inline std::vector<const nts::gcm_siv::Kernels*> runnable_tiers() {
  std::vector<const nts::gcm_siv::Kernels*> tiers;
  for (const nts::gcm_siv::Kernels* tier : nts::gcm_siv::all_tiers()) {
    if (tier->cpu_can_run() != 0) tiers.push_back(tier);
  }
  return tiers;
}

}  // namespace tests
