#include "control/launcher.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cap-ng.h>

#include "control/child_process.h"
#include "control/config.h"
#include "control/config_source.h"
#include "control/descriptor.h"
#include "control/directories.h"
#include "control/file_check.h"
#include "control/log.h"
#include "control/port_rights.h"
#include "control/roles.h"
#include "control/service_notify.h"
#include "control/supervised.h"
#include "dataplane/shm/failpoint.h"

namespace control {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds role_watchdog{10};
constexpr std::chrono::seconds dataplane_watchdog{4};  // with last words and pause, 5 s (TESTS.md H15)
constexpr std::chrono::seconds orphans_patience{3};  // children of a killed launcher end within milliseconds
constexpr std::chrono::seconds stop_patience{5};
constexpr std::chrono::seconds stall_min{1};     // so late we wake only when the machine itself stood still
constexpr unsigned settings_patience_s = 10;     // how long the dataplane waits for the settings page
constexpr rlim_t open_files_reserve = 256;       // listeners, timers, the admin's conversations
constexpr rlim_t open_files_per_connection = 2;  // the client's, and the keeper's while it seals
constexpr rlim_t locked_bytes_reserve = rlim_t{8} << 20;  // keys page and small buffers
constexpr rlim_t ring_bytes_per_queue = rlim_t{4} << 20;  // af_packet maps its frames locked

// Signals as a descriptor; blocked while this lives, and as before afterwards.
class Signals {
 public:
  Signals() {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&wanted, signal);
    ::sigprocmask(SIG_BLOCK, &wanted, &before_);
    pipe_before_ = ::signal(SIGPIPE, SIG_IGN);  // who reads our log may go before we do
    socket_ = Descriptor(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!socket_.is_open()) {
      throw std::runtime_error(std::string("cannot wait for signals (") + std::strerror(errno) +
                               "); see the limit on open files");
    }
  }
  ~Signals() {
    ::signal(SIGPIPE, pipe_before_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  // The next that has come, or 0.
  [[nodiscard]] int take() const {
    signalfd_siginfo information{};
    const ssize_t bytes = ::read(socket_.get(), &information, sizeof information);
    return bytes == sizeof information ? static_cast<int>(information.ssi_signo) : 0;
  }

 private:
  sigset_t before_{};
  sighandler_t pipe_before_ = SIG_DFL;
  Descriptor socket_;
};

// The file that says "all serve": made whole, removed at the end.
class ReadyFile {
 public:
  explicit ReadyFile(std::optional<fs::path> path) : path_(std::move(path)) {
    if (path_) fs::remove(*path_);  // a killed launcher's
  }
  ~ReadyFile() {
    std::error_code gone;
    if (path_) fs::remove(*path_, gone);
  }
  ReadyFile(const ReadyFile&) = delete;
  ReadyFile& operator=(const ReadyFile&) = delete;

  void write() const {
    if (!path_) return;
    const fs::path fresh = path_->native() + ".new";
    std::ofstream file(fresh, std::ios::trunc);
    file << ::getpid() << '\n';
    file.close();
    shm::failpoint::reach("launcher.ready_file_made");
    std::error_code error;
    if (file) fs::rename(fresh, *path_, error);
    if (!file || error) {
      throw std::runtime_error(path_->native() + ": the ready file cannot be written; see its directory");
    }
  }

 private:
  std::optional<fs::path> path_;
};

ChildSpec spec_of(Role role, const std::string& name) {
  const Identity& identity = identity_of(role);
  ChildSpec spec;
  spec.name = name;
  spec.uid = identity.uid;
  spec.gid = identity.gid;
  spec.locked_bytes = locked_bytes_reserve;
  return spec;
}

ChildSpec control_spec(Role role, const Config& config, const LauncherOptions& options,
                       std::optional<unsigned> worker = {}) {
  const std::string role_name(identity_of(role).name);
  ChildSpec spec = spec_of(role, worker ? role_name + " " + std::to_string(*worker) : role_name);
  spec.program = options.bin_dir / "noonmark-control";
  spec.arguments = {role_name, "--config", options.config.native()};
  for (const fs::path& overlay : options.overlays) {
    spec.arguments.insert(spec.arguments.end(), {"--overlay", overlay.native()});
  }
  spec.arguments.insert(spec.arguments.end(), {"--pages", config.paths.pages.native()});
  if (worker) spec.arguments.insert(spec.arguments.end(), {"--worker", std::to_string(*worker)});
  spec.watchdog = role_watchdog;
  if (role == Role::keeper)
    spec.groups = {identity_of(Role::dataplane).gid};  // so that it may give it the keys
  spec.reloads_on_hangup = role == Role::keeper || role == Role::ke || role == Role::admin;
  if (role == Role::ke) {
    spec.open_files = config.nts_ke.connections_max * open_files_per_connection + open_files_reserve;
    if (config.nts_ke.port < unprivileged_port_min) spec.capabilities = {CAP_NET_BIND_SERVICE};
  }
  return spec;
}

ChildSpec dataplane_spec(const Config& config, const LauncherOptions& options) {
  ChildSpec spec = spec_of(Role::dataplane, "dataplane");
  const fs::path& pages = config.paths.pages;
  const auto writer = [](Role role) {
    return std::string(identity_of(role).name) + "=" + std::to_string(identity_of(role).uid);
  };
  spec.program = options.bin_dir / "noonmark-dataplane";
  spec.arguments = {"--pages",  pages.native(),
                    "--uids",   writer(Role::keeper) + "," + writer(Role::clock) + "," + writer(Role::admin),
                    "--wait-s", std::to_string(settings_patience_s)};
  // Where EAL makes its directory; else it would be /tmp/dpdk, which may be another user's.
  spec.environment = {"RUNTIME_DIRECTORY=" + (pages / identity_of(Role::dataplane).name).native()};
  spec.watchdog = dataplane_watchdog;
  spec.capabilities = dataplane_capabilities(config);
  const auto& devices = config.dataplane.devices;
  const std::size_t cores = std::max<std::size_t>(1, config.dataplane.cores.size());
  spec.locked_bytes = locked_bytes_reserve + ring_bytes_per_queue * devices.size() * cores;
  return spec;
}

// In the order in which they are told to stop: strangers' doors first, the dataplane last.
std::vector<ChildSpec> specs_of(const Config& config, const LauncherOptions& options) {
  std::vector<ChildSpec> specs;
  for (unsigned worker = 0; worker < config.ke_workers(); ++worker) {
    specs.push_back(control_spec(Role::ke, config, options, worker));
  }
  for (const Role role : {Role::upstream, Role::admin, Role::clock, Role::keeper}) {
    specs.push_back(control_spec(role, config, options));
  }
  specs.push_back(dataplane_spec(config, options));
  return specs;
}

class Launcher {
 public:
  Launcher(const std::vector<ChildSpec>& specs, const fs::path& directory, int family_lock,
           const ReadyFile& ready_file, bool is_json, Reload& reload)
      : ready_file_(ready_file), is_json_(is_json), reload_(reload) {
    for (const ChildSpec& spec : specs) {
      children_.push_back(std::make_unique<Supervised>(spec, directory, family_lock));
    }
  }

  int run() {
    for (const auto& child : all_but_dataplane()) child->begin(Clock::now());
    while (!stop_signal_) {
      for (const auto& child : children_) look_after(*child);
      wait();
      if (const bool one_has_ended = reap(); one_has_ended && !has_been_ready_ && !stop_signal_) {
        stop();
        tell({{"event", "stopped"}, {"exit_code", 1}});
        return 1;
      }
      if (!has_been_ready_) go_on_with_start();
    }
    log(Severity::info, std::string("stopping on ") + ::strsignal(stop_signal_));
    notify_stopping();
    stop();
    tell({{"event", "stopped"}, {"exit_code", 0}});
    return 0;
  }

 private:
  // For programs that watch us. Whoever stops reading loses only this: SIGPIPE is ignored.
  void tell(const nlohmann::ordered_json& event) const {
    if (is_json_) std::cout << event.dump() << std::endl;
  }

  // Until something happens, or it is time for one of the children.
  void wait(std::optional<Clock::time_point> until = {}) {
    for (const auto& child : children_) {
      const auto next = child->next_look();
      if (next && (!until || *next < *until)) until = next;
    }
    int timeout_ms = -1;
    if (until) {
      const auto left = std::chrono::ceil<milliseconds>(*until - Clock::now());
      timeout_ms = static_cast<int>(std::max<milliseconds::rep>(0, left.count()));
    }
    std::vector<pollfd> all = {{signals_.fd(), POLLIN, 0}};
    for (const auto& child : children_) all.push_back({child->notify_fd(), POLLIN, 0});
    if (::poll(all.data(), all.size(), timeout_ms) < 0) return;  // EINTR: the loop comes back
    if (until && Clock::now() - *until > stall_min) {
      for (const auto& child : children_) child->excuse(Clock::now());
    }
    while (const int signal = signals_.take()) handle(signal);
    for (const auto& child : children_) child->receive(Clock::now());
  }

  void handle(int signal) {
    if (signal == SIGTERM || signal == SIGINT) stop_signal_ = signal;
    // Roles that judge the same files alike would each say the same: what is bad is told once, by us.
    if (signal == SIGHUP && reload_.run().empty()) {
      for (const auto& child : children_) child->reload();
    }
  }

  // A machine that is out of processes for the moment must not take those down that run.
  void look_after(Supervised& child) {
    try {
      child.look(Clock::now());
    } catch (const std::runtime_error& error) {
      if (!has_been_ready_) throw;
      log(Severity::error, std::string(error.what()) + "; trying again");
    }
  }

  // True when one has ended, just now.
  bool reap() {
    bool one_has_ended = false;
    for (const auto& child : children_) {
      const std::optional<std::string> account = child->reap(Clock::now());
      if (!account) continue;
      one_has_ended = true;
      tell({{"event", "ended"}, {"process", child->name()}, {"how", *account}});
      if (is_stopping_) continue;
      if (!has_been_ready_) {
        log(Severity::error, *account + " before all were ready; stopping the others");
      } else if (child->pause().count() == 0) {
        log(Severity::warning, *account + "; starting it again");
      } else {
        log(Severity::warning,
            *account + "; starting it again in " + std::to_string(child->pause().count()) + " ms");
      }
    }
    return one_has_ended;
  }

  // The dataplane comes last, when keys, clock and settings are there: whoever is answered at all is then
  // answered as well as we can, and its reading the page before its first packet acknowledges the keys.
  void go_on_with_start() {
    const auto is_ready = [](const auto& child) { return child->is_ready(); };
    const std::span others = all_but_dataplane();
    if (!std::all_of(others.begin(), others.end(), is_ready)) return;
    Supervised& dataplane = *children_.back();
    if (!dataplane.is_running()) dataplane.begin(Clock::now());
    if (!dataplane.is_ready()) return;
    has_been_ready_ = true;
    ready_file_.write();
    shm::failpoint::reach("launcher.ready");
    notify_ready();
    tell({{"event", "ready"}});
    log(Severity::info, "all roles serve");
  }

  [[nodiscard]] std::span<const std::unique_ptr<Supervised>> all_but_dataplane() const {
    return std::span(children_).first(children_.size() - 1);
  }

  void stop() {
    is_stopping_ = true;
    for (const auto& child : children_) child->stop();
    const auto deadline = Clock::now() + stop_patience;
    const auto one_runs = [&] {
      return std::any_of(children_.begin(), children_.end(),
                         [](const auto& child) { return child->is_running(); });
    };
    while (one_runs() && Clock::now() < deadline) {
      wait(deadline);
      reap();
    }
    for (const auto& child : children_) {
      if (child->is_running()) log(Severity::error, child->name() + " does not stop; killing it");
      child->kill();
    }
  }

  Signals signals_;
  const ReadyFile& ready_file_;
  const bool is_json_;
  Reload& reload_;
  std::vector<std::unique_ptr<Supervised>> children_;
  bool has_been_ready_ = false;
  bool is_stopping_ = false;
  int stop_signal_ = 0;
};

void require_private_key(const fs::path& key) {
  const Identity& ke = identity_of(Role::ke);
  try {
    require_secret_file(key, ke.uid, ke.gid);
  } catch (const FileError& error) {
    throw FileError(key.native() + ": " + error.what());
  }
}

}  // namespace

int run_launcher(const LauncherOptions& options) {
  set_log_name("launcher");
  const ConfigSource source{options.config, options.overlays, options.pages};
  const Config config = source.read();
  const auto require_reachable_key = [](const Config& wanted) {
    if (wanted.ke_workers() != 0) require_private_key(wanted.nts_ke.private_key);
  };
  require_reachable_key(config);
  Reload reload(source, require_reachable_key);  // we ourselves have nothing to change
  const std::vector<ChildSpec> specs = specs_of(config, options);
  for (const ChildSpec& spec : specs) require_runnable_by_all(spec.program);
  make_keys_directory(config.keys.file.parent_path());
  if (!config.gnss.memory.empty()) make_memory_directory(config.gnss.memory.parent_path());
  make_page_directories(config.paths.pages);
  shm::failpoint::reach("launcher.directories_made");

  const DirectoryLocks locks = lock_directories(config.paths.pages, orphans_patience);
  const ReadyFile ready_file(options.ready_file);
  return Launcher(specs, launcher_directory(config.paths.pages), locks.family.get(), ready_file,
                  options.is_json, reload)
      .run();
}

}  // namespace control
