#include "control/port_rights.h"

#include <algorithm>
#include <linux/capability.h>
#include <string_view>

namespace control {
namespace {

struct Needs {
  std::string_view device;  // how it begins in the config
  std::vector<unsigned> capabilities;
};

// RAW: packet sockets. ADMIN: the interface's flags and address, which the drivers set at every start, and a
// tap of one's own. BPF: XDP programs and their maps. IPC_LOCK: frames in memory that is locked for the
// kernel or for the card.
const std::vector<Needs>& needs() {
  static const std::vector<Needs> all = {
      {"af_packet:", {CAP_NET_RAW, CAP_NET_ADMIN}},
      {"af_xdp:", {CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_IPC_LOCK}},
      {"pci:", {CAP_IPC_LOCK}},
      {"vdev:net_af_packet", {CAP_NET_RAW, CAP_NET_ADMIN}},
      {"vdev:net_af_xdp", {CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_IPC_LOCK}},
      {"vdev:net_pcap", {CAP_NET_RAW}},
      {"vdev:net_tap", {CAP_NET_ADMIN}},
  };
  return all;
}

bool is_bifurcated(std::string_view device, const shm::MachineRoots& roots) {
  constexpr std::string_view kind = "pci:";
  shm::PciName name;
  return device.starts_with(kind) && shm::read_pci_name(device.substr(kind.size()), name) &&
         shm::look_at_pci_device(name.address, roots).is_bifurcated();
}

}  // namespace

std::vector<unsigned> dataplane_capabilities(const Config& config, const shm::MachineRoots& roots) {
  std::vector<unsigned> all;
  const auto add = [&](const std::vector<unsigned>& some) {
    for (const unsigned one : some) {
      if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
    }
  };
  for (const std::string& device : config.dataplane.devices) {
    for (const Needs& kind : needs()) {
      if (device.starts_with(kind.device)) add(kind.capabilities);
    }
    if (is_bifurcated(device, roots))
      add({CAP_NET_RAW, CAP_NET_ADMIN});  // queues and flow rules beside the kernel's driver
    if (shm::has_twin(config.dataplane.host_twin, device, roots)) add({CAP_NET_ADMIN});
    // For the sockets that keep the kernel from answering at our port (kernel_guard.h).
    if (device.starts_with("af_packet:") && config.server.ntp_port < unprivileged_port_min) {
      add({CAP_NET_BIND_SERVICE});
    }
  }
  return all;
}

}  // namespace control
