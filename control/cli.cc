// noonmark, the operator's program: sub-commands, their options, their exit codes.
//
// Every command that asks a running server goes to its admin role by the operator's socket; none of them
// reads a page or a key. With --json the raw result object is printed, for programs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include "control/admin_client.h"
#include "control/calibration.h"
#include "control/cli_text.h"
#include "control/config_check.h"
#include "control/launcher.h"
#include "control/query.h"
#include "control/upstream_status.h"
#include "nts/aead.h"

namespace control {
namespace {

using nlohmann::json;

enum ExitCode : int { good = 0, answer_is_no = 1, wrong_usage = 2, nobody_answers = 3, not_allowed = 4 };

constexpr const char* about =
    "Noonmark: authenticated time (NTP and NTS) from a DPDK dataplane.\n"
    "\n"
    "Begin with `noonmark check FILE`, then `noonmark run --config FILE`,\n"
    "then `noonmark status`. `noonmark COMMAND --help` explains each.";
constexpr const char* exit_codes =
    "Exit codes:\n"
    "  0  done, or the answer is yes\n"
    "  1  it failed, or the answer is no; stderr says why\n"
    "  2  wrong usage\n"
    "  3  nobody answers: Noonmark is not running there\n"
    "  4  not allowed for this user";

struct Options {
  std::filesystem::path pages = "/run/noonmark";
  bool is_json = false;
  std::optional<std::uint32_t> cpu;
  std::filesystem::path file;
  std::vector<std::filesystem::path> overlays;
  std::optional<std::filesystem::path> run_pages;
  std::optional<std::filesystem::path> bin_dir;
  std::optional<std::filesystem::path> ready_file;
  QueryOptions query;
  std::uint32_t calibrate_s = 1800;
  bool is_ipv4 = false;
  bool is_ipv6 = false;
};

int fail(ExitCode code, const std::string& sentence) {
  std::cerr << "noonmark: " << sentence << "\n";
  return code;
}

// A person's relative path is meant from where that person stands; from here on it is absolute.
std::filesystem::path from_root(const std::filesystem::path& path) {
  return path.is_relative() ? std::filesystem::current_path() / path : path;
}

std::string in_json(const json& value) {
  return value.dump(2, ' ', true, json::error_handler_t::replace) + "\n";
}

bool is_yes(const json&) { return true; }

// Asks, and prints the answer as `to_text` makes it or raw. The exit code is what `verdict` makes of it.
template <class ToText>
int ask(const Options& options, const char* command, ToText to_text, bool (*verdict)(const json&) = is_yes) {
  const AdminAnswer answer = ask_admin(from_root(options.pages), command, options.cpu);
  switch (answer.kind) {
    case AdminAnswer::Kind::result:
      std::cout << (options.is_json ? in_json(answer.result) : to_text(answer.result)) << std::flush;
      return verdict(answer.result) ? good : answer_is_no;
    case AdminAnswer::Kind::refused:
      return fail(answer_is_no, answer.error);
    case AdminAnswer::Kind::not_allowed:
      return fail(not_allowed, answer.error);
    case AdminAnswer::Kind::nobody:
      return fail(nobody_answers, answer.error);
  }
  return answer_is_no;
}

// Why there is no result to work with, told; and its exit code. Nothing when there is one.
std::optional<int> fault_of(const AdminAnswer& answer) {
  switch (answer.kind) {
    case AdminAnswer::Kind::result:
      return std::nullopt;
    case AdminAnswer::Kind::not_allowed:
      return fail(not_allowed, answer.error);
    case AdminAnswer::Kind::nobody:
      return fail(nobody_answers, answer.error);
    case AdminAnswer::Kind::refused:
      break;
  }
  return fail(answer_is_no, answer.error);
}

volatile std::sig_atomic_t is_interrupted = 0;

// Looks at the upstreams every other second, for so long or until Ctrl-C. While a role is started anew, or
// the clock does not follow its pulses, nothing is compared.
int calibrate(const Options& options) {
  using Clock = std::chrono::steady_clock;
  constexpr timespec pause{2, 0};
  const std::filesystem::path pages = from_root(options.pages);
  AdminAnswer clock = ask_admin(pages, "clock");
  if (const auto code = fault_of(clock)) return *code;
  if (const std::string hindrance = calibration_hindrance(clock.result); !hindrance.empty())
    return fail(answer_is_no, hindrance);
  std::signal(SIGINT, [](int) { is_interrupted = 1; });
  if (!options.is_json) {
    std::cerr << "comparing pulses with upstreams for " << options.calibrate_s
              << " s; Ctrl-C ends it and tells what is known by then\n";
  }
  Calibration calibration;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(options.calibrate_s);
  for (;;) {
    const AdminAnswer upstreams = ask_admin(pages, "upstreams");
    if (clock.kind == AdminAnswer::Kind::result && upstreams.kind == AdminAnswer::Kind::result &&
        calibration_hindrance(clock.result).empty()) {
      calibration.take(upstreams.result);
    }
    if (is_interrupted != 0 || Clock::now() + std::chrono::seconds(pause.tv_sec) > end) break;
    ::nanosleep(&pause, nullptr);
    clock = ask_admin(pages, "clock");
  }
  const json result = calibration.result();
  std::cout << (options.is_json ? in_json(result) : calibration_text(result)) << std::flush;
  return result["pulse_delay_change_ns"].is_null() ? answer_is_no : good;
}

int check(const Options& options) {
  std::vector<std::filesystem::path> overlays;
  for (const auto& overlay : options.overlays) overlays.push_back(from_root(overlay));
  const ConfigCheck report = check_config(from_root(options.file), overlays);
  const bool is_good = report.errors.empty();
  if (options.is_json) {
    std::cout << in_json({{"file", options.file.native()},
                          {"ok", is_good},
                          {"errors", report.errors},
                          {"warnings", report.warnings},
                          {"summary", report.summary}})
              << std::flush;
    return is_good ? good : answer_is_no;
  }
  for (const std::string& error : report.errors) std::cerr << error << "\n";
  for (const std::string& warning : report.warnings) std::cerr << "warning: " << warning << "\n";
  if (!is_good) return answer_is_no;
  std::cout << options.file.native() << ": good\n"
            << check_text(report.summary, std::time(nullptr)) << std::flush;
  return good;
}

int run(const Options& options) {
  if (::geteuid() != 0) {
    return fail(not_allowed, "starting the roles needs root, to give each a user of its own; use sudo");
  }
  std::signal(SIGPIPE, SIG_IGN);  // whoever read our log may go; the server stays
  LauncherOptions launcher;
  launcher.config = from_root(options.file);
  for (const auto& overlay : options.overlays) launcher.overlays.push_back(from_root(overlay));
  if (options.run_pages) launcher.pages = from_root(*options.run_pages);
  // The three programs are installed beside each other.
  launcher.bin_dir = options.bin_dir ? from_root(*options.bin_dir)
                                     : std::filesystem::read_symlink("/proc/self/exe").parent_path();
  if (options.ready_file) launcher.ready_file = from_root(*options.ready_file);
  launcher.is_json = options.is_json;
  return run_launcher(launcher);
}

int query(Options& options) {
  if (options.is_ipv4) options.query.family = QueryFamily::ipv4;
  if (options.is_ipv6) options.query.family = QueryFamily::ipv6;
  if (options.query.ca) options.query.ca = from_root(*options.query.ca);
  options.query.json = options.is_json;
  const int code = run_query(options.query, std::cout, std::cerr);
  std::cout << std::flush;
  return code;
}

// One sub-command with its explanation; the example stands at its end.
CLI::App* add_command(CLI::App& app, const char* name, const char* line, const char* explanation) {
  CLI::App* command = app.add_subcommand(name, line);
  command->footer(std::string(explanation) + "\n\n" + exit_codes);
  return command;
}

void add_json(CLI::App* command, Options& options) {
  command->add_flag("--json", options.is_json, "print the result as JSON, for programs");
}

void add_pages(CLI::App* command, Options& options) {
  command->add_option("--pages", options.pages, "page directory of the running server")
      ->type_name("DIR")
      ->capture_default_str();
}

void add_core(CLI::App* command, Options& options) {
  command->add_option("core", options.cpu, "number of the CPU")
      ->required()
      ->type_name("CORE")
      ->check(CLI::TypeValidator<std::uint32_t>(""));  // else an empty word is no number and no fault
  add_pages(command, options);
  add_json(command, options);
}

void add_overlays(CLI::App* command, Options& options) {
  command->add_option("--overlay", options.overlays, "a further file that wins key by key; repeatable")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_query_options(CLI::App* command, Options& options) {
  QueryOptions& wanted = options.query;
  const auto port = CLI::Range(std::uint16_t{1}, std::uint16_t{65535});
  command->add_option("host", wanted.host, "name or address of the server")->required()->type_name("HOST");
  command->add_option("--ke-port", wanted.ke_port, "TCP port of NTS-KE")
      ->type_name("N")
      ->check(port)
      ->capture_default_str();
  command->add_option("--ntp-port", wanted.ntp_port, "UDP port, instead of what NTS-KE says")
      ->type_name("N")
      ->check(port);
  command->add_option("--ca", wanted.ca, "PEM authorities, instead of the system's")->type_name("FILE");
  CLI::Option* ipv4 = command->add_flag("-4", options.is_ipv4, "IPv4 only");
  command->add_flag("-6", options.is_ipv6, "IPv6 only")->excludes(ipv4);
  CLI::Option* aead =
      command->add_option("--aead", wanted.aead, "the only AEAD to offer, by its IANA number");
  std::vector<std::string> known;
  for (const nts::Aead& one : nts::aeads) known.push_back(std::to_string(one.number));
  aead->type_name("N")->check(CLI::IsMember(known));
  command->add_flag("--plain", wanted.plain, "NTP without authentication")->excludes(aead);
  command->add_option("--samples", wanted.samples, "NTP exchanges")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--timeout-ms", wanted.timeout_ms, "for NTS-KE as a whole")
      ->type_name("N")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  add_json(command, options);
}

// The table of commands. Each callback only notes what to do: the doing is outside CLI11's error handling.
int dispatch(int argc, char** argv) {
  Options options;
  std::function<int()> work;
  CLI::App app(about, "noonmark");
  app.footer(exit_codes);
  app.set_version_flag("--version", "noonmark " NOONMARK_VERSION);
  app.require_subcommand(1);

  CLI::App* command =
      add_command(app, "run", "start roles and dataplane, and watch over them",
                  "Runs in the foreground until Ctrl-C or SIGTERM, without systemd; needs root.\n"
                  "A role that dies is started again.\n"
                  "Example:\n"
                  "  noonmark run --config /etc/noonmark/noonmark.toml");
  command->add_option("--config", options.file, "the configuration")->required()->type_name("FILE");
  add_overlays(command, options);
  command->add_option("--pages", options.run_pages, "page directory, instead of the file's")
      ->type_name("DIR");
  command->add_option("--bin-dir", options.bin_dir, "where the other two programs are")->type_name("DIR");
  command->add_option("--ready-file", options.ready_file, "made once every role serves")->type_name("FILE");
  add_json(command, options);
  command->callback([&] { work = [&] { return run(options); }; });

  command = add_command(app, "status", "whether it serves, and whether the time is right",
                        "The first line is the answer: serving or not, synchronised or not.\n"
                        "The exit code is 1 when it does not serve.\n"
                        "Then the dataplane, the clock, the keys and NTS-KE, a few lines each.\n"
                        "Examples:\n"
                        "  noonmark status\n"
                        "  noonmark status --json");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "status", status_text, is_serving); }; });

  command = add_command(app, "counters", "what became of every packet",
                        "Each packet that came in is counted once under what became of it, so that\n"
                        "received = answered + dropped + to the kernel + not ours, exactly.\n"
                        "Zeros are left out.\n"
                        "Example:\n"
                        "  noonmark counters");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "counters", counters_text); }; });

  command = add_command(app, "keys", "which cookie keys there are, and their states",
                        "Shows ids, states and ages, never a key. Cookies are made with the `current`\n"
                        "key; those of `accepting` ones are still good; those of `retired` ones are not.\n"
                        "Example:\n"
                        "  noonmark keys");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] {
    work = [&] {
      return ask(options, "keys", [](const json& keys) { return keys_text(keys, std::time(nullptr)); });
    };
  });

  command = add_command(app, "ports", "which devices are served, and what they can do",
                        "Each device with its driver, queues and link, and every feature that was\n"
                        "asked for: used, offered by the device but not used, or not there.\n"
                        "Receive stamps and checksums by the device make answers better and cheaper;\n"
                        "without them the same is done in software. The exit code is 1 when the\n"
                        "dataplane does not run: only it can ask its devices.\n"
                        "Examples:\n"
                        "  noonmark ports\n"
                        "  noonmark ports --json");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "ports", ports_text, has_ports); }; });

  command = add_command(app, "clock", "what the clock is doing, and why no better",
                        "The first line is a sentence for people. Then the state, what clients are told,\n"
                        "and with a receiver what was learned of pulses and oscillator.\n"
                        "The exit code is 1 when clients are told no measured time, for monitoring.\n"
                        "Delays cannot be seen from inside: `noonmark calibrate` asks others.\n"
                        "Examples:\n"
                        "  noonmark clock\n"
                        "  noonmark clock --json");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "clock", clock_text, is_synchronised); }; });

  command = add_command(app, "upstreams", "which other servers are asked, and what they say",
                        "A line for each [[upstream]], with the signs of `chronyc sources`:\n"
                        "* we would follow it, + it agrees with the majority, x it does not,\n"
                        "= it agrees and is a witness only, ? nothing is known of it.\n"
                        "Reach is octal: the last eight polls. The offset is theirs minus ours,\n"
                        "and +- how far it may be from the truth.\n"
                        "The exit code is 1 when they agree on nothing.\n"
                        "Examples:\n"
                        "  noonmark upstreams\n"
                        "  noonmark upstreams --json");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "upstreams", upstreams_text, has_agreement); }; });

  command = add_command(app, "calibrate", "how late the pulses are, as other servers see it",
                        "A delay that is always there cannot be seen from inside: cable, interrupt,\n"
                        "receiver. So while the clock is locked to its pulses, this compares it with\n"
                        "the [[upstream]] servers that agree with each other, and says by how much to\n"
                        "change [gnss] pulse_delay_ns, how far that may be wrong, and so what\n"
                        "reference_error_ns may be. Nothing is changed.\n"
                        "  1. Set antenna_delay_ns from the cable, about 5 ns a metre.\n"
                        "  2. Configure the best server you can reach as an [[upstream]]: on the same\n"
                        "     switch, with hardware stamps, minpoll = 0. Half of the way to it is the\n"
                        "     uncertainty. trust = \"witness\" is enough.\n"
                        "  3. Wait until `noonmark clock` says locked, and run this for an hour.\n"
                        "  4. Write both numbers into the configuration, restart, and run it again:\n"
                        "     it must find nothing more.\n"
                        "The exit code is 1 when nothing could be compared.\n"
                        "Examples:\n"
                        "  noonmark calibrate --for 3600\n"
                        "  noonmark calibrate --for 600 --json");
  command->add_option("--for", options.calibrate_s, "how long, in seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 604'800))
      ->capture_default_str();
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return calibrate(options); }; });

  command = add_command(app, "rotate", "make a new cookie key and hand over to it",
                        "The new key is used once every core has it; clients keep their cookies.\n"
                        "For root and the admin user.\n"
                        "Example:\n"
                        "  sudo noonmark rotate");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "rotate", rotate_text); }; });

  command = add_command(app, "reload", "read the configuration and the certificate anew",
                        "For the files that the running server was started with. What waits for a\n"
                        "restart is named. A file with a fault changes nothing: the fault is shown as\n"
                        "FILE:LINE:COLUMN, and the server goes on with what it has. SIGHUP to\n"
                        "`noonmark run` does the same, and tells the log.\n"
                        "For root and the admin user.\n"
                        "Example:\n"
                        "  sudo noonmark reload");
  add_pages(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return ask(options, "reload", reload_text); }; });

  command = add_command(app, "drain", "take one core out of service, live",
                        "CORE is the number of a CPU in `noonmark status`. Another core polls its queues\n"
                        "from then on, and no packet is lost; the drained core sleeps. The last core in\n"
                        "service stays. It lasts until `noonmark undrain CORE` or until the dataplane is\n"
                        "started again; a reload leaves it. For root and the admin user.\n"
                        "Example:\n"
                        "  sudo noonmark drain 3");
  add_core(command, options);
  command->callback([&] { work = [&] { return ask(options, "drain", drain_text); }; });

  command = add_command(app, "undrain", "put a drained core back into service",
                        "It has the current keys before it polls its queues again, and no packet is\n"
                        "lost. For root and the admin user.\n"
                        "Example:\n"
                        "  sudo noonmark undrain 3");
  add_core(command, options);
  command->callback([&] { work = [&] { return ask(options, "undrain", drain_text); }; });

  command = add_command(app, "check", "look at a configuration before using it",
                        "Reads the file and looks at the certificate, the key and the directories it\n"
                        "names, as the roles will. Errors are FILE:LINE:COLUMN and what to do.\n"
                        "Example:\n"
                        "  sudo noonmark check /etc/noonmark/noonmark.toml");
  command->add_option("file", options.file, "the configuration")->required()->type_name("FILE");
  add_overlays(command, options);
  add_json(command, options);
  command->callback([&] { work = [&] { return check(options); }; });

  command = add_command(app, "query", "ask a server for the time, as a client would",
                        "One NTS-KE exchange over TLS, then a few authenticated NTP exchanges, told as\n"
                        "a person reads them. Never touches the clock. Needs no running Noonmark here.\n"
                        "Examples:\n"
                        "  noonmark query time.example.net\n"
                        "  noonmark query --plain 192.0.2.1");
  add_query_options(command, options);
  command->callback([&] { work = [&] { return query(options); }; });

  if (argc < 2) {
    std::cerr << app.help();
    return wrong_usage;
  }
  const std::string first = argv[1];
  const auto is_named_so = [&](const CLI::App* one) { return one->get_name() == first; };
  const std::vector<CLI::App*> commands = app.get_subcommands([](const CLI::App*) { return true; });
  if (!first.starts_with('-') && std::none_of(commands.begin(), commands.end(), is_named_so)) {
    return fail(wrong_usage, "there is no command '" + first + "'; `noonmark --help` lists those that are");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& outcome) {
    return app.exit(outcome) == 0 ? good : wrong_usage;  // --help and --version are no errors
  }
  return work();
}

}  // namespace
}  // namespace control

int main(int argc, char** argv) {
  // `noonmark status | head -1` ends quietly, whatever the caller made of SIGPIPE.
  std::signal(SIGPIPE, SIG_DFL);
  try {
    const int code = control::dispatch(argc, argv);
    // A script that keeps the answer in a file must not take a full disk for a yes.
    if (!std::cout.flush())
      return control::fail(control::answer_is_no, "the answer cannot be written to stdout");
    return code;
  } catch (const std::exception& error) {
    std::cerr << "noonmark: " << error.what() << "\n";
    return control::answer_is_no;
  }
}
