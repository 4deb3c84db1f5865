// Differential: the same jobs through every tier this CPU runs and through nettle, sealed and opened, under
// table keys and ring keys. Any difference in any octet is a broken promise.
// Octets per job: associated data, nonce, plaintext lengths, flags (1: forge one octet), then octets that
// fill them all.
#include <array>

#include "nts/siv/siv.h"
#include "tests/fuzz/target.h"
#include "tests/support/nettle_kernels.h"

namespace fuzz {
namespace {

using nts::siv::Job;
using nts::siv::Kernels;

constexpr std::size_t jobs_max = 17;  // two lanes of eight and one more

struct Message {
  Octets key, associated_data, nonce, plaintext, sealed;
  bool is_forged = false;
};

std::vector<Message> read_messages(Input input) {
  Reader reader(input);
  std::vector<Message> messages;
  while (!reader.is_empty() && messages.size() < jobs_max) {
    Message made;
    const std::size_t associated_data_bytes = reader.octet();
    const std::size_t nonce_bytes = 1 + reader.octet() % 32;  // nettle takes no empty one
    const std::size_t plaintext_bytes = reader.octet();
    made.is_forged = (reader.octet() & 1) != 0;
    const std::uint8_t fill = reader.octet();
    const auto filled = [&](std::size_t bytes) {
      Octets octets = reader.take(bytes < 8 ? bytes : 8);
      octets.reserve(bytes + 1);  // an empty part has an address, too
      octets.resize(bytes, fill);
      return octets;
    };
    made.key = filled(32);
    made.associated_data = filled(associated_data_bytes);
    made.nonce = filled(nonce_bytes);
    made.plaintext = filled(plaintext_bytes);
    made.sealed.resize(plaintext_bytes + 16);
    messages.push_back(std::move(made));
  }
  return messages;
}

std::vector<Job> jobs_of(std::vector<Message>& messages) {
  std::vector<Job> jobs;
  for (Message& m : messages) {
    jobs.push_back({.associated_data = m.associated_data.data(),
                    .nonce = m.nonce.data(),
                    .plaintext = m.plaintext.data(),
                    .sealed = m.sealed.data(),
                    .associated_data_bytes = static_cast<std::uint32_t>(m.associated_data.size()),
                    .nonce_bytes = static_cast<std::uint32_t>(m.nonce.size()),
                    .plaintext_bytes = static_cast<std::uint32_t>(m.plaintext.size()),
                    .authentic = 9});
  }
  return jobs;
}

// Everything `tier` makes of the messages.
std::vector<Octets> results_of(const Kernels& tier, std::vector<Message> messages) {
  static std::array<nts::siv::RingKeySchedule, jobs_max> schedules;
  static nts::siv::KeyTable table;
  const auto count = static_cast<std::uint32_t>(messages.size());
  std::vector<const std::uint8_t*> keys;
  std::vector<const nts::siv::RingKeySchedule*> schedule_of;
  for (std::uint32_t i = 0; i < count; ++i) {
    keys.push_back(messages[i].key.data());
    tier.expand_ring_key(keys[i], &schedules[i]);
    schedule_of.push_back(&schedules[i]);
  }
  tier.expand_keys(keys.data(), count, &table);
  std::vector<Job> jobs = jobs_of(messages);
  std::vector<Octets> out;
  tier.seal_with_ring_key(schedule_of[0], jobs.data(), count);
  for (const Message& m : messages) out.push_back(m.sealed);
  tier.seal(&table, jobs.data(), count);
  for (Message& m : messages) {
    out.push_back(m.sealed);
    if (m.is_forged) m.sealed[m.associated_data.size() % m.sealed.size()] ^= 0x40;
  }
  for (const bool with_ring_keys : {false, true}) {
    for (Message& m : messages) m.plaintext.assign(m.plaintext.size(), 0xee);
    if (with_ring_keys) {
      tier.open_with_ring_keys(schedule_of.data(), jobs.data(), count);
    } else {
      tier.open(&table, jobs.data(), count);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      require(jobs[i].authentic == (messages[i].is_forged ? 0 : 1), "only what was sealed is authentic");
      out.push_back(messages[i].plaintext);
    }
  }
  // Opened under one key for all, as a server mostly does, and sealed again.
  static std::array<nts::siv::CookieMac, jobs_max> macs;
  tier.seal_with_ring_key(schedule_of[0], jobs.data(), count);
  const std::vector<const nts::siv::RingKeySchedule*> one_schedule(count, schedule_of[0]);
  const bool has_macs = tier.open_cookies(one_schedule.data(), jobs.data(), count, macs.data()) != 0;
  for (Message& m : messages) m.sealed.assign(m.sealed.size(), 0);
  if (has_macs) {
    tier.seal_cookies(schedule_of[0], jobs.data(), count, macs.data());
  } else {
    tier.seal_with_ring_key(schedule_of[0], jobs.data(), count);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    require(jobs[i].authentic == 1, "what was just sealed opens");
    out.push_back(messages[i].sealed);
  }
  return out;
}

void run(Input input) {
  const std::vector<Message> messages = read_messages(input);
  if (messages.empty()) return;
  const std::vector<Octets> expected = results_of(tests::nettle_kernels(), messages);
  for (const Kernels* tier : nts::siv::all_tiers()) {
    if (tier->cpu_can_run() != 0) require(results_of(*tier, messages) == expected, tier->name);
  }
}

std::vector<Octets> seeds() {
  const auto jobs = [](std::size_t count, const Octets& shape) {
    Octets made;
    for (std::size_t i = 0; i < count; ++i) {
      made.insert(made.end(), shape.begin(), shape.end());
      for (int octet = 0; octet < 32; ++octet) made.push_back(static_cast<std::uint8_t>(7 * i + 3));
    }
    return made;
  };
  Octets mixed = jobs(1, {84, 15, 0, 0, 1});
  for (const Octets& shape :
       std::vector<Octets>{{0, 15, 64, 0, 2}, {188, 15, 104, 1, 3}, {1, 11, 31, 0, 4}}) {
    const Octets more = jobs(1, shape);
    mixed.insert(mixed.end(), more.begin(), more.end());
  }
  return {jobs(1, {84, 15, 0, 0, 1}), jobs(4, {0, 15, 64, 0, 9}), jobs(9, {84, 15, 208, 0, 5}),
          jobs(2, {24, 0, 14, 1, 0}), mixed};
}

const Registration registration({"tiers", run, seeds});

}  // namespace
}  // namespace fuzz
