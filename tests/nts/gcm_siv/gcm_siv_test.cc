// Every tier this CPU runs, against RFC 8452, Wycheproof and the other tiers.
#include "nts/gcm_siv/gcm_siv.h"

#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/nts/gcm_siv/messages.h"

namespace {

using nts::gcm_siv::Job;
using nts::gcm_siv::Kernels;
using nts::gcm_siv::KeyTable;
using tests::GcmSivMessage;
using tests::Octets;

Octets from_hex(const std::string& hex) {
  Octets octets;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    octets.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return octets;
}

class GcmSivTier : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (GetParam()->cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks " << GetParam()->instruction_sets;
  }
  static bool open(GcmSivMessage& message) {
    std::vector<GcmSivMessage> one = {message};
    const bool authentic = tests::open_all(*GetParam(), one)[0];
    message = one[0];
    return authentic;
  }
  static Octets seal(const GcmSivMessage& message) {
    std::vector<GcmSivMessage> one = {message};
    tests::seal_all(*GetParam(), one);
    return one[0].sealed;
  }
};

INSTANTIATE_TEST_SUITE_P(Tiers, GcmSivTier,
                         testing::ValuesIn(nts::gcm_siv::all_tiers().begin(),
                                           nts::gcm_siv::all_tiers().end()),
                         [](const auto& parameter) { return std::string(parameter.param->name); });

TEST_P(GcmSivTier, K05_Rfc8452AppendixC1) {
  std::ifstream in(std::string(NOONMARK_VECTORS) + "/rfc8452.txt");
  std::map<std::string, std::map<std::string, Octets>> vectors;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    std::string hex;
    if (!(words >> name >> hex) || name == "#") continue;
    vectors[name.substr(0, 5)][name.substr(6)] = hex == "-" ? Octets{} : from_hex(hex);
  }
  ASSERT_EQ(vectors.size(), 24U);
  for (auto& [name, v] : vectors) {
    GcmSivMessage message{v["key"], v["nonce"], v["ad"], v["plaintext"], {}};
    EXPECT_EQ(seal(message), v["result"]) << name;
    message.sealed = v["result"];
    EXPECT_TRUE(open(message)) << name;
    EXPECT_EQ(message.plaintext, v["plaintext"]) << name;
  }
}

TEST_P(GcmSivTier, K03_WycheproofVectorsWith128BitKeysAmongThemCountersThatWrap) {
  std::ifstream in(std::string(NOONMARK_VECTORS) + "/wycheproof/aes_gcm_siv_test.json");
  const auto all = nlohmann::json::parse(in);
  int tried = 0;
  int wrapped = 0;
  for (const auto& group : all["testGroups"]) {
    if (group["keySize"] != 128) continue;
    ASSERT_EQ(group["ivSize"], 96) << "no other length is a nonce";
    for (const auto& test : group["tests"]) {
      ++tried;
      for (const auto& flag : test["flags"]) wrapped += flag == "WrappedIv";
      SCOPED_TRACE(test["tcId"].dump() + " " + test["comment"].get<std::string>());
      GcmSivMessage message{from_hex(test["key"]), from_hex(test["iv"]), from_hex(test["aad"]), {}, {}};
      message.sealed = from_hex(test["ct"].get<std::string>() + test["tag"].get<std::string>());
      const Octets plaintext = from_hex(test["msg"]);
      const bool is_valid = test["result"] == "valid";
      EXPECT_EQ(open(message), is_valid);
      EXPECT_EQ(message.plaintext, is_valid ? plaintext : Octets(message.plaintext.size(), 0));
      if (!is_valid) continue;
      message.plaintext = plaintext;
      EXPECT_EQ(seal(message), message.sealed);
    }
  }
  EXPECT_EQ(tried, 99);
  EXPECT_EQ(wrapped, 5);
}

TEST_P(GcmSivTier, K07_TheSelfTestAcceptsTheTierAndRefusesItWithOneBitWrong) {
  EXPECT_TRUE(nts::gcm_siv::gives_known_answers(*GetParam()));
  static const Kernels* real;
  real = GetParam();
  Kernels wrong_seal = *real;
  wrong_seal.seal = [](const KeyTable* table, Job* jobs, std::uint32_t count) {
    real->seal(table, jobs, count);
    jobs[count - 1].sealed[3] ^= 1;
  };
  EXPECT_FALSE(nts::gcm_siv::gives_known_answers(wrong_seal));
  Kernels accepts_all = *real;
  accepts_all.open = [](const KeyTable* table, Job* jobs, std::uint32_t count) {
    real->open(table, jobs, count);
    for (std::uint32_t i = 0; i < count; ++i) jobs[i].authentic = 1;
  };
  EXPECT_FALSE(nts::gcm_siv::gives_known_answers(accepts_all));
  Kernels wrong_keys = *real;
  wrong_keys.derive_keys = [](const std::uint8_t* const* keys, const std::uint8_t* const* nonces,
                              std::uint32_t count, KeyTable* table) {
    real->derive_keys(keys, nonces, count, table);
    table->bytes[1] ^= 0x80;
  };
  EXPECT_FALSE(nts::gcm_siv::gives_known_answers(wrong_keys));
}

TEST_P(GcmSivTier, C13_WithAnEmptyPlaintextOnlyTheRightTagIsAuthentic) {
  GcmSivMessage message{Octets(16, 5), Octets(12, 0x17), Octets(156, 0x42), {}, {}};
  message.sealed = seal(message);
  const Octets good = message.sealed;
  EXPECT_TRUE(open(message));
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
  for (Octets* part : {&message.associated_data, &message.nonce, &message.key}) {
    for (std::size_t i = 0; i < part->size(); ++i) {
      (*part)[i] ^= 0x20;
      EXPECT_FALSE(open(message)) << i;
      (*part)[i] ^= 0x20;
    }
  }
  EXPECT_TRUE(open(message));
}

TEST_P(GcmSivTier, K08_AllTiersGiveTheSameAtEveryFillAndForgeriesLeaveNothing) {
  const Kernels& portable = *nts::gcm_siv::all_tiers().back();
  std::mt19937 random(30);
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t fill = 1; fill <= nts::gcm_siv::key_table_keys_max; ++fill) {
      std::vector<GcmSivMessage> ours = tests::random_messages(random, fill, round == 1);
      std::vector<GcmSivMessage> theirs = ours;
      tests::seal_all(*GetParam(), ours);
      tests::seal_all(portable, theirs);
      std::vector<bool> forged;
      for (std::size_t i = 0; i < fill; ++i) {
        ASSERT_EQ(ours[i].sealed, theirs[i].sealed) << fill << " " << i;
        forged.push_back(random() % 3 == 0);
        if (forged[i]) ours[i].sealed[random() % ours[i].sealed.size()] ^= 1;
      }
      const std::vector<bool> authentic = tests::open_all(*GetParam(), ours);
      for (std::size_t i = 0; i < fill; ++i) {
        ASSERT_EQ(authentic[i], !forged[i]);
        ASSERT_EQ(ours[i].plaintext, forged[i] ? Octets(ours[i].plaintext.size(), 0) : theirs[i].plaintext);
      }
    }
  }
}

TEST_P(GcmSivTier, WorksInPlace) {
  for (const std::uint32_t bytes : {0U, 1U, 15U, 16U, 17U, 72U, 576U}) {
    for (const std::uint32_t count : {1U, 5U, 17U}) {
      const GcmSivMessage message{Octets(16, 5), Octets(12, 7), Octets(84, 6), Octets(bytes, 8), {}};
      const Octets expected = seal(message);
      std::vector<Octets> buffers(count, Octets(bytes + 16, 8));
      std::vector<Job> jobs;
      for (Octets& buffer : buffers) {
        GcmSivMessage own = message;
        jobs.push_back(own.job());
        jobs.back().associated_data = message.associated_data.data();
        jobs.back().nonce = message.nonce.data();
        jobs.back().plaintext = jobs.back().sealed = buffer.data();
      }
      const std::vector<const std::uint8_t*> keys(count, message.key.data());
      const std::vector<const std::uint8_t*> nonces(count, message.nonce.data());
      KeyTable table;
      GetParam()->derive_keys(keys.data(), nonces.data(), count, &table);
      GetParam()->seal(&table, jobs.data(), count);
      for (const Octets& buffer : buffers) EXPECT_EQ(buffer, expected) << bytes;
      GetParam()->open(&table, jobs.data(), count);
      for (std::uint32_t i = 0; i < count; ++i) {
        EXPECT_EQ(jobs[i].authentic, 1U);
        EXPECT_EQ(Octets(buffers[i].begin(), buffers[i].end() - 16), message.plaintext);
      }
    }
  }
}

TEST(ChooseGcmSivTier, TakesTheFirstThatRunsAndHonoursAForcedOne) {
  const auto tiers = tests::runnable_tiers();
  EXPECT_EQ(nts::gcm_siv::choose_tier(), tiers.front());
  for (const Kernels* tier : tiers) EXPECT_EQ(nts::gcm_siv::choose_tier(tier->name), tier);
  EXPECT_EQ(nts::gcm_siv::choose_tier("doesnotexist"), nullptr);
  EXPECT_STREQ(nts::gcm_siv::all_tiers().back()->name, "gcm_siv_portable_x4") << "the last runs on any CPU";
}

}  // namespace
