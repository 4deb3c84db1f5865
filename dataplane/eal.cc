#include "dataplane/eal.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <sstream>

namespace dataplane {
namespace {

// EAL's own log, in memory: shown only when something fails, so that a good start is one line.
class Messages {
 public:
  Messages() : stream_(open_memstream(&text_, &bytes_)) {}
  ~Messages() {
    if (stream_ != nullptr) std::fclose(stream_);
    std::free(text_);
  }
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;

  [[nodiscard]] std::FILE* stream() const noexcept { return stream_; }

  std::string take() {
    if (stream_ == nullptr) return {};
    std::fflush(stream_);
    std::string taken(text_ + taken_bytes_, bytes_ - taken_bytes_);
    taken_bytes_ = bytes_;
    while (!taken.empty() && taken.back() == '\n') taken.pop_back();
    for (char& c : taken) {
      if (c == '\n') c = '|';
    }
    return taken;
  }

 private:
  char* text_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t taken_bytes_ = 0;
  std::FILE* stream_;
};

Messages& messages() {
  static Messages kept;
  return kept;
}

// "0-3,8": the CPUs this process may run on.
std::string allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::string list;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    if (!list.empty()) list += ',';
    list += std::to_string(cpu);
  }
  return list;
}

void require_cores(const std::vector<std::uint32_t>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) throw EalError("this system does not tell its CPUs");
  for (const std::uint32_t cpu : cores) {
    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &set)) {
      throw EalError("CPU " + std::to_string(cpu) + " is not one this process may use (" + allowed_cpus() +
                     "); change dataplane.cores");
    }
    if (std::count(cores.begin(), cores.end(), cpu) != 1) {
      throw EalError("CPU " + std::to_string(cpu) + " stands twice in dataplane.cores; name each once");
    }
  }
}

// lcore 0 is the main thread on all CPUs, lcore n + 1 is worker n on its own.
std::string lcore_map(const std::vector<std::uint32_t>& cores) {
  std::ostringstream map;
  map << "0@(" << allowed_cpus() << ')';
  for (std::size_t i = 0; i < cores.size(); ++i) map << ',' << Eal::lcore_of_worker(i) << '@' << cores[i];
  return map.str();
}

}  // namespace

Eal::Eal(const EalOptions& options) {
  require_cores(options.cores);
  // The prefix may be one for all: neither mode leaves or locks a file under it, only an empty directory.
  std::vector<std::string> words = {"noonmark-dataplane",
                                    "--lcores",
                                    lcore_map(options.cores),
                                    "--main-lcore",
                                    "0",
                                    "--no-telemetry",
                                    "--file-prefix",
                                    "noonmark",
                                    "--log-level",
                                    "*:error"};
  if (options.few_files) words.emplace_back("--single-file-segments");
  if (options.pci_devices.empty()) words.emplace_back("--no-pci");
  for (const std::string& device : options.pci_devices) words.insert(words.end(), {"-a", device});
  if (options.hugepages) {
    words.emplace_back("--in-memory");
  } else {
    // In 22.11 --no-huge and --in-memory exclude each other; --no-shconf leaves no file either.
    words.insert(words.end(), {"--no-huge", "--no-shconf", "-m", std::to_string(options.memory_mib)});
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());
  if (messages().stream() != nullptr) rte_openlog_stream(messages().stream());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
    const int error = rte_errno;
    throw EalError(std::string("DPDK does not start: ") + rte_strerror(error) + " (" + take_eal_messages() +
                   "); " +
                   (options.hugepages ? "see /proc/meminfo for free hugepages, or set memory = \"ordinary\""
                                      : "see that " + std::to_string(options.memory_mib) + " MiB are free"));
  }
}

Eal::~Eal() { static_cast<void>(rte_eal_cleanup()); }

std::string take_eal_messages() { return messages().take(); }

std::uint64_t free_hugepage_bytes() {
  std::ifstream file("/proc/meminfo");
  std::uint64_t pages = 0;
  std::uint64_t page_kib = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "HugePages_Free:") words >> pages;
    if (name == "Hugepagesize:") words >> page_kib;
  }
  return pages * page_kib * 1024;
}

}  // namespace dataplane
