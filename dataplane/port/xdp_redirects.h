// The XDP programs of our af_xdp: devices: which one is ours, and what they redirect.
//
// DPDK's driver loads the program (xdp/ntp_redirect.bpf.c, embedded in this binary) and attaches it. A killed
// process leaves it attached, and then nobody can attach another. Program numbers rise and are not given
// twice between boots, and a process without CAP_SYS_ADMIN may see the number but not the name: so each start
// writes its program's number beside the pages, which live on a tmpfs as long as a boot, and the next start
// takes away exactly that one. Any other program is its owner's and is refused. So is, with the way out, one
// of ours that was killed in the milliseconds between attaching and writing: nothing tells it from a
// stranger's.
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

  // Before the device is opened: detaches what a killed run of ours left on `interface`. Throws PortError
  // when a program of somebody else's is there.
  void make_room(const std::string& interface);
  // After it was opened: remembers the program for the next run, and its map.
  void adopt(const std::string& interface);

  // Redirects requests to exactly `addresses` at `port`. Returns one sentence for each that failed.
  std::vector<std::string> follow(std::span<const shm::Address> addresses, std::uint16_t port);

 private:
  [[nodiscard]] std::filesystem::path record_of(const std::string& interface) const;

  std::filesystem::path directory_;
  std::vector<std::string> interfaces_;
  std::vector<int> maps_;  // of served pairs, one per program; descriptors of the driver's, not ours to close
};

// The embedded program as a file that the driver can open by path: "/proc/self/fd/N". Made once, kept open.
[[nodiscard]] std::string xdp_object_path();

}  // namespace dataplane
