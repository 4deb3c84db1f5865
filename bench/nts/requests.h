// The requests that every benchmark serves, so that their figures belong together: the plain one of 48
// octets, and the one that nearly all NTS clients send (header, Unique Identifier of 32 octets, a cookie,
// authenticator; 228 octets).
#pragma once

#include <cstddef>

#include "tests/support/packet_builder.h"

namespace bench {

enum class Load { plain, nts };

// Clients with keys and cookies of their own, so that no two neighbours in a burst are alike.
inline constexpr std::size_t clients = 256;

// The request of client number `client` < clients; cookies are under ring key tests::usual_key_id.
[[nodiscard]] tests::Octets request_of(Load load, std::size_t client);

}  // namespace bench
