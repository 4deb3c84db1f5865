// What a request costs the load generator: making and sending it, taking and judging its answer, each apart.
// TSC cycles per request, medians over bursts; the other end is a real worker in this process, over rings.
//
// While these two together stay below what the server's core takes, a measured rate is the server's
// (bench/README.md, bench/line-rate).
#include <algorithm>
#include <cstdio>
#include <exception>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "bench/dataplane/worker_rig.h"
#include "bench/load/dpdk_transport.h"
#include "bench/load/generator.h"
#include "bench/load/local_clock.h"
#include "bench/load/session.h"
#include "dataplane/random_pool.h"
#include "tests/support/frame_builder.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace bench::load;

constexpr int bursts = 20'000;
constexpr std::uint16_t burst = 32;

std::unique_ptr<dataplane::Port> ring_port(const char* name, rte_ring* receive, rte_ring* transmit,
                                           const dataplane::BufferPool& buffers) {
  const int id = rte_eth_from_rings(name, &receive, 1, &transmit, 1, 0);
  if (id < 0) throw std::runtime_error("DPDK gives no ring port; see that librte-net-ring is installed");
  return std::make_unique<dataplane::Port>(static_cast<std::uint16_t>(id), name, std::uint16_t{1}, buffers);
}

// A server with one key and a clock like this machine's.
struct Server {
  Server(const dataplane::Port& port, const nts::siv::Kernels& tier)
      : ring(tests::make_ring({{tests::usual_key_id, nts::KeyState::current}})) {
    shm::Settings settings{};
    settings.revision = settings.device_count = settings.core_count = settings.address_count = 1;
    settings.ntp_port = 123;
    settings.answer_plain = settings.answer_nts = 1;
    settings.addresses[0] = tests::address_of(tests::server_ipv4);
    settings_page->settings.publish(settings);
    keys_page->ring.publish(ring);
    clock_page->clock.publish(local_clock(rte_get_tsc_hz()));
    worker = std::make_unique<dataplane::Worker>(
        dataplane::WorkerSetup{&tier, &current, &line, 1, 0, rte_get_tsc_hz(), {port.queue(0)}});
  }

  nts::KeyRing ring;
  std::unique_ptr<shm::SettingsPage> settings_page = std::make_unique<shm::SettingsPage>();
  std::unique_ptr<shm::KeysPage> keys_page = std::make_unique<shm::KeysPage>();
  std::unique_ptr<shm::ClockPage> clock_page = std::make_unique<shm::ClockPage>();
  dataplane::PageSet pages{settings_page.get(), keys_page.get(), clock_page.get()};
  dataplane::CurrentPages current{&pages};
  shm::CoreStats line{};
  std::unique_ptr<dataplane::Worker> worker;
};

void measure(Kind kind, const char* name, Server& server, DpdkTransport& transport,
             const nts::siv::Kernels& tier) {
  dataplane::RandomPool random(tier);
  const Session session = session_under(server.ring, tier, random);
  Plan plan;
  plan.kind = kind;
  Generator generator(transport, plan, &session, tier, random);
  bench::Stopwatch watch;
  std::vector<double> send_cycles;
  std::vector<double> take_cycles;
  for (int i = 0; i < bursts; ++i) {
    watch.start();
    generator.send(burst);
    send_cycles.push_back(watch.stop() / burst);
    while (server.worker->serve_once()) {
    }
    watch.start();
    static_cast<void>(generator.take_answers());
    take_cycles.push_back(watch.stop() / burst);
  }
  if (generator.report().answered != std::uint64_t{burst} * bursts)
    throw std::runtime_error("not every answer was right");
  std::printf("generator_%s_send_cycles=%.0f\ngenerator_%s_take_cycles=%.0f\n", name,
              bench::median_of(send_cycles), name, bench::median_of(take_cycles));
}

void run() {
  const nts::siv::Kernels* tier = nts::siv::choose_tier();
  if (tier == nullptr) throw std::runtime_error("no AES-SIV tier gives the known answers on this machine");
  const dataplane::Eal eal(bench::eal_options());
  const dataplane::BufferPool buffers("bench", 2);
  rte_ring* to_server = rte_ring_create("to_server", 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  rte_ring* to_client = rte_ring_create("to_client", 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  const auto server_port = ring_port("server", to_server, to_client, buffers);
  const auto client_port = ring_port("client", to_client, to_server, buffers);
  Server server(*server_port, *tier);
  DpdkPlan ways;
  ways.server_mac = server_port->mac();
  ways.client_mac = dataplane::MacAddress(tests::client_mac);  // ring ports have none of their own
  Route route;
  std::copy(tests::server_ipv4.begin(), tests::server_ipv4.end(), route.server.begin());
  std::copy(tests::client_ipv4.begin(), tests::client_ipv4.end(), route.client.begin());
  ways.routes = {route};
  ways.sources = 64;  // of the /24, and not its broadcast address
  DpdkTransport transport(*client_port, buffers, ways);
  measure(Kind::nts, "nts", server, transport, *tier);
  measure(Kind::plain, "plain", server, transport, *tier);
}

}  // namespace

int main() {
  try {
    run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generator-bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
