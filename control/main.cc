// noonmark-control: one program, run once a role, each as its own user and in its own sandbox.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "control/admin.h"
#include "control/clock_task.h"
#include "control/config.h"
#include "control/file_check.h"
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
  std::filesystem::path config;
  std::vector<std::filesystem::path> overlays;
  std::optional<std::filesystem::path> pages;
  unsigned worker = 0;
};

void declare(CLI::App& app, Options& options) {
  app.add_option("role", options.role, "which role to run")
      ->required()
      ->check(CLI::IsMember({"keeper", "ke", "clock", "upstream", "admin"}));
  app.add_option("--config", options.config, "the configuration file, an absolute path")->required();
  app.add_option("--overlay", options.overlays, "a file whose keys win over the configuration's; repeatable")
      ->allow_extra_args(false);
  app.add_option("--pages", options.pages, "the page directory, instead of [paths] pages");
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

int run(Role role, const Config& config, unsigned worker) {
  switch (role) {
    case Role::keeper:
      return run_keeper(config);
    case Role::ke:
      return run_ke(config, worker);
    case Role::clock:
      return run_clock(config);
    case Role::upstream:
      return run_upstream(config);
    case Role::admin:
      return run_admin(config);
    case Role::dataplane:
      break;
  }
  throw std::runtime_error("the dataplane is a program of its own, noonmark-dataplane; start that");
}

int run(const Options& options) {
  const Role role = role_named(options.role);
  set_log_name(role == Role::ke ? "ke " + std::to_string(options.worker) : options.role);
  require_identity(role);
  Config config = read_config(options.config, options.overlays);
  if (options.pages) {
    try {
      require_plain_path(*options.pages);
    } catch (const FileError& error) {
      throw FileError(std::string("--pages: ") + error.what());
    }
    config.paths.pages = *options.pages;
  }
  enter_sandbox(role, config);
  return run(role, config, options.worker);
}

}  // namespace
}  // namespace control

int main(int count, char** words) {
  CLI::App app("One role of Noonmark's control plane.", "noonmark-control");
  control::Options options;
  try {
    control::declare(app, options);
    app.parse(count, words);
    return control::run(options);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "noonmark-control: %s; try --help\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    control::log(control::Severity::error, error.what());
    return 1;
  }
}
