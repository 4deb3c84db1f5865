// What the configuration makes of an address, and what the packet path makes of that, line by line, for
// address_oracle_test.py to compare with Python's ipaddress.
//
// Reads "ADDRESS/PREFIX SOURCE" and writes "refused", or the address as it is kept, its prefix, and 1 or 0
// for: SOURCE is this address; SOURCE may be answered.
#include <arpa/inet.h>
#include <cstring>
#include <iostream>
#include <span>
#include <string>

#include "control/config_value.h"
#include "control/settings.h"
#include "dataplane/addresses.h"

int main() {
  std::ios::sync_with_stdio(false);
  const std::string file = "oracle";
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::size_t space = line.rfind(' ');
    const std::string source = line.substr(space + 1);
    const toml::value<std::string> text(line.substr(0, space));
    shm::Address address{};
    try {
      address = control::read_interface_address({text, file, "address"});
    } catch (const control::ConfigError&) {
      std::cout << "refused\n";
      continue;
    }
    std::uint8_t octets[16] = {};
    const bool is_ipv6 = inet_pton(AF_INET, source.c_str(), octets) != 1;
    if (is_ipv6 && inet_pton(AF_INET6, source.c_str(), octets) != 1) return 2;
    dataplane::Addresses addresses;
    addresses.assign(std::span(&address, 1));
    const bool serves = is_ipv6 ? addresses.serves_ipv6(octets) : addresses.serves_ipv4(octets);
    const bool may_answer =
        is_ipv6 ? addresses.may_answer_ipv6(octets, address.octets) : addresses.may_answer_ipv4(octets);
    std::cout << control::text_of(address) << ' ' << int{address.prefix_bits} << ' ' << serves << ' '
              << may_answer << '\n';
  }
}
