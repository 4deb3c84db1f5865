// The client's side of NTS-KE over TCP and TLS 1.3 (RFC 8915 section 4): from a name to keys and cookies.
//
// For `noonmark query` and the upstream role. One total deadline covers everything from the look-up of the
// name to the last record; every fault says at which step, and what to do about it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/name_lookup.h"
#include "control/tls.h"
#include "nts/client.h"

namespace control {

struct KeQuestion {
  std::string host;  // the name or address literal that the certificate must be for
  std::uint16_t port = 4460;
  int family = 0;  // AF_UNSPEC, AF_INET or AF_INET6
  std::chrono::milliseconds deadline{5000};
  std::vector<std::uint16_t> aeads = {30, 15};  // IANA numbers, the one we like best first
};

// What both sides agreed on.
struct KeAgreement {
  boost::asio::ip::address address;  // of the server that answered
  TlsFacts tls;
  std::uint16_t aead = 0;          // IANA number of one that was offered
  std::uint32_t cookies = 0;       // that came and can be sent back
  std::uint32_t cookie_bytes = 0;  // of the first
  std::string ntp_server;          // name or literal; empty: the host at `address`
  std::uint16_t ntp_port = 123;
  std::chrono::microseconds took{};
  nts::ClientSession session;
};

// Who computes what may be agreed on: of these AEADs (IANA numbers), and of no others, the tiers of this
// machine that give the known answers. Throws PeerError when there are none.
[[nodiscard]] nts::AeadKernels kernels_for(std::span<const std::uint16_t> aeads);

// Tries the addresses of the host in order, each with its share of the time, until one lets us connect; what
// happens after that is final. Throws PeerError.
[[nodiscard]] boost::asio::awaitable<std::unique_ptr<KeAgreement>> agree_on_keys(TlsContext context,
                                                                                 KeQuestion question);

}  // namespace control
