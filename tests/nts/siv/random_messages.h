// K06: random messages of AES-SIV, sealed and opened by every tier of this CPU alike, for an oracle to judge:
// associated data and plaintext of 0 to 1,500 octets; nonces of 1 to 64, every second of 16 as in NTS, and on
// demand none.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nts/siv/siv.h"

namespace tests {

struct RandomMessage {
  using Octets = std::vector<std::uint8_t>;
  Octets key, associated_data, nonce, plaintext;
  Octets sealed;    // by us: tag | ciphertext
  Octets received;  // the same, or with one bit wrong
  Octets opened;    // what was received, by us; zeros when it was refused
  bool is_authentic = false;
};

class RandomMessages {
 public:
  RandomMessages(std::uint32_t key_bytes, std::uint64_t seed, bool with_none)
      : random_(seed), key_bytes_(key_bytes), with_none_(with_none) {}

  // A burst of 1 to 64 messages. Empties it and says why in `wrong` when two tiers disagree.
  std::span<const RandomMessage> next(std::string& wrong) {
    const std::span burst = std::span(messages_).first(1 + random_() % messages_.size());
    for (RandomMessage& m : burst) make(m);
    const nts::siv::Kernels* first = nullptr;
    for (const nts::siv::Kernels* tier : nts::siv::all_tiers(key_bytes_)) {
      if (tier->cpu_can_run() == 0) continue;
      // The portable one takes as long as a hundred of the others.
      if (first != nullptr && std::string_view(tier->name).starts_with("portable") && bursts_ % 16 != 0)
        continue;
      if (first == nullptr) first = tier;
      if (run(*tier, burst, tier == first)) continue;
      wrong = std::string(tier->name) + " is not of the opinion of " + first->name;
      return {};
    }
    ++bursts_;
    return burst;
  }

 private:
  void make(RandomMessage& m) {
    fill(m.key, key_bytes_);
    fill(m.associated_data, random_() % 1501);
    const std::uint64_t kind = random_() % 8;
    fill(m.nonce, kind < 4 ? 16 : kind == 4 && with_none_ ? 0 : 1 + random_() % 64);
    fill(m.plaintext, random_() % 1501);
    m.sealed.resize(m.plaintext.size() + nts::siv::tag_bytes);
    m.opened.reserve(1501);
  }
  void fill(RandomMessage::Octets& octets, std::size_t bytes) {
    octets.resize(bytes + 8);  // none is without an address
    for (std::size_t at = 0; at < bytes; at += 8) {
      const std::uint64_t eight = random_();
      std::memcpy(octets.data() + at, &eight, sizeof eight);
    }
    octets.resize(bytes);
  }
  static void change_one_bit(RandomMessage::Octets& octets, std::uint64_t which) {
    octets[which / 8 % octets.size()] ^= static_cast<std::uint8_t>(1 << which % 8);
  }

  // Seals and opens all, under keys of a table or of a ring by turns. Keeps what the first tier makes, and is
  // false when another's is not the same.
  bool run(const nts::siv::Kernels& tier, std::span<RandomMessage> burst, bool is_first) {
    const auto count = static_cast<std::uint32_t>(burst.size());
    const bool with_ring = bursts_ % 2 == 1;
    std::vector<nts::siv::Job> jobs(count);
    std::vector<const std::uint8_t*> keys(count);
    std::vector<RandomMessage::Octets> texts(count);
    static nts::siv::KeyTable table;
    static std::vector<nts::siv::RingKeySchedule> ring(messages_.size());
    std::vector<const nts::siv::RingKeySchedule*> schedules(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      RandomMessage& m = burst[i];
      texts[i].resize(m.sealed.size());
      keys[i] = m.key.data();
      schedules[i] = &ring[i];
      jobs[i] = {.associated_data = m.associated_data.data(),
                 .nonce = m.nonce.data(),
                 .plaintext = m.plaintext.data(),
                 .sealed = texts[i].data(),
                 .associated_data_bytes = static_cast<std::uint32_t>(m.associated_data.size()),
                 .nonce_bytes = static_cast<std::uint32_t>(m.nonce.size()),
                 .plaintext_bytes = static_cast<std::uint32_t>(m.plaintext.size()),
                 .authentic = 7};
      if (with_ring) tier.expand_ring_key(keys[i], &ring[i]);
      if (with_ring) tier.seal_with_ring_key(&ring[i], &jobs[i], 1);
    }
    if (!with_ring) tier.expand_keys(keys.data(), count, &table);
    if (!with_ring) tier.seal(&table, jobs.data(), count);
    for (std::uint32_t i = 0; i < count; ++i) {
      RandomMessage& m = burst[i];
      if (is_first) {
        m.sealed = m.received = texts[i];
        if (const std::uint64_t which = random_(); which % 3 == 0) change_one_bit(m.received, which / 3);
      } else if (texts[i] != m.sealed) {
        return false;
      }
      std::fill(texts[i].begin(), texts[i].end(), std::uint8_t{0x99});
      texts[i].resize(m.plaintext.size());
      jobs[i].sealed = m.received.data();
      jobs[i].plaintext = texts[i].data();
    }
    if (with_ring) tier.open_with_ring_keys(schedules.data(), jobs.data(), count);
    if (!with_ring) tier.open(&table, jobs.data(), count);
    for (std::uint32_t i = 0; i < count; ++i) {
      RandomMessage& m = burst[i];
      if (is_first) {
        m.is_authentic = jobs[i].authentic == 1;
        m.opened = texts[i];
      }
      if (jobs[i].authentic != (m.is_authentic ? 1U : 0U) || texts[i] != m.opened) return false;
    }
    return true;
  }

  std::mt19937_64 random_;
  std::uint32_t key_bytes_;
  bool with_none_;
  std::uint64_t bursts_ = 0;
  std::vector<RandomMessage> messages_ = std::vector<RandomMessage>(nts::siv::key_table_keys_max);
};

}  // namespace tests
