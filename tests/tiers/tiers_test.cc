// K08: every tier this CPU runs gives the same octets, forced one by one, alone and through the whole packet
// core; and the one that runs when nobody forces any is the best this CPU can.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <sstream>

#include "nts/server.h"
#include "nts/siv/siv.h"
#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::siv::Job;
using nts::siv::Kernels;
using nts::siv::KeyTable;
using nts::siv::RingKeySchedule;
using tests::Octets;

// nettle, then each tier by its name, as an operator would force it.
std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> tiers = {&tests::nettle_kernels()};
  for (const Kernels* tier : nts::siv::all_tiers()) {
    if (tier->cpu_can_run() != 0) tiers.push_back(nts::siv::choose_tier(tier->name));
  }
  return tiers;
}

// The flags of /proc/cpuinfo, as the kernel found them without our help.
std::set<std::string> cpu_flags() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

// "AES, SSSE3, SSE4.1" as the kernel spells it: aes ssse3 sse4_1.
bool has_all(const std::set<std::string>& flags, const char* instruction_sets) {
  std::istringstream words(instruction_sets);
  for (std::string word; std::getline(words, word, ',');) {
    word.erase(0, word.find_first_not_of(' '));
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c == '.' ? '_' : static_cast<char>(std::tolower(c)); });
    if (!flags.contains(word)) return false;
  }
  return true;
}

TEST(Tiers, K08_TheBestTierThatTheKernelSeesTheInstructionsForIsTheOneThatRuns) {
  const std::set<std::string> flags = cpu_flags();
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo has no flags here";
  const auto tiers = nts::siv::all_tiers();
  const auto best = std::find_if(tiers.begin(), tiers.end() - 1,
                                 [&](const Kernels* tier) { return has_all(flags, tier->instruction_sets); });
  ASSERT_NE(nts::siv::choose_tier(), nullptr);
  EXPECT_STREQ(nts::siv::choose_tier()->name, (*best)->name);
  for (const Kernels* tier : tiers) {
    if (tier == tiers.back()) continue;
    EXPECT_EQ(tier->cpu_can_run() != 0, has_all(flags, tier->instruction_sets)) << tier->name;
  }
}

struct Message {
  Octets key, associated_data, nonce, plaintext, sealed;
};

// One burst of `fill` messages with keys and lengths of their own. Everything has an address.
std::vector<Message> mixed_messages(std::mt19937& random, std::uint32_t fill) {
  const auto octets = [&](std::size_t bytes) {
    Octets out(bytes + 1);
    for (std::uint8_t& octet : out) octet = static_cast<std::uint8_t>(random());
    out.resize(bytes);
    return out;
  };
  constexpr std::array<std::size_t, 12> lengths = {0, 1, 4, 15, 16, 17, 31, 32, 33, 64, 104, 832};
  std::vector<Message> messages(fill);
  for (Message& m : messages) {
    m = {octets(32),
         octets(random() % 4 == 0 ? 0 : random() % 300),
         octets(random() % 8 == 0 ? 12 : 16),
         octets(lengths[random() % lengths.size()]),
         {}};
    m.sealed.resize(m.plaintext.size() + 16);
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

// What one tier makes of the messages: table keys and ring keys, sealed and opened, some of them forged.
std::vector<Octets> everything(const Kernels& tier, std::vector<Message> messages,
                               std::uint32_t forged_every) {
  const auto fill = static_cast<std::uint32_t>(messages.size());
  std::vector<Octets> out;
  std::vector<const std::uint8_t*> keys;
  std::vector<RingKeySchedule> schedules(fill);
  std::vector<const RingKeySchedule*> schedule_of;
  for (std::uint32_t i = 0; i < fill; ++i) {
    keys.push_back(messages[i].key.data());
    tier.expand_ring_key(keys[i], &schedules[i]);
    schedule_of.push_back(&schedules[i]);
  }
  KeyTable table;
  tier.expand_keys(keys.data(), fill, &table);
  std::vector<Job> jobs = jobs_of(messages);
  const auto take = [&](bool with_sealed) {
    for (std::uint32_t i = 0; i < fill; ++i) {
      out.push_back(with_sealed ? messages[i].sealed : messages[i].plaintext);
      if (!with_sealed) out.push_back({static_cast<std::uint8_t>(jobs[i].authentic)});
    }
  };
  tier.seal_with_ring_key(schedule_of[0], jobs.data(), fill);
  take(true);
  tier.seal(&table, jobs.data(), fill);
  take(true);
  for (std::uint32_t i = 0; i < fill; i += forged_every) messages[i].sealed[i % 16] ^= 0x10;
  const std::vector<Message> kept = messages;
  tier.open(&table, jobs.data(), fill);
  take(false);
  for (std::uint32_t i = 0; i < fill; ++i) {
    std::fill(messages[i].plaintext.begin(), messages[i].plaintext.end(), std::uint8_t{0xdd});
  }
  tier.open_with_ring_keys(schedule_of.data(), jobs.data(), fill);
  take(false);
  return out;
}

TEST(Tiers, K08_AllAgreeOctetForOctetAtEveryFillWithMixedKeysAndLengths) {
  std::mt19937 random(64);
  const std::vector<const Kernels*> tiers = runnable();
  ASSERT_GE(tiers.size(), 2U);
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t fill = 1; fill <= nts::siv::key_table_keys_max; ++fill) {
      const std::vector<Message> messages = mixed_messages(random, fill);
      const auto forged_every = static_cast<std::uint32_t>(2 + random() % 5);
      const std::vector<Octets> expected = everything(*tiers[0], messages, forged_every);
      for (std::size_t i = 1; i < tiers.size(); ++i) {
        ASSERT_EQ(everything(*tiers[i], messages, forged_every), expected) << tiers[i]->name << " " << fill;
      }
    }
  }
}

// Messages in a group of lanes either share all three lengths or do not, and a tier has code for each case.
// Here every group has one shape, and then all but one message of the call; in turn each length is the odd
// one.
TEST(Tiers, K08_AllAgreeOnGroupsOfOneShapeAndOnThoseWithOneOddMessage) {
  std::mt19937 random(65);
  const auto octets = [&](std::size_t bytes) {
    Octets out(bytes + 1);  // so that zero octets have an address
    for (std::uint8_t& octet : out) octet = static_cast<std::uint8_t>(random());
    out.resize(bytes);
    return out;
  };
  const std::vector<const Kernels*> tiers = runnable();
  constexpr std::array<std::size_t, 12> data_lengths = {0, 1, 15, 16, 17, 31, 32, 33, 48, 84, 188, 292};
  // nettle knows no empty one
  constexpr std::array<std::size_t, 7> nonce_lengths = {16, 1, 16, 12, 16, 17, 32};
  enum Odd { none, data, nonce, plaintext, kinds };
  std::uint32_t tried = 0;
  for (std::size_t bytes = 0; bytes <= 100; ++bytes) {
    for (const std::size_t data_bytes : data_lengths) {
      const std::size_t nonce_bytes = nonce_lengths[tried++ % nonce_lengths.size()];
      const auto fill = static_cast<std::uint32_t>(1 + random() % nts::siv::key_table_keys_max);
      const auto odd = static_cast<Odd>(random() % kinds);
      std::vector<Message> messages(fill);
      const auto odd_one = static_cast<std::uint32_t>(random() % fill);
      for (std::uint32_t i = 0; i < fill; ++i) {
        const auto length = [&](Odd which, std::size_t usual) {
          return odd == which && i == odd_one ? 1 + random() % 70 : usual;
        };
        messages[i] = {octets(32),
                       octets(length(data, data_bytes)),
                       octets(length(nonce, nonce_bytes)),
                       octets(length(plaintext, bytes)),
                       {}};
        messages[i].sealed.resize(messages[i].plaintext.size() + 16);
      }
      const auto forged_every = static_cast<std::uint32_t>(2 + random() % 5);
      const std::vector<Octets> expected = everything(*tiers[0], messages, forged_every);
      for (std::size_t i = 1; i < tiers.size(); ++i) {
        ASSERT_EQ(everything(*tiers[i], messages, forged_every), expected)
            << tiers[i]->name << ": " << fill << " of " << data_bytes << ", " << nonce_bytes << ", " << bytes
            << " octets; odd " << odd;
      }
    }
  }
}

// The tiers of registers do; nettle and the portable one compute everything anew.
bool hands_over(const Kernels& tier) {
  return &tier != &tests::nettle_kernels() && &tier != nts::siv::all_tiers().back();
}

// A cookie is opened and its text sealed again under another nonce, as for an answer. What the tier takes
// over from the opening may not be seen, whether its neighbours opened or not.
TEST(Tiers, K08_CookiesSealedAgainAreThoseSealedAnewAtEveryFill) {
  std::mt19937 random(66);
  const std::vector<const Kernels*> tiers = runnable();
  for (const std::size_t bytes : {std::size_t{32}, std::size_t{64}, std::size_t{96}, std::size_t{128}}) {
    for (std::uint32_t fill = 1; fill <= nts::siv::key_table_keys_max; ++fill) {
      std::vector<Message> came(fill);
      for (Message& m : came) {
        m = {Octets(32, 0x5a), Octets(1), Octets(16), Octets(bytes), Octets(bytes + 16)};
        m.associated_data.reserve(1);
        m.associated_data.clear();
        for (std::uint8_t& octet : m.nonce) octet = static_cast<std::uint8_t>(random());
        for (std::uint8_t& octet : m.plaintext) octet = static_cast<std::uint8_t>(random());
      }
      const std::vector<Message> fresh = [&] {
        std::vector<Message> out = came;
        for (Message& m : out) std::reverse(m.nonce.begin(), m.nonce.end());
        return out;
      }();
      const auto forged_every = static_cast<std::uint32_t>(2 + random() % 5);
      const auto is_forged = [&](std::uint32_t i) { return i % forged_every == 1; };
      for (const Kernels* tier : tiers) {
        RingKeySchedule ring;
        tier->expand_ring_key(came[0].key.data(), &ring);
        const std::vector<const RingKeySchedule*> schedules(fill, &ring);
        std::vector<Message> opened = came;
        std::vector<Job> jobs = jobs_of(opened);
        tier->seal_with_ring_key(&ring, jobs.data(), fill);
        for (std::uint32_t i = 0; i < fill; ++i) {
          if (is_forged(i)) opened[i].sealed[i % opened[i].sealed.size()] ^= 0x20;
          opened[i].plaintext.assign(bytes, 0xdd);
        }
        std::vector<nts::siv::CookieMac> macs(fill);
        const std::uint32_t has_macs = tier->open_cookies(schedules.data(), jobs.data(), fill, macs.data());
        EXPECT_EQ(has_macs, hands_over(*tier) ? 1U : 0U) << tier->name;
        for (std::uint32_t i = 0; i < fill; ++i) {
          ASSERT_EQ(jobs[i].authentic, is_forged(i) ? 0U : 1U) << tier->name << " " << fill;
          ASSERT_EQ(opened[i].plaintext, is_forged(i) ? Octets(bytes) : came[i].plaintext) << tier->name;
          opened[i].nonce = fresh[i].nonce;
          opened[i].sealed.assign(bytes + 16, 0);
        }
        if (has_macs == 0) continue;
        jobs = jobs_of(opened);
        tier->seal_cookies(&ring, jobs.data(), fill, macs.data());
        std::vector<Message> anew = fresh;
        std::vector<Job> anew_jobs = jobs_of(anew);
        tier->seal_with_ring_key(&ring, anew_jobs.data(), fill);
        for (std::uint32_t i = 0; i < fill; ++i) {
          if (!is_forged(i)) {
            ASSERT_EQ(opened[i].sealed, anew[i].sealed) << tier->name << " " << fill << ", " << i;
          }
        }
      }
    }
  }
}

TEST(Tiers, OnlyCookiesOfOneShapeAndOneKeyHandAnythingOver) {
  for (const Kernels* tier : runnable()) {
    for (const bool two_keys : {false, true}) {
      std::vector<Message> messages(
          5, Message{Octets(32, 0x5a), Octets(), Octets(16, 1), Octets(64), Octets(80)});
      for (Message& m : messages) m.associated_data.reserve(1);
      if (!two_keys) messages[3].plaintext.resize(32), messages[3].sealed.resize(48);
      std::array<RingKeySchedule, 2> ring;
      for (RingKeySchedule& schedule : ring) tier->expand_ring_key(messages[0].key.data(), &schedule);
      std::vector<const RingKeySchedule*> schedules(messages.size(), &ring[0]);
      if (two_keys) schedules[3] = &ring[1];
      std::vector<Job> jobs = jobs_of(messages);
      const auto fill = static_cast<std::uint32_t>(jobs.size());
      tier->seal_with_ring_key(&ring[0], jobs.data(), fill);
      std::vector<nts::siv::CookieMac> macs(fill);
      EXPECT_EQ(tier->open_cookies(schedules.data(), jobs.data(), fill, macs.data()), 0U) << tier->name;
      for (const Job& job : jobs) EXPECT_EQ(job.authentic, 1U) << tier->name;
    }
  }
}

class FixedRandom : public nts::RandomSource {
 public:
  void fill(std::span<std::uint8_t> bytes) noexcept override {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_{7};
};

// A burst of every kind of request, served by a whole server on `tier`: verdicts and answers.
std::vector<Octets> served(const Kernels& tier, std::vector<Octets> requests) {
  FixedRandom random;
  nts::Server server(tier, random);
  nts::ExpandedKeyRing keys(tier);
  keys.load(tests::make_ring({tests::RingEntry{7, nts::KeyState::current}}));
  nts::Batch batch;
  batch.count = static_cast<std::uint32_t>(requests.size());
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    batch.packet[i] = requests[i].data();
    batch.packet_bytes[i] = static_cast<std::uint16_t>(requests[i].size());
    batch.received[i] = {0xe000000000000000 + i};
  }
  nts::ClockReading clock;
  clock.leap = 0;
  clock.stratum = 1;
  server.open_requests(batch, keys, {});
  server.prepare_answers(batch, keys, clock);
  server.seal_answers(batch, {0xe000000100000000});
  std::vector<Octets> out;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    EXPECT_LE(batch.answer_bytes[i], requests[i].size()) << "I1";
    requests[i].resize(batch.answer_bytes[i]);
    out.push_back({static_cast<std::uint8_t>(batch.request[i].verdict)});
    out.push_back(requests[i]);
  }
  return out;
}

TEST(Tiers, K08_C13_AWholeServerGivesTheSameAnswersOnEveryTier) {
  const std::vector<const Kernels*> tiers = runnable();
  Octets zero_tag = tests::nts_request();
  std::fill(zero_tag.end() - 16, zero_tag.end(), std::uint8_t{0});
  Octets ones_tag = tests::nts_request();
  std::fill(ones_tag.end() - 16, ones_tag.end(), std::uint8_t{0xff});
  Octets bad_cookie = tests::nts_request(3);
  bad_cookie[150] ^= 1;
  const std::vector<Octets> kinds = {
      tests::plain_request(), tests::nts_request(),   tests::nts_request(7), zero_tag, ones_tag, bad_cookie,
      tests::nts_request(2),  tests::plain_request(3)};
  std::mt19937 random(8);
  for (std::uint32_t count = 1; count <= nts::burst_max; ++count) {
    for (int round = 0; round < 10; ++round) {
      std::vector<Octets> burst;
      for (std::uint32_t i = 0; i < count; ++i) burst.push_back(kinds[random() % kinds.size()]);
      const std::vector<Octets> expected = served(*tiers[0], burst);
      for (std::size_t i = 1; i < tiers.size(); ++i) {
        ASSERT_EQ(served(*tiers[i], burst), expected) << tiers[i]->name << " " << count;
      }
    }
  }
  for (const Kernels* tier : tiers) {
    const std::vector<Octets> answers = served(*tier, {zero_tag, ones_tag, tests::nts_request()});
    const auto is = [&](std::size_t at, nts::Verdict verdict) {
      return answers[at] == Octets{static_cast<std::uint8_t>(verdict)};
    };
    EXPECT_TRUE(is(0, nts::Verdict::nak_authenticator)) << tier->name;
    EXPECT_TRUE(is(2, nts::Verdict::nak_authenticator)) << tier->name;
    EXPECT_TRUE(is(4, nts::Verdict::answer_nts)) << tier->name;
  }
}

}  // namespace
