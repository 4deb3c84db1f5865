#include "control/name_lookup.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>

#include "control/descriptor.h"
#include "control/odd_address.h"
#include "control/waiter.h"

namespace control {
namespace {

namespace asio = boost::asio;
using asio::ip::address;

const char* name_of_family(int family) {
  return family == AF_INET ? "IPv4 address" : family == AF_INET6 ? "IPv6 address" : "address";
}

// One getaddrinfo() in a thread of its own. Asio's resolver would do the same, but nobody can walk away from
// it: cancelling and destroying both wait until the look-up ends, which with a dead DNS server is long after
// the deadline. Here the thread keeps its half alive and ends when it can.
struct Lookup {
  // clang 14 cannot make an aggregate from parentheses, which is what make_shared does.
  Lookup(std::string host_name, int address_family) : host(std::move(host_name)), family(address_family) {}

  std::string host;
  int family;
  Descriptor finished{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  // Written by the thread before it signals `finished`, read only after that.
  int error = 0;
  std::vector<address> addresses;

  void run() {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;  // one entry per address
    addrinfo* found = nullptr;
    error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) take(*entry->ai_addr);
    if (found != nullptr) ::freeaddrinfo(found);
    (void)::eventfd_write(finished.get(), 1);
  }

  void take(const sockaddr& found) {
    address one;
    if (found.sa_family == AF_INET) {
      const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(found);
      one = asio::ip::address_v4(ntohl(ipv4.sin_addr.s_addr));
    } else if (found.sa_family == AF_INET6) {
      const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(found);
      one = asio::ip::address_v6(std::to_array(ipv6.sin6_addr.s6_addr), ipv6.sin6_scope_id);
    } else {
      return;
    }
    if (std::find(addresses.begin(), addresses.end(), one) == addresses.end()) addresses.push_back(one);
  }
};

}  // namespace

asio::awaitable<std::vector<address>> look_up(std::string host, int family,
                                              std::chrono::milliseconds deadline) {
  boost::system::error_code is_name;
  const address literal = asio::ip::make_address(host, is_name);
  if (!is_name) {
    if (family != AF_UNSPEC && literal.is_v6() != (family == AF_INET6)) {
      throw LookupError(host + ": is no " + name_of_family(family) + ", and only those were asked for");
    }
    co_return std::vector<address>{literal};
  }
  if (is_odd_address(host)) {
    throw LookupError(host +
                      ": is no address as addresses are written; write four decimal numbers without leading "
                      "zeros, like 192.0.2.1");
  }

  const auto lookup = std::make_shared<Lookup>(host, family);
  if (!lookup->finished.is_open()) throw std::system_error(errno, std::generic_category(), "eventfd");
  std::thread([lookup] { lookup->run(); }).detach();

  Waiter waiter(co_await asio::this_coro::executor, lookup->finished.get());
  if (!co_await waiter.readable_by(deadline_in(deadline))) {
    throw LookupError(host + ": the name was not resolved within " + std::to_string(deadline.count()) +
                      " ms; check this machine's DNS servers");
  }
  if (lookup->addresses.empty()) {
    throw LookupError(host + ": the name has no " + name_of_family(family) + " (" +
                      ::gai_strerror(lookup->error) + "); check its spelling and this machine's DNS");
  }
  co_return lookup->addresses;
}

}  // namespace control
