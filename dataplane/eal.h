// DPDK's environment: started once per process, quiet, leaving nothing behind.
//
// No secondary processes, no telemetry socket, no files in hugetlbfs: a killed process returns every page at
// once, and nobody can attach. The main thread floats over the CPUs it was given; each worker is pinned.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace dataplane {

// One sentence that says what this machine lacks and what to do.
class EalError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct EalOptions {
  std::vector<std::uint32_t> cores;  // CPU of each worker; may be empty in tests
  bool hugepages = false;
  std::uint32_t memory_mib = 64;  // for the buffers, when without hugepages
  // All memory in few files, as a virtio-user port needs that hands them to another process.
  bool few_files = false;
  // "0000:3b:00.0,options": the PCI devices to open, and no other is looked at.
  std::vector<std::string> pci_devices;
};

class Eal {
 public:
  explicit Eal(const EalOptions& options);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  // The lcore of worker `number`, as rte_eal_remote_launch wants it.
  [[nodiscard]] static unsigned lcore_of_worker(std::size_t number) noexcept {
    return static_cast<unsigned>(number) + 1;
  }
};

// What EAL and the drivers said since the last call, on one line; empty when they were quiet. Errors of
// drivers are worth more than their return codes.
[[nodiscard]] std::string take_eal_messages();

// Free hugepage memory of this machine, of the default size.
[[nodiscard]] std::uint64_t free_hugepage_bytes();

}  // namespace dataplane
