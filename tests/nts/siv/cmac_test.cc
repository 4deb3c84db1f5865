// The CMAC and the S2V inside every tier, against RFC 4493, RFC 5297 A.2 and Wycheproof.
//
// The interface of a tier seals messages; it has no CMAC to call. But the tag of (associated data, no nonce,
// plaintext) is CMAC(plaintext xorend D) with D = dbl(CMAC(zero)) xor CMAC(associated data) (RFC 5297 section
// 2.4). Whoever knows D by other means picks the plaintext so that plaintext xorend D is the message wanted,
// and the tag is that message's CMAC: both CMACs, of the associated data and of the message, must be right.
// That is so for each length of key, half of which is the CMAC's (RFC 5297 section 2.2).
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nettle/aes.h>
#include <nettle/cmac.h>
#include <nlohmann/json.hpp>
#include <sstream>

#include <nettle/nettle-meta.h>

#include "nts/siv/siv.h"
#include "tests/support/packet_builder.h"

namespace {

using nts::siv::Job;
using nts::siv::Kernels;
using nts::siv::KeyTable;
using tests::Octets;

Octets from_hex(const std::string& hex) {
  Octets octets;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    octets.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return octets;
}

// The values of a vector file: a name and hex octets a line.
std::map<std::string, Octets> vectors_of(const std::string& file) {
  std::ifstream in(std::string(NOONMARK_VECTORS) + "/" + file);
  std::map<std::string, Octets> vectors;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    std::string hex;
    if (words >> name >> hex && name != "#") vectors[name] = from_hex(hex);
  }
  return vectors;
}

// AES-128, AES-192 or AES-256, as the key is.
Octets nettle_cmac(const Octets& key, const Octets& message) {
  const nettle_cipher& aes = key.size() == 16   ? nettle_aes128
                             : key.size() == 24 ? nettle_aes192
                                                : nettle_aes256;
  aes256_ctx cipher;  // the largest of the three
  EXPECT_EQ(key.size(), aes.key_size);
  EXPECT_LE(aes.context_size, sizeof cipher);
  aes.set_encrypt_key(&cipher, key.data());
  cmac128_key subkeys;
  cmac128_ctx context;
  constexpr unsigned mac_bytes = 16;
  Octets mac(mac_bytes);
  cmac128_set_key(&subkeys, &cipher, aes.encrypt);
  cmac128_init(&context);
  cmac128_update(&context, &cipher, aes.encrypt, message.size(), message.data());
  cmac128_digest(&context, &subkeys, &cipher, aes.encrypt, mac_bytes, mac.data());
  return mac;
}

Octets xored(const Octets& left, const Octets& right) {
  Octets both;
  for (std::size_t i = 0; i < left.size(); ++i) both.push_back(left[i] ^ right.at(i));
  return both;
}

Octets doubled(const Octets& block) {
  Octets twice(16);
  for (std::size_t i = 0; i < 16; ++i) {
    const int carry = i + 1 < 16 ? block[i + 1] >> 7 : 0;
    twice[i] = static_cast<std::uint8_t>(block[i] << 1 | carry);
  }
  if (block[0] >> 7 != 0) twice[15] ^= 0x87;
  return twice;
}

// The last 16 octets of `message` xor `block` (RFC 5297 section 2.1).
Octets xorend(Octets message, const Octets& block) {
  for (std::size_t i = 0; i < 16; ++i) message[message.size() - 16 + i] ^= block[i];
  return message;
}

class Cmac : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (GetParam()->cpu_can_run() == 0) GTEST_SKIP() << "this CPU lacks " << GetParam()->instruction_sets;
  }

  // Seals in the last lane of a group that is not full, so that its neighbours are other messages.
  static Octets seal(const Octets& key, const Octets& associated_data, Octets plaintext) {
    constexpr std::size_t count = 3;
    constexpr static std::uint8_t nothing = 0;  // no octets still have an address
    const Octets other_key(GetParam()->key_bytes, 0x5e);
    Octets other_plaintext(7, 1);
    std::vector<Octets> sealed(count);
    std::array<const std::uint8_t*, count> keys = {other_key.data(), other_key.data(), key.data()};
    std::array<Job, count> jobs;
    for (std::size_t i = 0; i < count; ++i) {
      Octets& text = i + 1 == count ? plaintext : other_plaintext;
      sealed[i].resize(text.size() + 16);
      jobs[i] = {.associated_data = associated_data.empty() ? &nothing : associated_data.data(),
                 .nonce = nullptr,
                 .plaintext = text.data(),
                 .sealed = sealed[i].data(),
                 .associated_data_bytes = static_cast<std::uint32_t>(associated_data.size()),
                 .nonce_bytes = 0,
                 .plaintext_bytes = static_cast<std::uint32_t>(text.size()),
                 .authentic = 0};
    }
    KeyTable table;
    GetParam()->expand_keys(keys.data(), count, &table);
    GetParam()->seal(&table, jobs.data(), count);
    return sealed.back();
  }

  // CMAC(message) by the tier under `mac_key`, if the tier also finds `associated_mac` for `associated_data`.
  static Octets cmac(const Octets& mac_key, const Octets& message, const Octets& associated_data,
                     const Octets& associated_mac) {
    Octets key = mac_key;
    key.resize(2 * mac_key.size(), 0x33);  // the CTR half plays no part in the tag
    const Octets start = xored(doubled(nettle_cmac(mac_key, Octets(16))), associated_mac);
    const Octets sealed = seal(key, associated_data, xorend(message, start));
    return Octets(sealed.begin(), sealed.begin() + 16);
  }
};

// Of those alone whose keys the RFCs print answers for.
class CmacOf128Bits : public Cmac {};

std::vector<const Kernels*> tiers_of_all_key_sizes() {
  std::vector<const Kernels*> all;
  for (const std::uint32_t key_bytes :
       {nts::siv::key_bytes_256, nts::siv::key_bytes_384, nts::siv::key_bytes_512}) {
    for (const Kernels* tier : nts::siv::all_tiers(key_bytes)) all.push_back(tier);
  }
  return all;
}

std::string name_of(const testing::TestParamInfo<const Kernels*>& parameter) {
  return std::string(parameter.param->name) + "_" + std::to_string(8 * parameter.param->key_bytes);
}

INSTANTIATE_TEST_SUITE_P(Tiers, Cmac, testing::ValuesIn(tiers_of_all_key_sizes()), name_of);
INSTANTIATE_TEST_SUITE_P(Tiers, CmacOf128Bits,
                         testing::ValuesIn(nts::siv::all_tiers().begin(), nts::siv::all_tiers().end()),
                         name_of);

TEST_P(CmacOf128Bits, K05_TheFourExamplesOfRfc4493InEveryPair) {
  auto vectors = vectors_of("rfc4493.txt");
  const Octets& key = vectors.at("key");
  const Octets& whole = vectors.at("message");
  const auto first = [&](std::size_t octets) {
    return Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(octets));
  };
  for (const std::size_t data_bytes : {0U, 16U, 40U, 64U}) {
    const Octets data = first(data_bytes);
    const Octets& data_mac = vectors.at("mac-" + std::to_string(data_bytes));
    EXPECT_EQ(nettle_cmac(key, data), data_mac) << "the oracle agrees with the RFC";
    for (const std::size_t bytes : {16U, 40U, 64U}) {
      EXPECT_EQ(cmac(key, first(bytes), data, data_mac), vectors.at("mac-" + std::to_string(bytes)))
          << data_bytes << " " << bytes;
    }
  }
}

TEST_P(CmacOf128Bits, K05_Rfc5297AppendixA1) {
  const auto vectors = vectors_of("rfc5297.txt");
  EXPECT_EQ(seal(vectors.at("a1-key"), vectors.at("a1-ad"), vectors.at("a1-plaintext")),
            vectors.at("a1-output"));
  EXPECT_EQ(doubled(vectors.at("a1-cmac-zero")), from_hex("1c09bf5f83df7e080280b050b37e0e74"))
      << "of this file";
}

// A.2 has three components before the plaintext, one more than NTS and our interface know. Its S2V ends in
// CMAC(a2-xorend), which the RFC prints; the plaintext that leads there with A.2's first component alone has
// the same tag, and therefore the same key stream.
TEST_P(CmacOf128Bits, K05_Rfc5297AppendixA2) {
  const auto vectors = vectors_of("rfc5297.txt");
  const Octets& plaintext = vectors.at("a2-plaintext");
  Octets start = vectors.at("a2-cmac-zero");
  for (const char* component : {"a2-cmac-ad1", "a2-cmac-ad2", "a2-cmac-nonce"}) {
    start = xored(doubled(start), vectors.at(component));
  }
  ASSERT_EQ(xorend(plaintext, start), vectors.at("a2-xorend"));
  for (const char* component : {"a2-ad1", "a2-ad2", "a2-nonce"}) {
    const std::string mac = "a2-cmac-" + std::string(component).substr(3);
    const Octets ours = xored(doubled(vectors.at("a2-cmac-zero")), vectors.at(mac));
    const Octets other_plaintext = xorend(vectors.at("a2-xorend"), ours);
    const Octets sealed = seal(vectors.at("a2-key"), vectors.at(component), other_plaintext);
    const Octets& expected = vectors.at("a2-output");
    EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + 16, sealed.begin())) << component;
    const Octets stream = xored(Octets(sealed.begin() + 16, sealed.end()), other_plaintext);
    EXPECT_EQ(xored(stream, plaintext), Octets(expected.begin() + 16, expected.end())) << component;
  }
}

// The file's 102 vectors for each length of key. Its other five have keys that no AES has: there is no call
// to make with one, as a tier takes keys of its own length only (Kernels::key_bytes).
TEST_P(Cmac, K04_WycheproofVectors) {
  std::ifstream in(std::string(NOONMARK_VECTORS) + "/wycheproof/aes_cmac_test.json");
  int tried = 0;
  const auto all = nlohmann::json::parse(in);
  for (const auto& group : all["testGroups"]) {
    if (group["keySize"] != 4 * GetParam()->key_bytes) continue;
    for (const auto& test : group["tests"]) {
      ++tried;
      SCOPED_TRACE(test["tcId"].dump() + " " + test["comment"].get<std::string>());
      const Octets key = from_hex(test["key"]);
      const Octets message = from_hex(test["msg"]);
      const Octets tag = from_hex(test["tag"]);
      const bool is_valid = test["result"] == "valid";
      const Octets fixed(64, 0x42);
      EXPECT_EQ(cmac(key, fixed, message, tag) == nettle_cmac(key, fixed), is_valid);
      if (message.size() >= 16) {
        EXPECT_EQ(cmac(key, message, fixed, nettle_cmac(key, fixed)) == tag, is_valid);
      }
    }
  }
  EXPECT_EQ(tried, 102);
}

}  // namespace
