// What the kernel must be told and asked about the interfaces that our ports stand on, all of it by the main
// thread: which requests are ours (kernel_guard, packet_sockets, xdp_redirects), and whether the interfaces
// are still those that were opened (kernel_interface) and have a link.
//
// Made before the ports and gone after them: what a port leaves attached to its interface is taken away when
// the port has closed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/port/kernel_guard.h"
#include "dataplane/port/kernel_interface.h"
#include "dataplane/port/packet_sockets.h"
#include "dataplane/port/port.h"
#include "dataplane/port/xdp_redirects.h"
#include "dataplane/shm/pages.h"

namespace dataplane {

class KernelSide {
 public:
  // One sentence each. A failure means that requests to an address are not all answered; a trouble costs
  // less.
  struct Outcome {
    std::vector<std::string> failures;
    std::vector<std::string> troubles;
  };

  // `directory`: the dataplane's own among the pages.
  explicit KernelSide(const std::filesystem::path& directory) : redirects_(directory) {}

  // Before the device of this name in the config is opened. Throws PortError when its interface is taken.
  void make_room(std::string_view device);
  // After it was opened, as number `number` of the devices. Throws PortError. Returns what to tell the
  // operator.
  std::vector<std::string> adopt(const Port& port, std::string_view device, std::uint32_t number);

  // From here on requests to the settings' addresses are ours, and no others.
  Outcome follow(const shm::Settings& settings);

  // Looks at each interface: returns one sentence for each link that went down or came back since the last
  // look, and keeps `states`, by device, true. Throws PortError when an interface is no longer the one that
  // was opened.
  std::vector<std::string> look(std::span<shm::PortState> states);

 private:
  struct Watched {
    std::uint32_t number;
    KernelInterface interface;
    bool has_link;
  };
  XdpRedirects redirects_;
  PacketSockets packet_sockets_;
  std::vector<unsigned> guarded_;  // indexes of interfaces whose requests the kernel sees too
  std::optional<KernelGuard> guard_;
  std::vector<Watched> watched_;
  std::vector<KernelInterface> twins_;
};

}  // namespace dataplane
