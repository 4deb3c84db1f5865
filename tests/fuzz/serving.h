// One request through a whole packet core, and everything we promise of the outcome, told by nettle.
#pragma once

#include <optional>

#include "nts/request.h"
#include "nts/verdict.h"
#include "tests/fuzz/target.h"

namespace tests {
struct AeadSession;
}

namespace fuzz {

inline constexpr std::uint32_t retired_key_id =
    5;  // the ring of the server: 6 and 8 are accepting, 7 current

struct Served {
  nts::Request request;  // with the verdict
  Octets answer;         // empty when there is none
};

// Serves `request` and requires I1 (never longer), a verdict that fits, the header's rules, the identifier's
// echo, and that the verdict on cookie and seal is nettle's.
Served serve(const Octets& request);

// The session keys C2S | S2C in a cookie, opened by nettle; nothing when no key of the ring opens it.
[[nodiscard]] std::optional<Octets> open_cookie(std::span<const std::uint8_t> cookie);

// Seals the authenticator of the well-formed request `packet` in place as `session` does: what stands where
// its ciphertext goes is taken as the plaintext. Does nothing when there is no authenticator to seal.
void seal_request(Octets& packet, const tests::AeadSession& session);

}  // namespace fuzz
