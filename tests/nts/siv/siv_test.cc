// Every tier this CPU runs, against RFC 5297, Wycheproof, nettle and the other tiers.
#include "nts/siv/siv.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/nettle_kernels.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::siv::Job;
using nts::siv::Kernels;
using nts::siv::KeyTable;
using nts::siv::RingKeySchedule;
using tests::Octets;

Octets from_hex(const std::string& hex) {
  Octets octets;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    octets.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return octets;
}

// Owns what a job points to; one spare octet, so that an empty vector still has an address.
struct Message {
  Octets key, associated_data, nonce, plaintext, sealed;

  Job job() {
    plaintext.resize(plaintext.size() + 1);
    plaintext.resize(plaintext.size() - 1);
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

class Siv : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (GetParam()->cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks " << GetParam()->instruction_sets;
  }

  static std::size_t key_bytes() { return GetParam()->key_bytes; }

  // Opens `message` alone, under a table key. Returns whether it was authentic; the plaintext is in place.
  static bool open(Message& message) {
    message.plaintext.assign(message.sealed.size() - 16, 0xaa);
    Job job = message.job();
    const std::uint8_t* key = message.key.data();
    KeyTable table;
    GetParam()->expand_keys(&key, 1, &table);
    GetParam()->open(&table, &job, 1);
    EXPECT_LE(job.authentic, 1U);
    return job.authentic == 1;
  }
  static Octets seal(Message message) {
    message.sealed.assign(message.plaintext.size() + 16, 0);
    Job job = message.job();
    const std::uint8_t* key = message.key.data();
    KeyTable table;
    GetParam()->expand_keys(&key, 1, &table);
    GetParam()->seal(&table, &job, 1);
    return message.sealed;
  }

  // All vectors of a Wycheproof file whose keys are the tier's. Returns how many were tried.
  static int run_wycheproof(const std::string& file) {
    std::ifstream in(std::string(NOONMARK_VECTORS) + "/wycheproof/" + file);
    const auto all = nlohmann::json::parse(in);
    int tried = 0;
    for (const auto& group : all["testGroups"]) {
      if (group["keySize"] != 8 * GetParam()->key_bytes) continue;
      for (const auto& test : group["tests"]) {
        ++tried;
        SCOPED_TRACE(test["tcId"].dump() + " " + test["comment"].get<std::string>());
        Message message;
        message.key = from_hex(test["key"]);
        message.associated_data = from_hex(test["aad"]);
        if (test.contains("iv")) message.nonce = from_hex(test["iv"]);
        const Octets expected = from_hex(test["msg"]);
        // With a nonce the file keeps the tag apart and behind; SIV puts it in front.
        message.sealed = test.contains("tag") ? from_hex(test["tag"]) : Octets{};
        const Octets rest = from_hex(test["ct"]);
        message.sealed.insert(message.sealed.end(), rest.begin(), rest.end());
        const bool is_valid = test["result"] != "invalid";
        EXPECT_EQ(open(message), is_valid);
        EXPECT_EQ(message.plaintext, is_valid ? expected : Octets(message.plaintext.size(), 0));
        if (!is_valid) continue;
        message.plaintext = expected;
        EXPECT_EQ(seal(message), message.sealed);
      }
    }
    return tried;
  }
};

std::vector<const Kernels*> tiers_of_all_key_sizes() {
  std::vector<const Kernels*> all;
  for (const std::uint32_t key_bytes : {32U, 48U, 64U}) {
    for (const Kernels* tier : nts::siv::all_tiers(key_bytes)) all.push_back(tier);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Tiers, Siv, testing::ValuesIn(tiers_of_all_key_sizes()), [](const auto& parameter) {
  return std::string(parameter.param->name) + "_" + std::to_string(8 * parameter.param->key_bytes);
});

// RFC 5297 prints answers for keys of 256 bits only.
class SivOf256Bits : public Siv {};
INSTANTIATE_TEST_SUITE_P(Tiers, SivOf256Bits, testing::ValuesIn(nts::siv::all_tiers(32)),
                         [](const auto& parameter) { return std::string(parameter.param->name); });

TEST_P(SivOf256Bits, K05_Rfc5297AppendixA1) {
  Message message;
  message.key = from_hex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
  message.associated_data = from_hex("101112131415161718191a1b1c1d1e1f2021222324252627");
  message.plaintext = from_hex("112233445566778899aabbccddee");
  EXPECT_EQ(seal(message), from_hex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"));
}

TEST_P(Siv, K01_WycheproofAeadVectors) { EXPECT_EQ(run_wycheproof("aead_aes_siv_cmac_test.json"), 300); }

// 442 in all.
TEST_P(Siv, K02_WycheproofDeterministicVectors) {
  EXPECT_EQ(run_wycheproof("aes_siv_cmac_test.json"), key_bytes() == nts::siv::key_bytes_256 ? 148 : 147);
}

TEST_P(Siv, K07_TheSelfTestAcceptsTheTierAndRefusesItWithOneBitWrong) {
  EXPECT_TRUE(nts::siv::gives_known_answers(*GetParam()));
  static const Kernels* real;
  real = GetParam();
  Kernels wrong_seal = *real;
  wrong_seal.seal = [](const KeyTable* table, Job* jobs, std::uint32_t count) {
    real->seal(table, jobs, count);
    jobs[count - 1].sealed[3] ^= 1;
  };
  EXPECT_FALSE(nts::siv::gives_known_answers(wrong_seal));
  Kernels accepts_all = *real;
  accepts_all.open = [](const KeyTable* table, Job* jobs, std::uint32_t count) {
    real->open(table, jobs, count);
    for (std::uint32_t i = 0; i < count; ++i) jobs[i].authentic = 1;
  };
  EXPECT_FALSE(nts::siv::gives_known_answers(accepts_all));
  Kernels wrong_ring = *real;
  wrong_ring.expand_ring_key = [](const std::uint8_t* key, RingKeySchedule* schedule) {
    real->expand_ring_key(key, schedule);
    schedule->bytes[17] ^= 0x80;
  };
  EXPECT_FALSE(nts::siv::gives_known_answers(wrong_ring));
}

TEST_P(Siv, C13_WithAnEmptyPlaintextOnlyTheRightTagIsAuthentic) {
  Message message;
  for (std::size_t i = 0; i < GetParam()->key_bytes; ++i)
    message.key.push_back(static_cast<std::uint8_t>(0xff - i));
  message.associated_data = Octets(188, 0x42);
  message.nonce = Octets(16, 0x17);
  message.sealed = tests::nettle_seal(message.key, message.associated_data, message.nonce, {});
  EXPECT_TRUE(open(message));
  const Octets good = message.sealed;
  for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{0xff}}) {
    message.sealed.assign(16, fill);
    EXPECT_FALSE(open(message));
  }
  for (std::size_t bit = 0; bit < 128; ++bit) {
    message.sealed = good;
    message.sealed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(open(message)) << bit;
  }
  message.sealed = good;
  for (Octets* part : {&message.associated_data, &message.nonce}) {
    for (std::uint8_t& octet : *part) {
      octet ^= 0x20;
      EXPECT_FALSE(open(message));
      octet ^= 0x20;
    }
  }
  EXPECT_TRUE(open(message));
}

// All messages through one call; those of a ring are sealed one by one, as each has a key of its own. The
// table holds `spare_keys` more keys than there are messages.
std::vector<Job> run(const Kernels& kernels, std::vector<Message>& messages, bool with_ring, bool is_open,
                     std::size_t spare_keys = 0) {
  const auto fill = static_cast<std::uint32_t>(messages.size());
  std::vector<Job> jobs;
  std::vector<const std::uint8_t*> keys;
  std::map<Octets, RingKeySchedule> schedules;
  std::vector<const RingKeySchedule*> schedule_of;
  for (Message& message : messages) {
    jobs.push_back(message.job());
    keys.push_back(message.key.data());
    const auto [schedule, is_new] = schedules.try_emplace(message.key);
    if (with_ring && is_new) kernels.expand_ring_key(message.key.data(), &schedule->second);
    schedule_of.push_back(&schedule->second);
  }
  KeyTable table;
  for (std::size_t i = 0; i < spare_keys; ++i) keys.push_back(keys[i % fill]);
  kernels.expand_keys(keys.data(), static_cast<std::uint32_t>(keys.size()), &table);
  if (is_open && with_ring) kernels.open_with_ring_keys(schedule_of.data(), jobs.data(), fill);
  if (is_open && !with_ring) kernels.open(&table, jobs.data(), fill);
  if (!is_open && with_ring && schedules.size() == 1) {
    kernels.seal_with_ring_key(schedule_of[0], jobs.data(), fill);
  } else if (!is_open && with_ring) {
    for (std::uint32_t i = 0; i < fill; ++i) kernels.seal_with_ring_key(schedule_of[i], &jobs[i], 1);
  }
  if (!is_open && !with_ring) kernels.seal(&table, jobs.data(), fill);
  return jobs;
}

// Seals and opens `ours` with `tier` and with nettle; every third is forged in between.
void expect_agreement(const Kernels& tier, std::vector<Message> ours, bool with_ring, std::mt19937& random,
                      std::size_t spare_keys = 0) {
  const Kernels& oracle = tests::nettle_kernels(tier.key_bytes);
  for (Message& m : ours) {
    m.sealed.assign(m.plaintext.size() + 16, 0);
    m.associated_data.reserve(1), m.nonce.reserve(1), m.plaintext.reserve(1);
  }
  std::vector<Message> theirs = ours;
  run(tier, ours, with_ring, false, spare_keys);
  run(oracle, theirs, with_ring, false);
  for (std::size_t i = 0; i < ours.size(); ++i) ASSERT_EQ(ours[i].sealed, theirs[i].sealed) << i;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (random() % 3 == 0) ours[i].sealed[random() % ours[i].sealed.size()] ^= 4;
    theirs[i].sealed = ours[i].sealed;
    std::fill(ours[i].plaintext.begin(), ours[i].plaintext.end(), std::uint8_t{0x99});
  }
  const auto our_jobs = run(tier, ours, with_ring, true, spare_keys);
  const auto their_jobs = run(oracle, theirs, with_ring, true);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(our_jobs[i].authentic, their_jobs[i].authentic) << i;
    ASSERT_EQ(ours[i].plaintext, theirs[i].plaintext) << i;
  }
}

Octets random_octets(std::mt19937& random, std::size_t bytes) {
  Octets out(bytes);
  for (std::uint8_t& octet : out) octet = static_cast<std::uint8_t>(random());
  return out;
}

// Random messages of unequal shapes in one call, at every fill, sealed and opened, with some tags broken:
// 12,480 here, 10^7 a tier with NOONMARK_LONG.
TEST_P(Siv, K06_K08_AgreesWithNettleForEveryShapeAtEveryFill) {
  const Kernels& tier = *GetParam();
  std::mt19937 random(4711);
  const auto length = [&]() -> std::size_t {
    switch (random() % 4) {
      case 0:
        return random() % 4 * 16;
      case 1:
        return random() % 40;
      case 2:
        return random() % 260;
      default:
        return random() % 8 == 0 ? random() % 2000 : 64;
    }
  };
  const int rounds = std::getenv("NOONMARK_LONG") != nullptr ? 4'808 : 6;  // of 2,080 messages
  for (int round = 0; round < rounds; ++round) {
    for (std::uint32_t fill = 1; fill <= nts::siv::key_table_keys_max; ++fill) {
      std::vector<Message> messages(fill);
      for (Message& m : messages) {
        m = {random_octets(random, key_bytes()),
             random_octets(random, length()),
             random_octets(random, random() % 5 == 0 ? 1 + random() % 64 : 16),
             random_octets(random, length()),
             {}};
      }
      SCOPED_TRACE("fill " + std::to_string(fill));
      expect_agreement(tier, messages, round % 2 == 1, random);
      if (HasFatalFailure()) return;
    }
  }
}

// Bursts of one shape or of two, as nearly all are, take shorter ways through a tier: the three shapes of NTS
// and the edges of a block, at every fill; with the keys of a ring also when two of them share a burst.
TEST_P(Siv, K06_K08_AgreesWithNettleForBurstsOfOneAndOfTwoShapesAtEveryFill) {
  struct Shape {
    std::size_t associated_data, nonce, plaintext;
  };
  std::mt19937 random(188);
  const auto any = [&](std::initializer_list<std::size_t> lengths) {
    return lengths.begin()[random() % lengths.size()];
  };
  for (int round = 0; round < 8; ++round) {
    for (std::uint32_t fill = 1; fill <= nts::siv::key_table_keys_max; ++fill) {
      const std::array<Shape, 4> shapes = {
          Shape{0, 16, 64}, Shape{188, 16, 0}, Shape{84, 16, 104},
          Shape{any({0, 1, 15, 16, 17, 32, 84, 188}), any({1, 12, 15, 16, 17, 32, 33}),
                any({0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 104, 832})}};
      const Shape& usual = shapes[random() % shapes.size()];
      const Shape& rare = shapes[random() % shapes.size()];
      const auto rare_every = static_cast<std::uint32_t>(round % 4 < 2 ? 0 : 2 + random() % 9);
      const bool with_ring = round % 2 == 1;
      const std::array<Octets, 2> ring = {random_octets(random, key_bytes()),
                                          random_octets(random, key_bytes())};
      std::vector<Message> messages(fill);
      for (std::uint32_t i = 0; i < fill; ++i) {
        const Shape& shape = rare_every != 0 && i % rare_every == 1 ? rare : usual;
        messages[i] = {
            with_ring ? ring[round % 8 < 4 ? 0 : random() % 2] : random_octets(random, key_bytes()),
            random_octets(random, shape.associated_data),
            random_octets(random, shape.nonce),
            random_octets(random, shape.plaintext),
            {}};
      }
      SCOPED_TRACE("fill " + std::to_string(fill) + " plaintext " + std::to_string(usual.plaintext));
      expect_agreement(*GetParam(), messages, with_ring, random);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Siv, ATableMayHoldMoreKeysThanThereAreJobs) {
  std::mt19937 random(64);
  for (std::uint32_t fill = 1; fill < nts::siv::key_table_keys_max; ++fill) {
    std::vector<Message> messages(fill);
    for (Message& m : messages) {
      m = {random_octets(random, key_bytes()),
           random_octets(random, 84),
           random_octets(random, 16),
           random_octets(random, 40),
           {}};
    }
    SCOPED_TRACE("fill " + std::to_string(fill));
    expect_agreement(*GetParam(), messages, false, random, 1 + random() % (64 - fill));
    if (HasFatalFailure()) return;
  }
}

TEST_P(Siv, WorksInPlaceWhenThePlaintextStandsBehindTheTag) {
  const Kernels& tier = *GetParam();
  for (const std::uint32_t bytes : {0U, 1U, 15U, 16U, 17U, 31U, 32U, 104U, 832U}) {
    Message message{Octets(key_bytes(), 5), Octets(84, 6), Octets(16, 7), Octets(bytes, 8), {}};
    const Octets expected =
        tests::nettle_seal(message.key, message.associated_data, message.nonce, message.plaintext);
    Octets buffer(16 + bytes, 8);
    Job job = message.job();
    job.plaintext = buffer.data() + 16;
    job.sealed = buffer.data();
    const std::uint8_t* key = message.key.data();
    KeyTable table;
    tier.expand_keys(&key, 1, &table);
    tier.seal(&table, &job, 1);
    EXPECT_EQ(buffer, expected) << bytes;
    tier.open(&table, &job, 1);
    EXPECT_EQ(job.authentic, 1U);
    EXPECT_TRUE(std::all_of(buffer.begin() + 16, buffer.end(), [](std::uint8_t o) { return o == 8; }));
  }
}

// Lanes without a message repeat another's: what was enciphered in place must not be enciphered again.
TEST_P(Siv, WorksInPlaceAtEveryFillOfItsLanes) {
  const Kernels& tier = *GetParam();
  std::mt19937 random(16);
  for (const std::uint32_t bytes : {32U, 64U, 104U, 128U, 208U}) {
    for (std::uint32_t fill = 1; fill <= nts::siv::key_table_keys_max; ++fill) {
      SCOPED_TRACE(std::to_string(bytes) + " octets, fill " + std::to_string(fill));
      std::vector<Message> messages(fill);
      std::vector<Octets> buffers, expected;
      std::vector<Job> jobs;
      std::vector<const std::uint8_t*> keys;
      for (Message& m : messages) {
        m = {random_octets(random, key_bytes()),
             random_octets(random, 84),
             random_octets(random, 16),
             random_octets(random, bytes),
             {}};
        expected.push_back(tests::nettle_seal(m.key, m.associated_data, m.nonce, m.plaintext));
        buffers.emplace_back(16).insert(buffers.back().end(), m.plaintext.begin(), m.plaintext.end());
        keys.push_back(m.key.data());
        jobs.push_back(m.job());
        jobs.back().sealed = buffers.back().data();
        jobs.back().plaintext = buffers.back().data() + 16;
      }
      KeyTable table;
      tier.expand_keys(keys.data(), fill, &table);
      tier.seal(&table, jobs.data(), fill);
      ASSERT_EQ(buffers, expected);
      tier.open(&table, jobs.data(), fill);
      for (std::uint32_t i = 0; i < fill; ++i) {
        ASSERT_EQ(jobs[i].authentic, 1U) << i;
        ASSERT_TRUE(
            std::equal(messages[i].plaintext.begin(), messages[i].plaintext.end(), buffers[i].begin() + 16))
            << i;
      }
    }
  }
}

TEST(ChooseTier, TakesTheFirstThatRunsAndHonoursAForcedOneOfEachKeySize) {
  for (const std::uint32_t key_bytes : {32U, 48U, 64U}) {
    const Kernels* best = nts::siv::choose_tier({}, key_bytes);
    ASSERT_NE(best, nullptr);
    EXPECT_EQ(best->key_bytes, key_bytes);
    for (const Kernels* tier : nts::siv::all_tiers(key_bytes)) {
      EXPECT_EQ(tier->key_bytes, key_bytes);
      EXPECT_EQ(nts::siv::choose_tier(tier->name, key_bytes), tier->cpu_can_run() == 0 ? nullptr : tier);
    }
    EXPECT_EQ(nts::siv::choose_tier("doesnotexist", key_bytes), nullptr);
    EXPECT_STREQ(nts::siv::all_tiers(key_bytes).back()->name, "portable_x4") << "the last runs on any CPU";
  }
  EXPECT_TRUE(nts::siv::all_tiers(40).empty());
  EXPECT_EQ(nts::siv::choose_tier({}, 40), nullptr);
}

TEST(ChooseTier, ATierOfAnotherKeySizeGivesNoKnownAnswers) {
  for (const std::uint32_t key_bytes : {0U, 31U, 40U}) {
    Kernels odd = *nts::siv::all_tiers().back();
    odd.key_bytes = key_bytes;
    EXPECT_FALSE(nts::siv::gives_known_answers(odd)) << key_bytes;
  }
}

}  // namespace
