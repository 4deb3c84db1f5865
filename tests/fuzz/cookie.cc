// Cookies: any octets, and any plaintext truly sealed under any key of the ring, in a request that is right
// in everything else. Flags: 1 seals the rest as plaintext under the key id in the second octet.
#include "nts/cookie.h"

#include "tests/fuzz/serving.h"
#include "tests/nts/aead_session.h"
#include "tests/support/packet_builder.h"

namespace fuzz {
namespace {

constexpr std::uint8_t seal_plaintext = 1;

void run(Input input) {
  Reader reader(input);
  const std::uint8_t flags = reader.octet();
  const std::uint32_t key_id = reader.octet();
  Octets cookie = reader.rest();
  if ((flags & seal_plaintext) != 0) cookie = tests::make_cookie(key_id, tests::ring_key_of(key_id), cookie);
  cookie.resize(cookie.size() / 4 * 4);
  if (cookie.size() < 12 || cookie.size() > 1200) return;
  // Signed with the C2S key that the cookie holds, if it holds one.
  const std::optional<Octets> keys = open_cookie(cookie);
  tests::RequestBuilder request;
  request.unique_identifier().cookie(cookie).placeholders(1, cookie.size());
  if (keys) {
    const tests::AeadSession session(nts::aead_of_cookie(static_cast<std::uint32_t>(cookie.size())));
    const Octets c2s(keys->begin(), keys->begin() + static_cast<std::ptrdiff_t>(session.aead_of().key_bytes));
    session.authenticate(request, c2s, session.aead_of().nonce_bytes);
  } else {
    request.authenticator(Octets(32, 0));
  }
  const Served served = serve(request.octets());
  require((served.request.verdict == nts::Verdict::answer_nts) == keys.has_value(),
          "a request is answered exactly when nettle opens its cookie");
}

std::vector<Octets> seeds() {
  const auto sealed = [](std::uint8_t key_id, std::size_t bytes) {
    return with_flags(seal_plaintext, with_flags(key_id, Octets(bytes, 0x77)));
  };
  return {sealed(7, 64),
          sealed(6, 64),
          sealed(5, 64),
          sealed(9, 64),
          sealed(7, 32),
          sealed(7, 128),
          with_flags(0, with_flags(0, tests::usual_cookie()))};
}

const Registration registration({"cookie", run, seeds});

}  // namespace
}  // namespace fuzz
