// Keeps the kernel from answering "port unreachable" for requests that af_packet shows to both of us.
//
// One UDP socket per served address, bound to exactly that address and our port, with a filter that drops
// every packet before it takes memory. Never the wildcard address: other addresses of the host stay free for
// other programs. The sockets also reserve the port, and vanish with the process: clients of a dead server
// get a clean "unreachable" and turn to another.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/shm/pages.h"

namespace dataplane {

class KernelGuard {
 public:
  // `interfaces`: indexes of the interfaces that are served; link-local addresses are guarded on each.
  explicit KernelGuard(std::vector<unsigned> interfaces);
  ~KernelGuard();
  KernelGuard(const KernelGuard&) = delete;
  KernelGuard& operator=(const KernelGuard&) = delete;

  // Guards exactly `addresses` at `port`: opens what is missing, closes what is gone. Returns one sentence
  // for each address that could not be guarded; these are tried again at the next call.
  std::vector<std::string> follow(std::span<const shm::Address> addresses, std::uint16_t port);

  [[nodiscard]] std::size_t size() const noexcept { return sockets_.size(); }

 private:
  // What a socket is bound to: address octets, family, port, interface (0 but for link-local).
  struct Place {
    std::array<std::uint8_t, 16> octets{};
    std::uint8_t family = 4;
    std::uint16_t port = 0;
    unsigned interface = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  [[nodiscard]] static std::pair<int, std::string> open_socket(const Place& place);
  [[nodiscard]] std::vector<Place> places_of(std::span<const shm::Address> addresses,
                                             std::uint16_t port) const;

  std::vector<unsigned> interfaces_;
  std::map<Place, int> sockets_;
};

}  // namespace dataplane
