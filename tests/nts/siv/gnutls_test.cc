// K06: every tier against GnuTLS's AES-SIV, which chrony uses for NTS: AEADs 15 and 17 (it has no 16), with
// nonces of every length but none, which it does not take.
#include <chrono>
#include <cstdlib>
#include <gnutls/crypto.h>
#include <gtest/gtest.h>
#include <iostream>

#include "tests/nts/siv/random_messages.h"

namespace {

using tests::RandomMessage;

// One key of GnuTLS's.
class Oracle {
 public:
  explicit Oracle(const RandomMessage::Octets& key) {
    gnutls_datum_t datum{const_cast<unsigned char*>(key.data()), static_cast<unsigned>(key.size())};
    const auto cipher = key.size() == 32 ? GNUTLS_CIPHER_AES_128_SIV : GNUTLS_CIPHER_AES_256_SIV;
    EXPECT_EQ(gnutls_aead_cipher_init(&handle_, cipher, &datum), 0);
  }
  ~Oracle() { gnutls_aead_cipher_deinit(handle_); }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  [[nodiscard]] RandomMessage::Octets sealed(const RandomMessage& m) const {
    RandomMessage::Octets out(m.plaintext.size() + nts::siv::tag_bytes);
    std::size_t bytes = out.size();
    EXPECT_EQ(gnutls_aead_cipher_encrypt(handle_, m.nonce.data(), m.nonce.size(), m.associated_data.data(),
                                         m.associated_data.size(), nts::siv::tag_bytes, m.plaintext.data(),
                                         m.plaintext.size(), out.data(), &bytes),
              0);
    EXPECT_EQ(bytes, out.size());
    return out;
  }
  // The text that was received, zeros when it is forged.
  [[nodiscard]] RandomMessage::Octets opened(const RandomMessage& m, bool& is_authentic) const {
    RandomMessage::Octets out(m.received.size());
    std::size_t bytes = out.size() - nts::siv::tag_bytes;
    is_authentic =
        gnutls_aead_cipher_decrypt(handle_, m.nonce.data(), m.nonce.size(), m.associated_data.data(),
                                   m.associated_data.size(), nts::siv::tag_bytes, m.received.data(),
                                   m.received.size(), out.data(), &bytes) == 0;
    out.resize(m.received.size() - nts::siv::tag_bytes);
    if (!is_authentic) std::fill(out.begin(), out.end(), std::uint8_t{0});
    return out;
  }

 private:
  gnutls_aead_cipher_hd_t handle_ = nullptr;
};

class SivAgainstGnuTls : public testing::TestWithParam<std::uint32_t> {};

INSTANTIATE_TEST_SUITE_P(KeyBytes, SivAgainstGnuTls, testing::Values(32U, 64U),
                         [](const auto& bytes) { return std::to_string(8 * bytes.param); });

// 4,000 messages here, 10^7 with NOONMARK_LONG, with progress. Each is opened once, a third of them forged.
TEST_P(SivAgainstGnuTls, K06_AgreesWithGnuTlsOnMessagesOfAllLengths) {
  constexpr std::uint64_t progress = 500'000;
  const std::uint64_t wanted = std::getenv("NOONMARK_LONG") != nullptr ? 10'000'000 : 4'000;
  tests::RandomMessages messages(GetParam(), 5297, false);
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t done = 0, forged = 0;
  while (done < wanted) {
    std::string wrong;
    const std::span<const RandomMessage> burst = messages.next(wrong);
    ASSERT_FALSE(burst.empty()) << wrong << ", in the burst behind message " << done;
    for (const RandomMessage& m : burst) {
      const Oracle oracle(m.key);
      bool is_authentic = false;
      ASSERT_EQ(oracle.sealed(m), m.sealed) << done;
      ASSERT_EQ(oracle.opened(m, is_authentic), m.opened) << done;
      ASSERT_EQ(is_authentic, m.is_authentic) << done;
      forged += is_authentic ? 0 : 1;
      if (++done % progress != 0) continue;
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
      std::cout << done << " messages, " << passed.count() << " s" << std::endl;
    }
  }
  std::cout << done << " messages, " << forged << " of them forged, 0 differences" << std::endl;
  EXPECT_GT(forged, done / 4);
  EXPECT_LT(forged, done / 2);
}

}  // namespace
