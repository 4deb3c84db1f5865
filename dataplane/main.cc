// noonmark-dataplane: settings, EAL, ports, one worker per core. Reads as a table of contents.
//
// The main thread never touches a packet. It watches the pages, keeps the kernel quiet on our addresses and
// tells systemd that the workers live; all of it can wait, and none of it is waited for.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <optional>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <sodium.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <systemd/sd-daemon.h>

#include "dataplane/duties.h"
#include "dataplane/eal.h"
#include "dataplane/kernel_side.h"
#include "dataplane/machine.h"
#include "dataplane/options.h"
#include "dataplane/page_watch.h"
#include "dataplane/port/capabilities.h"
#include "dataplane/port/port.h"
#include "dataplane/service.h"
#include "dataplane/shm/failpoint.h"
#include "dataplane/shm/host_twin.h"
#include "dataplane/shm/segment.h"
#include "dataplane/worker.h"

namespace dataplane {
namespace {

namespace failpoint = shm::failpoint;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The kernel refuses NTP at a new address until we have told it otherwise.
constexpr milliseconds settings_look_interval{20};
constexpr milliseconds look_interval{100};
constexpr milliseconds guard_retry_interval{1000};
constexpr milliseconds interface_look_interval{1000};

void say(const std::string& sentence) { std::fprintf(stderr, "noonmark-dataplane: %s\n", sentence.c_str()); }

// SIGTERM and SIGINT, taken by the main thread when it looks. Made before any other thread exists.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  // Waits at most `timeout`. True once a signal has come.
  [[nodiscard]] bool wait(milliseconds timeout) {
    // A twin's driver tells of the kernel's frames by signals of its own, which end the call: wait on.
    const Clock::time_point deadline = Clock::now() + timeout;
    do {
      const auto left = std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline - Clock::now()));
      const timespec time{left.count() / 1000, left.count() % 1000 * 1'000'000};
      if (sigtimedwait(&set_, nullptr, &time) > 0) has_come_ = true;
    } while (!has_come_ && Clock::now() < deadline);
    return has_come_;
  }

 private:
  sigset_t set_;
  bool has_come_ = false;
};

// Nothing when a signal came first.
std::optional<shm::Settings> wait_for_settings(PageWatch& watch, StopSignals& signals, unsigned wait_s) {
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(wait_s);
  std::string trouble;
  while (true) {
    watch.look();
    watch.forget_replaced();  // nobody reads yet, and the watch keeps a few only
    shm::Settings settings;
    std::uint64_t generation = 0;
    if (watch.pages().settings != nullptr && watch.pages().settings->settings.read(settings, generation)) {
      if (is_valid(settings)) return settings;
      trouble = "the settings page holds settings out of range";
    } else if (const std::vector<std::string> troubles = watch.troubles(); !troubles.empty()) {
      trouble = troubles.front();
    } else {
      trouble = "the settings page holds no settings yet";
    }
    if (Clock::now() >= deadline) {
      throw MachineError("no settings to serve by: " + trouble +
                         "; start the admin role first, or give --wait-s");
    }
    if (signals.wait(look_interval)) return std::nullopt;
  }
}

EalOptions eal_options(const shm::Settings& settings, std::uint32_t queues) {
  constexpr std::uint64_t mib = std::uint64_t{1} << 20;
  constexpr std::uint64_t spare = 48 * mib;  // rings, device structures and EAL's own tables
  const std::uint64_t needed = BufferPool::bytes_for(queues) + spare;
  const std::uint64_t free = free_hugepage_bytes();
  EalOptions options;
  options.cores.assign(settings.cores, settings.cores + settings.core_count);
  options.memory_mib = static_cast<std::uint32_t>((needed + mib - 1) / mib);
  for (const auto& device : std::span(settings.devices).first(settings.device_count)) {
    const DeviceName name = parse_device(device);
    if (name.kind == "pci") options.pci_devices.push_back(require_pci_device(name.rest));
    if (name.kind == "vdev" && name.rest.starts_with("net_virtio_user")) options.few_files = true;
  }
  options.hugepages = settings.memory == shm::Memory::hugepages ||
                      (settings.memory == shm::Memory::automatic && free >= needed);
  if (!options.hugepages && !options.pci_devices.empty()) {
    throw MachineError("a pci: device reads memory by itself and needs hugepages; " +
                       std::to_string(options.memory_mib) + " MiB of them (/proc/sys/vm/nr_hugepages), " +
                       "and memory = \"auto\" or \"hugepages\"");
  }
  if (options.hugepages && free < needed) {
    throw MachineError(
        std::to_string(free / mib) + " MiB of hugepages are free and " + std::to_string(options.memory_mib) +
        " MiB are needed; write more into /proc/sys/vm/nr_hugepages, or set memory = \"ordinary\"");
  }
  return options;
}

using Ports = std::vector<std::unique_ptr<Port>>;

Ports open_ports(const shm::Settings& settings, const BufferPool& buffers, KernelSide& kernel) {
  Ports ports;
  for (std::uint32_t i = 0; i < settings.device_count; ++i) {
    try {
      kernel.make_room(settings.devices[i]);
      ports.push_back(std::make_unique<Port>(
          settings.devices[i], i, static_cast<std::uint16_t>(settings.core_count), buffers,
          PortPlan{shm::has_twin(settings.host_twin, settings.devices[i]), settings.ntp_port}));
      failpoint::reach("dataplane.port_opened");  // an XDP program is attached and not yet written down
      const std::vector<std::string> troubles = kernel.adopt(*ports.back(), settings.devices[i], i);
      std::for_each(troubles.begin(), troubles.end(), say);
    } catch (const PortError& error) {
      const std::string driver_says = take_eal_messages();
      throw PortError(error.what() + (driver_says.empty() ? "" : " (the driver says: " + driver_says + ")"));
    }
  }
  return ports;
}

// For each worker its queue of each port that has one for it.
std::vector<Share> share_queues(const Ports& ports, std::uint32_t workers) {
  std::vector<Share> shares(workers);
  for (std::uint16_t worker = 0; worker < workers; ++worker) {
    Share& share = shares[worker];
    for (std::uint32_t device = 0; device < ports.size(); ++device) {
      if (worker >= ports[device]->queue_count()) continue;
      share.queues.push_back(ports[device]->queue(worker));
      share.devices.push_back(device);
    }
    if (share.queues.empty()) {
      throw PortError("worker " + std::to_string(worker + 1) +
                      " would have no queue, because no device has so many; name fewer dataplane.cores");
    }
  }
  return shares;
}

std::uint64_t new_instance_id() {
  std::uint64_t id = 0;
  while (id == 0) randombytes_buf(&id, sizeof id);
  return id;
}

template <std::size_t Bytes>
void store_text(char (&field)[Bytes], const std::string& text) {
  std::memset(field, 0, Bytes);
  std::memcpy(field, text.data(), std::min(text.size(), Bytes - 1));
}

// Of a port on a kernel's interface, the kernel knows better than DPDK's driver whether it is up
// (kernel_side).
void report_links(const Ports& ports, shm::StatsPage& page) {
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const Link link = link_of(ports[i]->port_id());
    if (ports[i]->interface().empty()) {
      page.ports[i].link_is_up.store(link.is_up ? 1 : 0, std::memory_order_relaxed);
    }
    page.ports[i].link_mbps.store(link.mbps, std::memory_order_relaxed);
  }
}

// Everything in the stats page that is no counter.
void introduce(shm::StatsPage& page, std::uint64_t instance_id, const shm::Settings& settings,
               const nts::AeadKernels& tiers, const Ports& ports) {
  page.serving.store(0);
  page.instance_id.store(instance_id);
  page.pid.store(static_cast<std::uint64_t>(getpid()));
  page.started_unix_s.store(static_cast<std::uint64_t>(std::time(nullptr)));
  page.tsc_hz.store(rte_get_tsc_hz());
  page.core_count.store(settings.core_count);
  store_text(page.tier_name, tiers.siv->name);
  store_text(page.tier_instruction_sets, tiers.siv->instruction_sets);
  for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
    const auto store = [&](const auto& tier) {
      store_text(page.aead_tiers[row].name, tier.name);
      store_text(page.aead_tiers[row].instruction_sets, tier.instruction_sets);
    };
    const nts::siv::Kernels* const siv = tiers.siv_of(static_cast<nts::AeadRow>(row));
    siv != nullptr ? store(*siv) : store(*tiers.gcm_siv);
  }
  for (std::size_t i = 0; i < shm::devices_max; ++i) {
    page.ports[i].report = i < ports.size() ? ports[i]->report() : shm::PortReport{};
    page.ports[i].link_is_up.store(i < ports.size() ? 1 : 0, std::memory_order_relaxed);
  }
  report_links(ports, page);
  for (std::size_t i = settings.core_count; i < shm::cores_max; ++i) claim(page.cores[i], 0, 0);
}

// The workers on their cores. Stops and joins them when it goes.
class RunningWorkers {
 public:
  explicit RunningWorkers(const std::vector<std::unique_ptr<Worker>>& workers) {
    launches_.reserve(workers.size());
    for (const auto& worker : workers) launches_.push_back({worker.get(), &stop_});
    for (std::size_t i = 0; i < launches_.size(); ++i) {
      rte_eal_remote_launch(run, &launches_[i], Eal::lcore_of_worker(i));
    }
  }
  ~RunningWorkers() {
    stop_.store(true);
    for (std::size_t i = 0; i < launches_.size(); ++i) rte_eal_wait_lcore(Eal::lcore_of_worker(i));
  }
  RunningWorkers(const RunningWorkers&) = delete;
  RunningWorkers& operator=(const RunningWorkers&) = delete;

 private:
  struct Launch {
    Worker* worker;
    const std::atomic<bool>* stop;
  };
  static int run(void* argument) {
    const auto* launch = static_cast<const Launch*>(argument);
    launch->worker->run(*launch->stop);
    return 0;
  }
  std::atomic<bool> stop_{false};
  std::vector<Launch> launches_;
};

// Pats systemd's watchdog while every worker gives signs of life, and only then.
class Watchdog {
 public:
  Watchdog() {
    std::uint64_t timeout_us = 0;
    if (sd_watchdog_enabled(0, &timeout_us) > 0) interval_ = std::chrono::microseconds(timeout_us / 2);
  }
  void look(const shm::StatsPage& page, std::size_t workers) {
    if (interval_.count() == 0 || Clock::now() - patted_ < interval_ / 2) return;
    bool all_moved = true;
    for (std::size_t i = 0; i < workers; ++i) {
      const std::uint64_t heartbeat = page.cores[i].heartbeat_tsc.load(std::memory_order_acquire);
      all_moved &= heartbeat != seen_[i];
      seen_[i] = heartbeat;
    }
    if (!all_moved) return;
    patted_ = Clock::now();
    sd_notify(0, "WATCHDOG=1");
  }

 private:
  std::chrono::microseconds interval_{0};
  Clock::time_point patted_{};
  std::array<std::uint64_t, shm::cores_max> seen_{};
};

// What was read once at start and differs now waits for a restart; the operator is told.
bool needs_restart(const shm::Settings& running, const shm::Settings& wanted) {
  return running.device_count != wanted.device_count || running.core_count != wanted.core_count ||
         running.memory != wanted.memory || running.host_twin != wanted.host_twin ||
         std::memcmp(running.siv_tier, wanted.siv_tier, sizeof wanted.siv_tier) != 0 ||
         std::memcmp(running.cores, wanted.cores, sizeof(std::uint32_t) * wanted.core_count) != 0 ||
         std::memcmp(running.devices, wanted.devices, sizeof wanted.devices[0] * wanted.device_count) != 0;
}

// Tells the kernel, and the operator what of it failed; true when nothing did.
bool follow(KernelSide& kernel, const shm::Settings& settings, bool is_news) {
  const KernelSide::Outcome outcome = kernel.follow(settings);
  if (is_news) std::for_each(outcome.failures.begin(), outcome.failures.end(), say);
  if (is_news) std::for_each(outcome.troubles.begin(), outcome.troubles.end(), say);
  return outcome.failures.empty() && outcome.troubles.empty();
}

// Serving does not depend on the file: what stands in the way of it is said once. But one that was cut short
// is still ours and read by nobody: then only a next start helps. Throws shm::CutPageError.
void keep_file(shm::Segment<shm::StatsPage>& stats, bool& has_told) {
  try {
    if (stats.put_back()) say("the stats page was gone and is made again");
    has_told = false;
  } catch (const shm::CutPageError&) {
    throw;
  } catch (const shm::SegmentError& error) {
    if (!has_told) say(error.what());
    has_told = true;
  }
}

// The main thread's days: until a signal comes. Throws PortError when an interface is no longer the one that
// was opened, and shm::CutPageError.
void watch_over(PageWatch& watch, StopSignals& signals, const shm::Settings& started, KernelSide& kernel,
                const std::vector<std::unique_ptr<Worker>>& workers, Duties& duties, const Ports& ports,
                shm::Segment<shm::StatsPage>& stats) {
  Watchdog watchdog;
  shm::Settings settings = started;
  bool has_told_restart = false;
  bool has_told_page = false;
  bool kernel_follows = true;
  Clock::time_point followed = Clock::now();
  Clock::time_point pages_seen = Clock::now();
  Clock::time_point interfaces_seen{};
  while (!signals.wait(settings_look_interval)) {
    const bool is_time_for_pages = Clock::now() - pages_seen >= look_interval;
    if (is_time_for_pages) {
      pages_seen = Clock::now();
      if (watch.look()) say("a page was attached");
    }
    const PageSet* current = watch.current().load();
    const bool all_moved = std::all_of(workers.begin(), workers.end(),
                                       [&](const auto& worker) { return worker->pages_in_use() == current; });
    if (all_moved && watch.has_replaced()) watch.forget_replaced();

    shm::Settings wanted;
    std::uint64_t generation = 0;
    const bool has_settings = current->settings != nullptr &&
                              current->settings->settings.read(wanted, generation) && is_valid(wanted);
    const bool is_new = has_settings && wanted.revision != settings.revision;
    if (is_new) {
      settings = wanted;
      if (needs_restart(started, settings) && !has_told_restart) {
        say("devices, cores, memory, tier or host_twin changed in the settings; restart Noonmark to use "
            "them");
        has_told_restart = true;
      }
    }
    duties.follow(drained_workers(settings, stats->instance_id.load(), workers.size()));
    const bool retry = !kernel_follows && Clock::now() - followed >= guard_retry_interval;
    if (is_new || retry) {
      kernel_follows = follow(kernel, settings, is_new);
      followed = Clock::now();
    }
    if (Clock::now() - interfaces_seen >= interface_look_interval) {
      report_links(ports, *stats);
      const std::vector<std::string> news = kernel.look(stats->ports);
      std::for_each(news.begin(), news.end(), say);
      interfaces_seen = Clock::now();
      keep_file(stats, has_told_page);
    }
    watchdog.look(*stats, workers.size());
  }
}

void serve(const Options& options) {
  StopSignals signals;
  require_invariant_tsc();
  if (sodium_init() < 0)
    throw MachineError("libsodium does not start; see that the kernel gives random numbers");

  PageWatch watch(options.pages, options.writers);
  const std::optional<shm::Settings> settings = wait_for_settings(watch, signals, options.wait_s);
  if (!settings) return;
  failpoint::reach("dataplane.settings_read");
  const nts::siv::Kernels& tier = require_tier(*settings);
  const nts::gcm_siv::Kernels& gcm_siv_tier = require_gcm_siv_tier(*settings);
  const nts::siv::Kernels& siv_384_tier = require_long_key_tier(*settings, nts::siv::key_bytes_384);
  const nts::siv::Kernels& siv_512_tier = require_long_key_tier(*settings, nts::siv::key_bytes_512);
  auto stats = shm::Segment<shm::StatsPage>::open_writable(options.pages, getgid());
  failpoint::reach("dataplane.stats_opened");

  const std::uint32_t queues = settings->core_count * settings->device_count;
  const Eal eal(eal_options(*settings, queues));
  forbid_dumps();
  const BufferPool buffers("frames", queues);
  KernelSide kernel(options.pages / "dataplane");  // outlives the ports: they detach what it remembers
  const Ports ports = open_ports(*settings, buffers, kernel);
  const KernelSide::Outcome outcome = kernel.follow(*settings);
  // At start an address that is taken is the operator's to solve: two servers on one port help nobody.
  if (!outcome.failures.empty()) throw PortError(outcome.failures.front());
  std::for_each(outcome.troubles.begin(), outcome.troubles.end(), say);

  const std::uint64_t instance_id = new_instance_id();
  introduce(*stats, instance_id, *settings, {tier, &gcm_siv_tier, &siv_384_tier, &siv_512_tier}, ports);
  failpoint::reach("dataplane.introduced");
  Duties duties(share_queues(ports, settings->core_count));
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::uint16_t i = 0; i < settings->core_count; ++i) {
    WorkerSetup setup{
        &tier, &watch.current(), &stats->cores[i], instance_id, settings->cores[i], rte_get_tsc_hz(), {}, {}};
    setup.gcm_siv_tier = &gcm_siv_tier;
    setup.siv_384_tier = &siv_384_tier;
    setup.siv_512_tier = &siv_512_tier;
    setup.limited_sources = settings->rate_limit.sources;
    randombytes_buf(setup.limit_seed.data(), sizeof setup.limit_seed);
    setup.duties = &duties;
    setup.number = i;
    workers.push_back(std::make_unique<Worker>(setup));
  }
  watch.look();  // EAL took a tenth of a second: the first packet meets the pages that are there now
  {
    const RunningWorkers running(workers);
    stats->serving.store(1);
    failpoint::reach("dataplane.serving");
    sd_notify(0, "READY=1");
    for (const auto& port : ports) say("serving on " + port->description());
    say(std::string("crypto ") + tier.name + " and " + gcm_siv_tier.name + ", cores " +
        std::to_string(settings->core_count));
    for (const std::string& trouble : watch.troubles()) say(trouble + "; serving without it until then");
    watch_over(watch, signals, *settings, kernel, workers, duties, ports, stats);
    sd_notify(0, "STOPPING=1");
  }
  stats->serving.store(0);
}

}  // namespace
}  // namespace dataplane

int main(int count, char** words) {
  try {
    const dataplane::Options options = dataplane::parse_options(count, words);
    if (options.help) {
      std::fwrite(dataplane::usage.data(), 1, dataplane::usage.size(), stdout);
      return 0;
    }
    dataplane::serve(options);
    return 0;
  } catch (const dataplane::OptionsError& error) {
    dataplane::say(error.what());
    return 2;
  } catch (const std::exception& error) {
    dataplane::say(error.what());
    return 1;
  }
}
