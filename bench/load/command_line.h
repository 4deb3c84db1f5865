// The words of the load generator's command line, and the plans that they make.
#pragma once

#include <CLI/CLI.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/load/dpdk_transport.h"
#include "bench/load/generator.h"
#include "bench/load/sockets.h"

namespace bench::load {

// What is not as the help says; exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Words {
  std::string device;
  bool sockets = false;
  std::string server_mac;
  std::vector<std::string> servers;
  std::vector<std::string> clients;
  std::uint16_t sources = 256;
  std::uint16_t server_port = 123;
  std::uint16_t client_port = 40000;
  std::uint32_t core = 0;
  std::string session_file;
  std::string ke_host;
  std::uint16_t ke_port = 4460;
  std::string ca_file;
  std::string tier;
  std::string prefix;
  bool ordinary_memory = false;
  double seconds = 3;
  double wait_seconds = 15;
  double tolerance_seconds = 1;
  Plan plan;  // its kind and times are set by what else is said
};

// `words` outlives `app`, which writes into it.
void add_words(CLI::App& app, Words& words);

// One of the two ways, by what was said. Both throw UsageError.
[[nodiscard]] DpdkPlan dpdk_plan(const Words& words);
[[nodiscard]] SocketPlan socket_plan(const Words& words);

}  // namespace bench::load
