#include "bench/nts/requests.h"

namespace bench {

using tests::Octets;

Octets request_of(Load load, std::size_t client) {
  if (load == Load::plain) return tests::plain_request();
  const auto fill = static_cast<std::uint8_t>(client);
  const tests::SessionKey c2s = tests::key_of(fill);
  const tests::SessionKey s2c = tests::key_of(static_cast<std::uint8_t>(fill ^ 0x55));
  Octets keys(c2s.begin(), c2s.end());
  keys.insert(keys.end(), s2c.begin(), s2c.end());
  const Octets cookie =
      tests::make_cookie(tests::usual_key_id, tests::ring_key_of(tests::usual_key_id), keys, fill);
  return tests::RequestBuilder{}
      .transmit(0x1234'5678'0000'0000 + client)
      .unique_identifier(32, fill)
      .cookie(cookie)
      .authenticator(c2s)
      .octets();
}

}  // namespace bench
