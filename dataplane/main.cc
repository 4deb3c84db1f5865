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
#include <net/if.h>
#include <optional>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <sodium.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <systemd/sd-daemon.h>

#include "dataplane/eal.h"
#include "dataplane/machine.h"
#include "dataplane/options.h"
#include "dataplane/page_watch.h"
#include "dataplane/port/kernel_guard.h"
#include "dataplane/port/kernel_interface.h"
#include "dataplane/port/port.h"
#include "dataplane/port/xdp_redirects.h"
#include "dataplane/service.h"
#include "dataplane/shm/segment.h"
#include "dataplane/worker.h"

namespace dataplane {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

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
    const timespec time{timeout.count() / 1000, timeout.count() % 1000 * 1'000'000};
    if (sigtimedwait(&set_, nullptr, &time) > 0) has_come_ = true;
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
  options.hugepages = settings.memory == shm::Memory::hugepages ||
                      (settings.memory == shm::Memory::automatic && free >= needed);
  if (options.hugepages && free < needed) {
    throw MachineError(
        std::to_string(free / mib) + " MiB of hugepages are free and " + std::to_string(options.memory_mib) +
        " MiB are needed; write more into /proc/sys/vm/nr_hugepages, or set memory = \"ordinary\"");
  }
  return options;
}

using Ports = std::vector<std::unique_ptr<Port>>;

Ports open_ports(const shm::Settings& settings, const BufferPool& buffers, XdpRedirects& redirects) {
  Ports ports;
  for (std::uint32_t i = 0; i < settings.device_count; ++i) {
    const DeviceName name = parse_device(settings.devices[i]);
    const std::string interface(name.kind == "af_xdp" ? name.rest : "");
    try {
      if (!interface.empty()) redirects.make_room(interface);
      ports.push_back(std::make_unique<Port>(settings.devices[i], i,
                                             static_cast<std::uint16_t>(settings.core_count), buffers));
      if (!interface.empty()) redirects.adopt(interface);
    } catch (const PortError& error) {
      const std::string driver_says = take_eal_messages();
      throw PortError(error.what() + (driver_says.empty() ? "" : " (the driver says: " + driver_says + ")"));
    }
  }
  return ports;
}

std::vector<Queue> queues_of_worker(const Ports& ports, std::uint16_t worker) {
  std::vector<Queue> queues;
  for (const auto& port : ports) {
    if (worker < port->queue_count()) queues.push_back(port->queue(worker));
  }
  if (queues.empty()) {
    throw PortError("worker " + std::to_string(worker + 1) +
                    " would have no queue, because no device has so many; name fewer dataplane.cores");
  }
  return queues;
}

// Those of the ports that stand on one.
std::vector<KernelInterface> kernel_interfaces(const Ports& ports) {
  std::vector<KernelInterface> interfaces;
  for (const auto& port : ports) {
    if (!port->interface().empty()) interfaces.emplace_back(port->interface(), port->mac());
  }
  return interfaces;
}

std::unique_ptr<KernelGuard> make_guard(const Ports& ports) {
  std::vector<unsigned> indexes;
  for (const auto& port : ports) {
    if (port->kernel_sees_requests()) indexes.push_back(if_nametoindex(port->interface().c_str()));
  }
  return indexes.empty() ? nullptr : std::make_unique<KernelGuard>(std::move(indexes));
}

void require_unchanged(const std::vector<KernelInterface>& interfaces) {
  for (const KernelInterface& interface : interfaces) {
    if (const std::string fault = interface.fault(); !fault.empty()) {
      throw PortError(fault + "; ending, so that the next start opens it as it is");
    }
  }
}

// The two that say to the kernel which requests are ours. Returns one sentence for each failure.
std::vector<std::string> follow(KernelGuard* guard, XdpRedirects& redirects, const shm::Settings& settings) {
  const auto addresses = std::span(settings.addresses).first(settings.address_count);
  std::vector<std::string> failures = redirects.follow(addresses, settings.ntp_port);
  if (guard == nullptr) return failures;
  const std::vector<std::string> more = guard->follow(addresses, settings.ntp_port);
  failures.insert(failures.end(), more.begin(), more.end());
  return failures;
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

// Everything in the stats page that is no counter.
void introduce(shm::StatsPage& page, std::uint64_t instance_id, const shm::Settings& settings,
               const nts::siv::Kernels& tier, const Ports& ports) {
  page.serving.store(0);
  page.instance_id.store(instance_id);
  page.pid.store(static_cast<std::uint64_t>(getpid()));
  page.started_unix_s.store(static_cast<std::uint64_t>(std::time(nullptr)));
  page.tsc_hz.store(rte_get_tsc_hz());
  page.core_count.store(settings.core_count);
  store_text(page.tier_name, tier.name);
  store_text(page.tier_instruction_sets, tier.instruction_sets);
  for (std::size_t i = 0; i < shm::devices_max; ++i) {
    store_text(page.ports[i], i < ports.size() ? ports[i]->description() : "");
  }
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
         running.memory != wanted.memory ||
         std::memcmp(running.siv_tier, wanted.siv_tier, sizeof wanted.siv_tier) != 0 ||
         std::memcmp(running.cores, wanted.cores, sizeof(std::uint32_t) * wanted.core_count) != 0 ||
         std::memcmp(running.devices, wanted.devices, sizeof wanted.devices[0] * wanted.device_count) != 0;
}

// The main thread's days: until a signal comes. Throws PortError when an interface is no longer the one that
// was opened.
void watch_over(PageWatch& watch, StopSignals& signals, const shm::Settings& started, KernelGuard* guard,
                const std::vector<KernelInterface>& interfaces, XdpRedirects& redirects,
                const std::vector<std::unique_ptr<Worker>>& workers, const shm::StatsPage& stats) {
  Watchdog watchdog;
  shm::Settings settings = started;
  bool has_told_restart = false;
  bool guard_is_incomplete = false;
  Clock::time_point guarded = Clock::now();
  Clock::time_point interfaces_seen = Clock::now();
  while (!signals.wait(look_interval)) {
    if (watch.look()) say("a page was attached");
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
        say("devices, cores, memory or tier changed in the settings; restart the dataplane to use them");
        has_told_restart = true;
      }
    }
    const bool retry = guard_is_incomplete && Clock::now() - guarded >= guard_retry_interval;
    if (is_new || retry) {
      const std::vector<std::string> failures = follow(guard, redirects, settings);
      if (is_new) std::for_each(failures.begin(), failures.end(), say);
      guard_is_incomplete = !failures.empty();
      guarded = Clock::now();
    }
    if (Clock::now() - interfaces_seen >= interface_look_interval) {
      require_unchanged(interfaces);
      interfaces_seen = Clock::now();
    }
    watchdog.look(stats, workers.size());
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
  const nts::siv::Kernels& tier = require_tier(*settings);
  auto stats = shm::Segment<shm::StatsPage>::open_writable(options.pages, getgid());

  const std::uint32_t queues = settings->core_count * settings->device_count;
  const Eal eal(eal_options(*settings, queues));
  forbid_dumps();
  const BufferPool buffers("frames", queues);
  XdpRedirects redirects(options.pages / "dataplane");  // outlives the ports: they detach what it remembers
  const Ports ports = open_ports(*settings, buffers, redirects);
  const std::vector<KernelInterface> interfaces = kernel_interfaces(ports);
  const std::unique_ptr<KernelGuard> guard = make_guard(ports);
  // At start an address that is taken is the operator's to solve: two servers on one port help nobody.
  if (const std::vector<std::string> failures = follow(guard.get(), redirects, *settings);
      !failures.empty()) {
    throw PortError(failures.front());
  }

  const std::uint64_t instance_id = new_instance_id();
  introduce(*stats, instance_id, *settings, tier, ports);
  std::vector<std::unique_ptr<Worker>> workers;
  for (std::uint16_t i = 0; i < settings->core_count; ++i) {
    workers.push_back(std::make_unique<Worker>(WorkerSetup{&tier, &watch.current(), &stats->cores[i],
                                                           instance_id, settings->cores[i], rte_get_tsc_hz(),
                                                           queues_of_worker(ports, i)}));
  }
  watch.look();  // EAL took a tenth of a second: the first packet meets the pages that are there now
  {
    const RunningWorkers running(workers);
    stats->serving.store(1);
    sd_notify(0, "READY=1");
    for (const auto& port : ports) say("serving on " + port->description());
    say(std::string("crypto ") + tier.name + ", cores " + std::to_string(settings->core_count));
    for (const std::string& trouble : watch.troubles()) say(trouble + "; serving without it until then");
    watch_over(watch, signals, *settings, guard.get(), interfaces, redirects, workers, *stats);
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
