#include "bench/load/route.h"

#include <arpa/inet.h>
#include <stdexcept>

#include "nts/wire.h"

namespace bench::load {
namespace {

bool read_address(const std::string& text, bool is_ipv6, std::array<std::uint8_t, 16>& octets) {
  return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text.c_str(), octets.data()) == 1;
}

}  // namespace

std::array<std::uint8_t, 16> Route::client_address(std::uint16_t source) const noexcept {
  std::array<std::uint8_t, 16> address = client;
  std::uint8_t* low = address.data() + address_bytes() - 2;
  nts::store_u16(low, static_cast<std::uint16_t>(nts::load_u16(low) + source));
  return address;
}

Route read_route(const std::string& server, const std::string& client) {
  Route route;
  route.is_ipv6 = server.find(':') != std::string::npos;
  if (!read_address(server, route.is_ipv6, route.server))
    throw std::invalid_argument("--to \"" + server + "\" is no IPv4 or IPv6 address");
  if (!client.empty() && !read_address(client, route.is_ipv6, route.client))
    throw std::invalid_argument("--from \"" + client + "\" is no address of the family of " + server);
  return route;
}

}  // namespace bench::load
