// A client's session under any of our AEADs, by implementations that are not the server's: nettle for
// AES-SIV, the portable tier for AES-GCM-SIV (which tests/nts/gcm_siv holds against BoringSSL).
#pragma once

#include "nts/aead.h"
#include "tests/support/packet_builder.h"

namespace tests {

struct AeadSession {
  nts::AeadRow row;
  Octets c2s, s2c;

  explicit AeadSession(nts::AeadRow aead) : row(aead) {
    for (std::size_t i = 0; i < aead_of().key_bytes; ++i) {
      c2s.push_back(static_cast<std::uint8_t>(0xc2 + 7 * i));
      s2c.push_back(static_cast<std::uint8_t>(0x52 + 7 * i));
    }
  }
  [[nodiscard]] const nts::Aead& aead_of() const { return nts::aead_at(row); }

  // Tag and ciphertext in the order of the AEAD.
  [[nodiscard]] Octets seal(const Octets& key, std::span<const std::uint8_t> associated_data,
                            const Octets& nonce, const Octets& plaintext) const {
    if (row != nts::AeadRow::gcm_siv_128) return nettle_seal(key, associated_data, nonce, plaintext);
    Octets sealed(plaintext.size() + 16);
    std::copy(plaintext.begin(), plaintext.end(), sealed.begin());
    run_gcm_siv(key, associated_data, nonce, sealed, plaintext.size(), true);
    return sealed;
  }
  [[nodiscard]] bool open(const Octets& key, std::span<const std::uint8_t> associated_data,
                          const Octets& nonce, const Octets& sealed, Octets& plaintext) const {
    if (row != nts::AeadRow::gcm_siv_128) return nettle_open(key, associated_data, nonce, sealed, plaintext);
    if (sealed.size() < 16) return false;
    plaintext = sealed;
    const bool authentic =
        run_gcm_siv(key, associated_data, nonce, plaintext, sealed.size() - 16, false) == 1;
    plaintext.resize(sealed.size() - 16);
    return authentic;
  }

  [[nodiscard]] Octets cookie(std::uint8_t nonce_fill = 0x3c) const {
    Octets keys = c2s;
    keys.insert(keys.end(), s2c.begin(), s2c.end());
    return make_cookie(usual_key_id, ring_key_of(usual_key_id), keys, nonce_fill);
  }

  // Signs what stands in `builder` with `key`, a nonce of `nonce_bytes` and `extra` octets behind.
  void authenticate(RequestBuilder& builder, const Octets& key, std::size_t nonce_bytes,
                    const Octets& plaintext = {}, std::size_t extra = 0) const {
    const Octets nonce(nonce_bytes, 0x5a);
    const Octets sealed = seal(key, builder.octets(), nonce, plaintext);
    Octets body(4);
    nts::store_u16(body.data(), static_cast<std::uint16_t>(nonce.size()));
    nts::store_u16(body.data() + 2, static_cast<std::uint16_t>(sealed.size()));
    body.insert(body.end(), nonce.begin(), nonce.end());
    body.resize(nts::padded_to_4(static_cast<std::uint32_t>(body.size())));
    body.insert(body.end(), sealed.begin(), sealed.end());
    body.resize(nts::padded_to_4(static_cast<std::uint32_t>(body.size())) + extra);
    builder.field(0x0404, body);
  }

  [[nodiscard]] Octets request(std::size_t placeholders = 0) const {
    RequestBuilder builder;
    builder.unique_identifier().cookie(cookie()).placeholders(placeholders, aead_of().cookie_bytes());
    authenticate(builder, c2s, aead_of().nonce_bytes);
    return builder.octets();
  }

  // Opens an authenticated answer: identifier, with `is_told` the field of nts/mono_root.h, then an
  // authenticator that ends the packet.
  [[nodiscard]] std::vector<Octets> cookies_of(const Octets& answer, bool& authentic,
                                               bool is_told = false) const {
    authentic = false;
    bool whole = false;
    const std::vector<SeenField> fields = fields_of(answer, 48, whole);
    if (!whole || fields.size() != (is_told ? 3 : 2) || fields[0].type != 0x0104) return {};
    if ((is_told && fields[1].type != 0xf323) || fields.back().type != 0x0404) return {};
    const Octets& body = fields.back().body;
    const std::size_t nonce_bytes = aead_of().nonce_bytes;
    if (body.size() < 4 + nonce_bytes + 16 || nts::load_u16(body.data()) != nonce_bytes) return {};
    if (nts::load_u16(body.data() + 2) != body.size() - 4 - nonce_bytes) return {};
    const auto sealed_at = body.begin() + 4 + static_cast<std::ptrdiff_t>(nonce_bytes);
    Octets plaintext;
    if (!open(s2c, std::span(answer).first(answer.size() - body.size() - 4),
              Octets(body.begin() + 4, sealed_at), Octets(sealed_at, body.end()), plaintext)) {
      return {};
    }
    std::vector<Octets> cookies;
    for (const SeenField& field : fields_of(plaintext, 0, whole)) {
      if (field.type != 0x0204) return {};
      cookies.push_back(field.body);
    }
    authentic = whole;
    return cookies;
  }

 private:
  // In place in `text`, which has room for the tag.
  static std::uint32_t run_gcm_siv(const Octets& key, std::span<const std::uint8_t> associated_data,
                                   const Octets& nonce, Octets& text, std::size_t plaintext_bytes,
                                   bool seals) {
    if (nonce.size() != nts::gcm_siv::nonce_bytes) return 0;  // such a request carries a tag of zeros
    const nts::gcm_siv::Kernels& kernels = *nts::gcm_siv::all_tiers().back();
    nts::gcm_siv::Job job{.associated_data = associated_data.data(),
                          .nonce = nonce.data(),
                          .plaintext = text.data(),
                          .sealed = text.data(),
                          .associated_data_bytes = static_cast<std::uint32_t>(associated_data.size()),
                          .nonce_bytes = nts::gcm_siv::nonce_bytes,
                          .plaintext_bytes = static_cast<std::uint32_t>(plaintext_bytes),
                          .authentic = 0};
    const std::uint8_t* key_octets = key.data();
    const std::uint8_t* nonce_octets = nonce.data();
    nts::gcm_siv::KeyTable table;
    kernels.derive_keys(&key_octets, &nonce_octets, 1, &table);
    (seals ? kernels.seal : kernels.open)(&table, &job, 1);
    return job.authentic;
  }
};

[[nodiscard]] inline std::vector<AeadSession> all_sessions() {
  std::vector<AeadSession> sessions;
  for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
    sessions.emplace_back(static_cast<nts::AeadRow>(row));
  }
  return sessions;
}

}  // namespace tests
