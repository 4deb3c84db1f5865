// The XDP programs of our af_xdp: devices: which one is ours, and what they redirect.
//
// DPDK's driver loads the program (xdp/ntp_redirect.bpf.c, embedded in this binary) and attaches it. A killed
// process leaves it attached, and then nobody can attach another. Program numbers rise and are not given
// twice between boots, and a process without CAP_SYS_ADMIN may see the number but not the name: so each start
// writes its program's number beside the pages, which live on a tmpfs as long as a boot, and the next start
// takes away exactly that one. Any other program is its owner's and is refused.
//
// The number is known only after the driver has attached the program. So the record says "attaching" before:
// the interface was free then, and what is on it after a kill in these milliseconds is taken for ours unless
// its name can be read and is another. Whoever attaches a program of his own between such a kill and the next
// start, a second, without our seeing its name, loses it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "dataplane/shm/pages.h"

namespace dataplane {

class XdpRedirects {
 public:
  // `directory`: the dataplane's own among the pages.
  explicit XdpRedirects(std::filesystem::path directory) : directory_(std::move(directory)) {}
  ~XdpRedirects();
  XdpRedirects(const XdpRedirects&) = delete;
  XdpRedirects& operator=(const XdpRedirects&) = delete;

  // Before the device is opened: detaches what a killed run of ours left on `interface`, and says in the
  // record that whatever comes next is ours. Throws PortError when a program of somebody else's is there.
  void make_room(const std::string& interface);
  // After it was opened: remembers the program for the next run, and its map.
  void adopt(const std::string& interface);

  // Redirects requests to exactly `addresses` at `port`. Returns one sentence for each that failed.
  std::vector<std::string> follow(std::span<const shm::Address> addresses, std::uint16_t port);

 private:
  [[nodiscard]] std::filesystem::path record_of(const std::string& interface) const;
  // Throws PortError when it is not ours.
  void detach(const std::string& interface, std::uint32_t id) const;
  void write_record(const std::string& interface, const std::string& what) const;

  std::filesystem::path directory_;
  std::vector<std::string> interfaces_;  // of which there is a record
  std::vector<int> maps_;  // of served pairs, one per program; descriptors of the driver's, not ours to close
};

// The embedded program as a file that the driver can open by path: "/proc/self/fd/N". Made once, kept open.
[[nodiscard]] std::string xdp_object_path();

}  // namespace dataplane
