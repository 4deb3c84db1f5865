// From where to where a load goes: one address of the server, and the clients' that ask it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace bench::load {

// The client's address is the first one's; those that follow count up its last 16 bits.
struct Route {
  bool is_ipv6 = false;
  std::array<std::uint8_t, 16> server{};  // network order; IPv4 uses the first four
  std::array<std::uint8_t, 16> client{};  // all zero: none was given

  [[nodiscard]] std::size_t address_bytes() const noexcept { return is_ipv6 ? 16 : 4; }
  [[nodiscard]] bool has_client() const noexcept { return client != std::array<std::uint8_t, 16>{}; }
  // The address of client number `source`, from 0.
  [[nodiscard]] std::array<std::uint8_t, 16> client_address(std::uint16_t source) const noexcept;
};

// Both as people write them; `client` may be empty. Throws std::invalid_argument: a sentence that names the
// word.
[[nodiscard]] Route read_route(const std::string& server, const std::string& client);

}  // namespace bench::load
