// Every tier against BoringSSL, which nobody here wrote.
#include <cstdlib>
#include <gtest/gtest.h>
#include <openssl/aead.h>

#include "tests/nts/gcm_siv/messages.h"

namespace {

using tests::GcmSivMessage;
using tests::Octets;

// One key of BoringSSL's.
class Oracle {
 public:
  explicit Oracle(const Octets& key) {
    EXPECT_EQ(EVP_AEAD_CTX_init(&context_, EVP_aead_aes_128_gcm_siv(), key.data(), key.size(), 16, nullptr),
              1);
  }
  ~Oracle() { EVP_AEAD_CTX_cleanup(&context_); }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  Octets seal(const GcmSivMessage& m) {
    Octets sealed(m.plaintext.size() + 16);
    std::size_t bytes = 0;
    EXPECT_EQ(EVP_AEAD_CTX_seal(&context_, sealed.data(), &bytes, sealed.size(), m.nonce.data(),
                                m.nonce.size(), m.plaintext.data(), m.plaintext.size(),
                                m.associated_data.data(), m.associated_data.size()),
              1);
    return sealed;
  }
  bool opens(const GcmSivMessage& m) {
    Octets plaintext(m.sealed.size() + 1);
    std::size_t bytes = 0;
    return EVP_AEAD_CTX_open(&context_, plaintext.data(), &bytes, plaintext.size(), m.nonce.data(),
                             m.nonce.size(), m.sealed.data(), m.sealed.size(), m.associated_data.data(),
                             m.associated_data.size()) == 1;
  }

 private:
  EVP_AEAD_CTX context_;
};

// 8,320 messages here, 10^7 with NOONMARK_LONG.
TEST(GcmSiv, K06_K08_AgreesWithBoringSslForEveryShapeAtEveryFillInEveryTier) {
  std::mt19937 random(8452);
  const int rounds = std::getenv("NOONMARK_LONG") != nullptr ? 4'808 : 4;  // of 2,080 messages
  for (int round = 0; round < rounds; ++round) {
    for (std::uint32_t fill = 1; fill <= nts::gcm_siv::key_table_keys_max; ++fill) {
      std::vector<GcmSivMessage> messages = tests::random_messages(random, fill, round % 2 == 1);
      std::vector<Octets> expected;
      for (const GcmSivMessage& m : messages) expected.push_back(Oracle(m.key).seal(m));
      for (const nts::gcm_siv::Kernels* tier : tests::runnable_tiers()) {
        std::vector<GcmSivMessage> ours = messages;
        tests::seal_all(*tier, ours);
        for (std::size_t i = 0; i < fill; ++i) {
          ASSERT_EQ(ours[i].sealed, expected[i]) << tier->name << " " << fill << " " << i;
        }
        for (GcmSivMessage& m : ours) {
          if (random() % 3 == 0) m.sealed[random() % m.sealed.size()] ^= 4;
        }
        const std::vector<bool> authentic = tests::open_all(*tier, ours);
        for (std::size_t i = 0; i < fill; ++i) {
          ASSERT_EQ(authentic[i], Oracle(ours[i].key).opens(ours[i]))
              << tier->name << " " << fill << " " << i;
          ASSERT_EQ(ours[i].plaintext,
                    authentic[i] ? messages[i].plaintext : Octets(messages[i].plaintext.size(), 0));
        }
      }
    }
  }
}

}  // namespace
