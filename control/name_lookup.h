// Names to addresses, for the client side: NTS-KE servers and the NTP servers they tell.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

namespace control {

// Why the other side could not be used: what() is one sentence for people that says what to do.
class PeerError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The name leads to no address: nobody was asked anything yet.
class LookupError : public PeerError {
 public:
  using PeerError::PeerError;
};

// The addresses of `host` (a name or a literal) in the order the system prefers, never none. `family` is
// AF_UNSPEC, AF_INET or AF_INET6. Throws LookupError, also when the look-up takes longer than `deadline`, and
// for an odd address.
[[nodiscard]] boost::asio::awaitable<std::vector<boost::asio::ip::address>> look_up(
    std::string host, int family, std::chrono::milliseconds deadline);

}  // namespace control
