// noonmark-control: one program, run once a role, each as its own user and in its own sandbox.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <unistd.h>

#include "control/admin.h"
#include "control/clock_task.h"
#include "control/config.h"
#include "control/config_source.h"
#include "control/ke_server.h"
#include "control/keeper.h"
#include "control/log.h"
#include "control/roles.h"
#include "control/sandbox.h"
#include "control/upstream.h"

namespace control {
namespace {

constexpr unsigned worker_max = 15;  // [nts_ke] workers ends at 16

struct Options {
  std::string role;
  ConfigSource source;
  unsigned worker = 0;
};

void declare(CLI::App& app, Options& options) {
  app.add_option("role", options.role, "which role to run")
      ->required()
      ->check(CLI::IsMember({"keeper", "ke", "clock", "upstream", "admin"}));
  app.add_option("--config", options.source.file, "the configuration file, an absolute path")->required();
  app.add_option("--overlay", options.source.overlays,
                 "a file whose keys win over the configuration's; repeatable")
      ->allow_extra_args(false);
  app.add_option("--pages", options.source.pages, "the page directory, instead of [paths] pages");
  app.add_option("--worker", options.worker, "of role ke: which of the workers this is, from 0")
      ->check(CLI::Range(0U, worker_max));
  app.footer(
      "Each role runs as its own user, in its own sandbox, and serves until SIGTERM or SIGINT.\n"
      "`noonmark run` and the systemd units start it with the right words.\n"
      "Exit: 0 stopped by signal, 1 the machine or the configuration does not allow to serve, 2 wrong "
      "usage.");
}

Role role_named(const std::string& name) {
  for (const Identity& identity : identities) {
    if (identity.name == name) return identity.role;
  }
  throw std::runtime_error("there is no role " + name +
                           "; see --help");  // declare() let nothing else through
}

int run(Role role, const Config& config, const Options& options) {
  switch (role) {
    case Role::keeper:
      return run_keeper(config, options.source);
    case Role::ke:
      return run_ke(config, options.source, options.worker);
    case Role::clock:
      return run_clock(config);
    case Role::upstream:
      return run_upstream(config);
    case Role::admin:
      return run_admin(config, options.source);
    case Role::dataplane:
      break;
  }
  throw std::runtime_error("the dataplane is a program of its own, noonmark-dataplane; start that");
}

int run(const Options& options) {
  const Role role = role_named(options.role);
  set_log_name(role == Role::ke ? "ke " + std::to_string(options.worker) : options.role);
  require_identity(role);
  const Config config = options.source.read();
  enter_sandbox(role, config);
  return run(role, config, options);
}

constexpr std::string_view no_memory =
    "out of memory; give this machine or this service more (MemoryMax=, RLIMIT_AS)";

// Where memory can run out and nobody can catch it (before main, in a thread, in what is noexcept) the role
// ends as it does everywhere else: with one sentence and 1, to be started again. Any other exception that
// gets here is a fault of this program, and stops it as such.
[[noreturn]] void end_without_memory() {
  try {
    if (std::current_exception()) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    for (const std::string_view part :
         {std::string_view("noonmark-control: "), no_memory, std::string_view("\n")}) {
      [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, part.data(), part.size());
    }
    ::_exit(1);
  } catch (...) {
    std::abort();
  }
  std::abort();
}

// Before the constructors of static objects, some of which (CLI11's) allocate.
__attribute__((constructor(101))) void expect_no_memory() { std::set_terminate(end_without_memory); }

}  // namespace
}  // namespace control

int main(int count, char** words) {
  try {
    CLI::App app("One role of Noonmark's control plane.", "noonmark-control");
    control::Options options;
    control::declare(app, options);
    try {
      app.parse(count, words);
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() == 0) return app.exit(error);  // --help
      std::fprintf(stderr, "noonmark-control: %s; try --help\n", error.what());
      return 2;
    }
    return control::run(options);
  } catch (const std::bad_alloc&) {
    control::log(control::Severity::error, control::no_memory);
    return 1;
  } catch (const std::exception& error) {
    control::log(control::Severity::error, error.what());
    return 1;
  }
}
