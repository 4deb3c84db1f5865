#include "bench/load/command_line.h"

#include <array>
#include <cstdio>

namespace bench::load {
namespace {

dataplane::MacAddress mac_of(const std::string& text) {
  unsigned part[6];
  char more = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", part, part + 1, part + 2, part + 3, part + 4,
                  part + 5, &more) != 6) {
    throw UsageError("--server-mac \"" + text + "\" is no MAC address like 02:00:00:00:00:01");
  }
  std::array<std::uint8_t, 6> octets{};
  for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<std::uint8_t>(part[i]);
  return dataplane::MacAddress(octets);
}

std::vector<Route> routes_of(const Words& words) {
  std::vector<Route> routes;
  for (std::size_t i = 0; i < words.servers.size(); ++i) {
    try {
      routes.push_back(read_route(words.servers[i], words.clients.empty() ? "" : words.clients[i]));
    } catch (const std::invalid_argument& wrong) {
      throw UsageError(wrong.what());
    }
  }
  return routes;
}

}  // namespace

void add_words(CLI::App& app, Words& words) {
  auto* device =
      app.add_option("--device", words.device,
                     "DPDK port as in the config: af_packet:IF, af_xdp:IF, pci:ADDRESS, vdev:DRIVER");
  app.add_flag("--sockets", words.sockets, "no DPDK port: UDP sockets of the kernel")->excludes(device);
  app.add_option("--server-mac", words.server_mac,
                 "the server's, or its router's, MAC address; for a DPDK port");
  app.add_option("--to", words.servers, "address of the server; may be given more than once")->required();
  app.add_option("--from", words.clients,
                 "first client address for each --to; with --sockets they must be this host's, or none");
  app.add_option("--sources", words.sources, "client addresses and ports for each --to")
      ->check(CLI::Range(1, 65535));
  app.add_option("--port", words.server_port, "the server's UDP port");
  app.add_option("--client-port", words.client_port, "the first UDP port of the clients; for a DPDK port");
  app.add_option("--core", words.core, "CPU of the generator");
  app.add_flag("--ordinary-memory", words.ordinary_memory, "take no hugepages even when there are some");
  auto* session =
      app.add_option("--session", words.session_file, "NTS with the keys and cookies of this file");
  app.add_option("--ke", words.ke_host, "NTS with what NTS-KE with this host grants")->excludes(session);
  app.add_option("--ke-port", words.ke_port, "TCP port of NTS-KE");
  app.add_option("--ca", words.ca_file, "certificates to trust; else the system's");
  app.add_option("--tier", words.tier, "AES-SIV tier of the generator; else the best");
  app.add_option("--rate", words.plan.rate, "requests per second; 0: flat out")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--window", words.plan.window, "most requests under way");
  app.add_option("--burst", words.plan.burst, "most requests sent at once, 1 to 64");
  app.add_option("--seconds", words.seconds, "how long")->check(CLI::Range(0.001, 86400.0));
  app.add_option("--wait", words.wait_seconds, "seconds to wait for the first good answer")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--tolerance", words.tolerance_seconds, "seconds between the server's clock and ours")
      ->check(CLI::Range(0.001, 3600.0));
  app.add_option("--prefix", words.prefix, "in front of each name of the output");
  app.footer(
      "Without --session and --ke the requests are plain. Every answer is verified. SIGINT ends with a "
      "report.\n"
      "Exit: 0 every answer was right, 1 a wrong one, none, or this machine cannot, 2 wrong usage.");
}

DpdkPlan dpdk_plan(const Words& words) {
  if (words.device.empty()) throw UsageError("say --device DEVICE or --sockets");
  if (words.server_mac.empty()) throw UsageError("a DPDK port needs --server-mac: nobody resolves addresses");
  if (words.servers.size() != words.clients.size())
    throw UsageError("each --to needs a --from of the same family, in the same order");
  DpdkPlan plan;
  plan.server_mac = mac_of(words.server_mac);
  plan.routes = routes_of(words);
  plan.sources = words.sources;
  plan.server_port = words.server_port;
  plan.client_port = words.client_port;
  if (plan.client_port == 0 || plan.client_port + plan.sources > 65536)
    throw UsageError(
        "the client's ports would not end below 65536; give fewer --sources or a lower --client-port");
  return plan;
}

SocketPlan socket_plan(const Words& words) {
  if (!words.clients.empty() && words.servers.size() != words.clients.size())
    throw UsageError("each --to needs a --from of the same family, in the same order, or none has one");
  SocketPlan plan;
  plan.routes = routes_of(words);
  plan.sources = words.sources;
  plan.server_port = words.server_port;
  if (plan.routes.size() * plan.sources > sockets_max)
    throw UsageError("--sources: sockets are at most " + std::to_string(sockets_max) + " in all");
  return plan;
}

}  // namespace bench::load
