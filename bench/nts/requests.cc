#include "bench/nts/requests.h"

#include "tests/nts/aead_session.h"

namespace bench {

using tests::Octets;

Octets request_of(Load load, std::size_t client) {
  const Load own = load_of(load, client);
  if (own == Load::plain) return tests::plain_request();
  if (own == Load::garbage) {  // as long as a usual request; its first octet says version 7
    Octets octets(228);
    for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<std::uint8_t>(0xff - 37 * i);
    return octets;
  }
  const auto fill = static_cast<std::uint8_t>(client);
  const tests::SessionKey c2s = tests::key_of(fill);
  const tests::SessionKey s2c = tests::key_of(static_cast<std::uint8_t>(fill ^ 0x55));
  if (load == Load::nts_aead30) {
    tests::AeadSession session(nts::AeadRow::gcm_siv_128);
    session.c2s.assign(c2s.begin(), c2s.begin() + nts::gcm_siv::key_bytes);
    session.s2c.assign(s2c.begin(), s2c.begin() + nts::gcm_siv::key_bytes);
    tests::RequestBuilder builder;
    builder.transmit(0x1234'5678'0000'0000 + client).unique_identifier(32, fill).cookie(session.cookie(fill));
    session.authenticate(builder, session.c2s, nts::gcm_siv::nonce_bytes);
    return builder.octets();
  }
  Octets keys(c2s.begin(), c2s.end());
  keys.insert(keys.end(), s2c.begin(), s2c.end());
  const std::uint32_t key_id = own == Load::unknown_key ? tests::usual_key_id + 1 : tests::usual_key_id;
  const Octets cookie = tests::make_cookie(key_id, tests::ring_key_of(key_id), keys, fill);
  tests::RequestBuilder request;
  request.transmit(0x1234'5678'0000'0000 + client)
      .unique_identifier(own == Load::nts_long_identifier ? 64 : 32, fill)
      .cookie(cookie);
  if (own == Load::placeholders7) request.placeholders(7);
  Octets octets = request.authenticator(c2s).octets();
  if (own == Load::bad_tag) octets.back() ^= 1;
  return octets;
}

}  // namespace bench
