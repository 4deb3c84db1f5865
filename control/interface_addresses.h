// What `addresses = "auto"` means: the addresses of some interfaces as the kernel has them now, and word when
// they may have changed (rtnetlink(7)). Needs no privilege.
//
// Served are those that a client may have been told of and that work:
//   - IPv4 of any scope but host and link, IPv6 of global scope (ULA included), secondary ones too;
//   - deprecated ones as long as they are there: clients who know them still ask;
//   - not while duplicate address detection runs or after it failed: another machine may own the address;
//   - not temporary ones (RFC 8981): they exist so that nobody can tell whose they are, and a server that
//     answers on them tells.
// Every word is answered by a full look, so a lost notification or a renamed interface leaves nothing stale.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/descriptor.h"
#include "dataplane/shm/pages.h"

namespace control {

// what() is one sentence with what to do.
class InterfaceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The kernel's answer now, in its order, no address twice. Interfaces that do not exist have none. Throws
// InterfaceError.
[[nodiscard]] std::vector<shm::Address> addresses_of(std::span<const std::string> interfaces);

// Hears of changes to addresses and interfaces of this network namespace.
class AddressWatch {
 public:
  // Hears what happens from here on. Throws InterfaceError.
  AddressWatch();

  // Readable when something happened.
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  // Takes all that has come; true when it was anything, a lost notification included.
  bool take();

 private:
  Descriptor socket_;
};

}  // namespace control
