// A stats page with anything written over it, as the keeper reads it for acknowledgements and the admin for
// reports: nothing is believed beyond its bounds, and no key becomes current because of garbage.
#include <memory>
#include <unistd.h>

#include "control/acknowledgement.h"
#include "control/cli_text.h"
#include "control/port_status.h"
#include "control/status.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

constexpr std::uint64_t ring_generation = 9;

void run(Input input) {
  Reader reader(input);
  const control::Moment now{reader.number64(), static_cast<std::int64_t>(reader.number64())};
  const auto page = std::make_unique<shm::StatsPage>();
  page->instance_id = 77;
  page->pid = static_cast<std::uint64_t>(::getpid());
  page->serving = 1;
  page->core_count = 2;
  page->tsc_hz = 2'000'000'000;
  page->cores[0].instance_id = page->cores[1].instance_id = 77;
  page->cores[0].acknowledged_keys = ring_generation;
  page->cores[1].acknowledged_keys = ring_generation - 1;
  patch({reinterpret_cast<std::uint8_t*>(page.get()), sizeof *page}, reader);

  const auto report = control::acknowledgement_of(*page, ring_generation, ::geteuid());
  if (report.acknowledged == control::Acknowledged::by_all) {
    for (std::uint64_t core = 0; core < page->core_count; ++core) {
      const bool has_ring = page->cores[core].acknowledged_keys == ring_generation;
      require(core < shm::cores_max && (has_ring || page->cores[core].is_drained == 1) &&
                  page->cores[core].instance_id == page->instance_id,
              "all have acknowledged when each core in service of this instance has");
    }
  }
  if (report.acknowledged == control::Acknowledged::missing) {
    require(report.core < shm::cores_max, "the one that is missing is a core");
  }
  const nlohmann::json status = control::dataplane_status(page.get(), ::geteuid(), now);
  const nlohmann::json counters = control::dataplane_counters(page.get(), ::geteuid());
  static_cast<void>(status.dump());
  static_cast<void>(counters.dump());
  static_cast<void>(control::status_text({{"dataplane", status}}));
  static_cast<void>(control::counters_text({{"dataplane", counters}}));
  const nlohmann::json ports = control::ports_status(page.get(), ::geteuid());
  static_cast<void>(ports.dump());
  static_cast<void>(control::ports_text(ports));
}

std::vector<Octets> seeds() {
  const auto at = [](std::size_t offset, const Octets& octets) {
    Octets made(16, 0);
    const Octets one = patch_of(offset, octets);
    made.insert(made.end(), one.begin(), one.end());
    return made;
  };
  constexpr std::size_t header = sizeof(shm::PageHeader);
  return {at(header + 8, {1}),  // another process
          at(header + 32, {65}),
          at(header + 32, Octets(8, 0xff)),
          at(header + 16, Octets(8, 0xff)),
          at(header + 24, Octets(8, 0)),
          at(header + 48, Octets(255, 'x')),
          at(header + 40, {0}),
          at(offsetof(shm::StatsPage, cores) + sizeof(shm::CoreStats) + 8, {9}),
          at(offsetof(shm::StatsPage, cores) + sizeof(shm::CoreStats) + offsetof(shm::CoreStats, is_drained),
             {1}),
          at(offsetof(shm::StatsPage, cores) + offsetof(shm::CoreStats, heartbeat_tsc),
             {0, 0, 0, 0, 0, 0, 0, 0x80})};
}

const Registration registration({"stats_page", run, seeds});

}  // namespace
}  // namespace fuzz
