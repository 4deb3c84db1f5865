// Replays a capture through the real Worker on DPDK's net_pcap, and leaves the capture of its answers.
//
//   golden-replay IN.pcap OUT.pcap BURST [KEY_ID:KEY_IN_HEX]
//
// Everything that differs from run to run is fixed here: the clock stands still in a burst, the ring's keys
// are derived from their ids, and fixed_random_pool.cc is linked in place of the product's. The worker itself
// is the product's, untouched. BURST is how many frames the port hands out at once; with 1 every frame's
// verdict is told. Output, a line each: "frame NUMBER VERDICT", "counter NAME VALUE", "buffers BEFORE AFTER".
// Exit: 0 done, 1 not possible, 2 wrong usage, 75 the machine stood still for so long that the clock moved.
#include <array>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <optional>
#include <rte_cycles.h>
#include <rte_mempool.h>
#include <string>
#include <string_view>

#include "dataplane/eal.h"
#include "dataplane/port/port.h"
#include "dataplane/worker.h"
#include "tests/support/frame_builder.h"
#include "tests/support/packet_builder.h"

namespace {

constexpr int exit_stood_still = 75;  // EX_TEMPFAIL: try again

// As world.py: recorded requests went to the lab's addresses, 10.123.0.1 and fd00:123::1.
constexpr tests::Ipv6 link_local = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr tests::Ipv4 lab_ipv4 = {10, 123, 0, 1};
constexpr tests::Ipv6 lab_ipv6 = {0xfd, 0, 0x01, 0x23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

// The slowest clock a reader takes (hwclock::is_valid ties the rate to the TSC's frequency): one unit of
// 2^-32 s each 2^30 ticks, which is 0.4 s here. Published before each burst, it stands still within one; from
// burst to burst it goes a second on, because a worker never promises the same departure twice.
constexpr std::uint64_t still_tsc_hz = std::uint64_t{1} << 62;
constexpr std::uint64_t still_mult = std::uint64_t{1} << 30;
constexpr std::uint64_t still_ticks = std::uint64_t{1} << 30;

hwclock::ClockState still_clock(std::uint64_t burst_number) {
  hwclock::ClockState state{};
  state.tsc0 = rte_rdtsc();
  state.ntp0 = 0xec0ffee0'12345678 + (burst_number << 32);
  state.tsc_hz = still_tsc_hz;
  state.mult = still_mult;
  state.valid_until = state.tsc0 + still_tsc_hz;
  state.reference_ntp = state.ntp0 - 0x3'c0000001;
  state.root_delay_ns = 1'500'000;
  state.dispersion0_ns = 2'500'000;
  state.dispersion_rate_ppb = 0;
  state.state = hwclock::State::locked;
  state.source = hwclock::Source::pps;
  state.stratum = 1;
  state.reference_id = 0x50505300;  // "PPS"
  state.precision = -25;
  state.mono = {{state.tsc0, 0x00000123'9abcdef0 + (burst_number << 32), still_mult}, 0x0e70c4, 0};
  return state;
}

shm::Settings settings() {
  shm::Settings made{};
  made.revision = 1;
  made.device_count = made.core_count = 1;
  made.ntp_port = 123;
  made.answer_plain = made.answer_nts = 1;
  made.departure_ns = 4000;
  for (const shm::Address& address :
       {tests::address_of(tests::server_ipv4), tests::address_of(tests::server_ipv6),
        tests::address_of(link_local), tests::address_of(lab_ipv4), tests::address_of(lab_ipv6)}) {
    made.addresses[made.address_count++] = address;
  }
  return made;
}

struct GivenKey {
  std::uint32_t id = 0;
  std::array<std::uint8_t, nts::siv::key_bytes> key{};
};

std::optional<GivenKey> parse_key(std::string_view text) {
  const std::size_t colon = text.find(':');
  GivenKey given;
  if (colon == std::string_view::npos || text.size() - colon - 1 != 2 * given.key.size()) return std::nullopt;
  given.id = static_cast<std::uint32_t>(std::stoul(std::string(text.substr(0, colon))));
  for (std::size_t i = 0; i < given.key.size(); ++i) {
    const std::string octet(text.substr(colon + 1 + 2 * i, 2));
    given.key[i] = static_cast<std::uint8_t>(std::stoul(octet, nullptr, 16));
  }
  return given;
}

nts::KeyRing ring(const std::optional<GivenKey>& given) {
  using nts::KeyState;
  nts::KeyRing made = tests::make_ring(
      {{5, KeyState::retired}, {6, KeyState::accepting}, {7, KeyState::current}, {8, KeyState::accepting}});
  if (given) {
    nts::RingKey& slot = made.slots[given->id % nts::ring_keys_max];
    slot.id = given->id;
    slot.state = KeyState::accepting;
    slot.key = given->key;
  }
  return made;
}

// Hands out the port's frames `most` at a time: net_pcap itself gives a whole burst.
class Portions {
 public:
  explicit Portions(std::uint16_t most) : most_(most) {}

  static std::uint16_t hand_out(std::uint16_t, std::uint16_t, rte_mbuf** frames, std::uint16_t count,
                                std::uint16_t, void* self) {
    Portions& portions = *static_cast<Portions*>(self);
    portions.waiting_.insert(portions.waiting_.end(), frames, frames + count);
    std::uint16_t handed = 0;
    for (; handed < portions.most_ && !portions.waiting_.empty(); ++handed) {
      frames[handed] = portions.waiting_.front();
      portions.waiting_.pop_front();
    }
    return handed;
  }

 private:
  std::uint16_t most_;
  std::deque<rte_mbuf*> waiting_;
};

// Both lists have a drop_mac: one means the card's address, the other a symmetric key's code.
constexpr std::string_view frame_prefix = "frame.";

template <typename Counts, typename Names>
void print_counters(std::string_view prefix, const Counts& counts, const Names& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (counts[i] == 0) continue;
    std::cout << "counter " << prefix << names[i] << ' ' << counts[i] << '\n';
  }
}

void print_counters(const dataplane::Counters& counters) {
  print_counters(frame_prefix, counters.frame, shm::frame_verdict_names);
  print_counters("", counters.verdict, nts::verdict_names);
  print_counters("",
                 std::array{counters.received_packets, counters.received_octets, counters.sent_packets,
                            counters.sent_octets, counters.cookies_issued, counters.verdicts()},
                 std::array<std::string_view, 6>{"received_packets", "received_octets", "sent_packets",
                                                 "sent_octets", "cookies_issued", "verdicts"});
}

// The one verdict that was counted between `before` and `now`; "several" when it was not one.
std::string counted_between(const dataplane::Counters& before, const dataplane::Counters& now) {
  if (now.verdicts() != before.verdicts() + 1) return "several";
  for (std::size_t i = 0; i < now.frame.size(); ++i) {
    if (now.frame[i] != before.frame[i])
      return std::string(frame_prefix) + std::string(shm::frame_verdict_names[i]);
  }
  for (std::size_t i = 0; i < now.verdict.size(); ++i) {
    if (now.verdict[i] != before.verdict[i]) return std::string(nts::verdict_names[i]);
  }
  return "several";
}

struct Pages {
  shm::SettingsPage settings{};
  shm::KeysPage keys{};
  shm::ClockPage clock{};
};

int replay(const dataplane::Port& port, std::uint16_t burst, const std::optional<GivenKey>& given) {
  Portions portions(burst);
  if (rte_eth_add_rx_callback(0, 0, &Portions::hand_out, &portions) == nullptr) {
    std::cerr << "this DPDK was built without receive callbacks\n";
    return 1;
  }
  const auto pages = std::make_unique<Pages>();
  pages->settings.settings.publish(settings());
  pages->keys.ring.publish(ring(given));
  pages->clock.clock.publish(still_clock(0));
  const dataplane::PageSet set{&pages->settings, &pages->keys, &pages->clock};
  const dataplane::CurrentPages current{&set};
  shm::CoreStats line{};
  dataplane::WorkerSetup setup;
  setup.tier = nts::siv::choose_tier();
  setup.pages = &current;
  setup.line = &line;
  setup.instance_id = 1;
  setup.tsc_hz = rte_get_tsc_hz();
  setup.queues = {port.queue(0)};
  const auto worker = std::make_unique<dataplane::Worker>(setup);

  for (std::uint64_t number = 0;; ++number) {
    const hwclock::ClockState clock = still_clock(number);
    pages->clock.clock.publish(clock);
    const dataplane::Counters before = worker->counters();
    if (!worker->serve_once()) break;
    if (rte_rdtsc() - clock.tsc0 >= still_ticks) return exit_stood_still;
    if (burst == 1) {
      std::cout << "frame " << number << ' ' << counted_between(before, worker->counters()) << '\n';
    }
  }
  print_counters(worker->counters());
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const int burst = count >= 4 ? std::atoi(words[3]) : 0;
  if (count < 4 || count > 5 || burst < 1 || burst > static_cast<int>(nts::burst_max)) {
    std::cerr << "golden-replay IN.pcap OUT.pcap BURST [KEY_ID:KEY_IN_HEX]\n";
    return 2;
  }
  try {
    std::optional<GivenKey> given;
    if (count == 5 && !(given = parse_key(words[4]))) return 2;
    const dataplane::Eal eal(dataplane::EalOptions{});
    const dataplane::BufferPool buffers("golden", 1);
    const unsigned before = rte_mempool_avail_count(buffers.get());
    int code = 1;
    {
      const dataplane::Port port(
          "vdev:net_pcap0,rx_pcap=" + std::string(words[1]) + ",tx_pcap=" + std::string(words[2]), 0, 1,
          buffers);
      code = replay(port, static_cast<std::uint16_t>(burst), given);
    }
    std::cout << "buffers " << before << ' ' << rte_mempool_avail_count(buffers.get()) << '\n';
    return code;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
