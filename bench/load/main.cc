// The load generator's program. `load --help` explains the words; standard output holds name=value lines
// alone, standard error what is for people.
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <rte_vhost.h>
#include <sched.h>
#include <string>
#include <string_view>

#include "bench/load/command_line.h"
#include "bench/load/session.h"
#include "dataplane/eal.h"
#include "dataplane/random_pool.h"

namespace {

using namespace bench::load;

std::atomic<bool> stop{false};
void on_signal(int) { stop.store(true); }

std::chrono::milliseconds ms_of(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

void stay_on(std::uint32_t core) {
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(core, &here);
  if (sched_setaffinity(0, sizeof here, &here) != 0) throw UsageError("--core is no CPU of ours");
}

// The load itself, whatever carries it. Returns the exit code.
int load_through(Transport& transport, const Words& words, const Session* session,
                 const nts::siv::Kernels& tier) {
  dataplane::RandomPool random(tier);
  Generator generator(transport, words.plan, session, tier, random);
  if (!generator.wait_for_server(ms_of(words.wait_seconds), stop)) {
    std::fputs(generator.report().table().c_str(), stderr);
    std::string seen;
    for (std::size_t i = 1; i < fault_names.size(); ++i) {
      if (generator.report().faults[i] != 0) seen += " " + std::string(fault_names[i]);
    }
    throw std::runtime_error("no good answer came" +
                             (seen.empty() ? std::string() : "; wrong ones did:" + seen));
  }
  std::printf("%sbegun=1\n", words.prefix.c_str());  // for whoever counts what the server spends on it
  std::fflush(stdout);
  const Report report = generator.run(stop);
  std::fputs(report.table().c_str(), stderr);
  std::fputs(report.lines(words.prefix).c_str(), stdout);
  return report.wrong == 0 && report.answered != 0 ? 0 : 1;
}

int load_by_sockets(const Words& words, const Session* session, const nts::siv::Kernels& tier) {
  stay_on(words.core);
  SocketTransport transport(socket_plan(words));
  return load_through(transport, words, session, tier);
}

// A vhost-user port of ours would let the server's virtio port leave its UDP checksums to nobody: between two
// processes none is ever computed. Not offered, they are the server's work, and are verified here. A server
// that is already connected keeps what it was offered.
void leave_checksums_to_the_server(const std::string& device) {
  constexpr std::string_view key = "iface=";
  constexpr std::uint64_t device_takes_partial_checksums = 1;  // VIRTIO 1.1 section 5.1.3, VIRTIO_NET_F_CSUM
  const std::size_t at = device.find(key);
  if (!device.starts_with("vdev:net_vhost") || at == std::string::npos) return;
  const std::string path = device.substr(at + key.size(), device.find(',', at) - at - key.size());
  if (rte_vhost_driver_disable_features(path.c_str(), device_takes_partial_checksums) != 0)
    throw std::runtime_error("DPDK does not take the checksums from the vhost-user port");
}

int load_by_dpdk(const Words& words, const Session* session, const nts::siv::Kernels& tier) {
  const DpdkPlan plan = dpdk_plan(words);
  dataplane::EalOptions options;
  options.hugepages = !words.ordinary_memory && dataplane::free_hugepage_bytes() >= std::uint64_t{64} << 20;
  options.few_files = true;
  const dataplane::DeviceName name = dataplane::parse_device(words.device);
  if (name.kind == "pci") options.pci_devices.push_back(dataplane::require_pci_device(name.rest));
  options.cores = {words.core};
  const dataplane::Eal eal(options);
  stay_on(words.core);
  const dataplane::BufferPool buffers("load", 2);
  const dataplane::Port port(words.device, 0, 1, buffers);
  leave_checksums_to_the_server(words.device);
  DpdkTransport transport(port, buffers, plan);
  return load_through(transport, words, session, tier);
}

// No bound holds what is no number.
void require_numbers(const Words& words) {
  for (const double value : {words.seconds, words.wait_seconds, words.tolerance_seconds, words.plan.rate}) {
    if (std::isnan(value))
      throw UsageError("\"nan\" is no number for --seconds, --wait, --tolerance or --rate");
  }
}

int load(Words& words) {
  require_numbers(words);
  words.plan.duration = ms_of(words.seconds);
  words.plan.tolerance = ms_of(words.tolerance_seconds);
  const nts::siv::Kernels* tier = nts::siv::choose_tier(words.tier);
  if (tier == nullptr) throw UsageError("--tier \"" + words.tier + "\" is not one that this CPU runs");
  // What is wrong with the words is said before anybody is asked for keys.
  if (words.sockets) {
    static_cast<void>(socket_plan(words));
  } else {
    static_cast<void>(dpdk_plan(words));
  }
  std::optional<Session> session;
  if (!words.session_file.empty()) session = read_session(words.session_file);
  if (!words.ke_host.empty()) session = agree_with(words.ke_host, words.ke_port, words.ca_file);
  words.plan.kind = session ? Kind::nts : Kind::plain;
  const Session* keys = session ? &*session : nullptr;
  return words.sockets ? load_by_sockets(words, keys, *tier) : load_by_dpdk(words, keys, *tier);
}

}  // namespace

int main(int count, char** arguments) {
  Words words;
  CLI::App app("Loads an NTP or NTS server and verifies every answer.", "load");
  add_words(app, words);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  try {
    return load(words);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "load: %s\n", error.what());
    return 2;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "load: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    const std::string driver_says = dataplane::take_eal_messages();
    std::fprintf(stderr, "load: %s%s%s\n", error.what(),
                 driver_says.empty() ? "" : "; DPDK says: ", driver_says.c_str());
    return 1;
  }
}
