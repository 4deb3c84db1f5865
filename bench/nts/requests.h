// The requests that every benchmark serves, so that their figures belong together: the plain one of 48
// octets, and the one that nearly all NTS clients send (header, Unique Identifier of 32 octets, a cookie,
// authenticator; 228 octets), the same under AEAD 30 (192 octets), and beside them those that an attacker or
// a rarer client sends.
#pragma once

#include <cstddef>

#include "nts/verdict.h"
#include "tests/support/packet_builder.h"

namespace bench {

enum class Load {
  plain,
  nts,
  nts_aead30,
  nts_long_identifier,  // 64 octets: the second shape of a mixed burst
  bad_tag,              // the authenticator's last octet is another one
  unknown_key,          // the cookie is under a key that the ring has not
  placeholders7,        // asks for eight cookies
  garbage,              // random-looking octets
  mixed                 // of every ten: three plain, three nts, three nts_long_identifier, one garbage
};
inline constexpr std::size_t loads = static_cast<std::size_t>(Load::mixed) + 1;

// What client number `client` sends under `load`: a load of its own but for `mixed`.
[[nodiscard]] constexpr Load load_of(Load load, std::size_t client) {
  constexpr Load of_ten[] = {Load::plain,
                             Load::nts,
                             Load::nts_long_identifier,
                             Load::plain,
                             Load::nts,
                             Load::nts_long_identifier,
                             Load::garbage,
                             Load::plain,
                             Load::nts,
                             Load::nts_long_identifier};
  return load == Load::mixed ? of_ten[client % 10] : load;
}

// What becomes of a request of `load`, which is not `mixed`.
[[nodiscard]] constexpr nts::Verdict verdict_of(Load load) {
  switch (load) {
    case Load::plain:
      return nts::Verdict::answer_plain;
    case Load::bad_tag:
      return nts::Verdict::nak_authenticator;
    case Load::unknown_key:
      return nts::Verdict::nak_key_unknown;
    case Load::garbage:
      return nts::Verdict::drop_version;
    default:
      return nts::Verdict::answer_nts;
  }
}

// Clients with keys and cookies of their own, so that no two neighbours in a burst are alike.
inline constexpr std::size_t clients = 256;

// The request of client number `client` < clients; cookies are under ring key tests::usual_key_id.
[[nodiscard]] tests::Octets request_of(Load load, std::size_t client);

}  // namespace bench
