// The pages: what the processes tell each other, one struct per file.
//
// Each page has one writer; readers map it read-only and, being another uid, cannot do otherwise. A layout
// never changes in place: a new one gets a new layout_version and a new file, swapped by rename. All fields
// are native-endian: both ends run on this machine.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/shm/frame_verdict.h"
#include "dataplane/shm/port_report.h"
#include "dataplane/shm/published.h"
#include "hwclock/clock_state.h"
#include "nts/aead.h"
#include "nts/key_ring.h"
#include "nts/verdict.h"

namespace shm {

enum class PageKind : std::uint32_t { keys = 1, clock = 2, settings = 3, stats = 4 };

struct PageHeader {
  std::uint64_t magic;           // page_magic
  std::uint32_t layout_version;  // page_layout_version
  PageKind kind;
  std::uint64_t bytes;  // of the whole page: sizeof the struct
};
static_assert(sizeof(PageHeader) == 24);
static_assert(offsetof(PageHeader, layout_version) == 8 && offsetof(PageHeader, bytes) == 16);

// A value of `bytes` octets behind the header, with its generation in front.
constexpr std::size_t page_bytes(std::size_t value_bytes) {
  return sizeof(PageHeader) + sizeof(std::uint64_t) + value_bytes;
}

inline constexpr std::uint64_t page_magic = 0x6b72616d6e6f6f6e;  // "noonmark" read as little-endian octets
inline constexpr std::uint32_t page_layout_version = 7;

// keeper -> dataplane. Mode 0640, mlocked and kept out of core dumps on both sides.
struct KeysPage {
  PageHeader header;
  Published<nts::KeyRing> ring;
};
static_assert(offsetof(KeysPage, ring) == 24 && sizeof(KeysPage) == page_bytes(sizeof(nts::KeyRing)));

// clock -> dataplane, admin, everybody.
struct ClockPage {
  PageHeader header;
  Published<hwclock::ClockState> clock;
};
static_assert(offsetof(ClockPage, clock) == 24 &&
              sizeof(ClockPage) == page_bytes(sizeof(hwclock::ClockState)));

inline constexpr std::uint32_t addresses_max = 64;
inline constexpr std::uint32_t devices_max = 8;
inline constexpr std::uint32_t cores_max = 64;
inline constexpr std::uint32_t vlans_max = 64;

struct Address {
  std::uint8_t family;       // 4 or 6
  std::uint8_t prefix_bits;  // of its subnet, so that the subnet's broadcast address is known
  std::uint8_t is_smeared;   // served addresses: leap seconds are smeared for who asks here (hwclock/smear.h)
  std::uint8_t reserved[5];
  std::uint8_t octets[16];  // network order; IPv4 uses the first four
};
static_assert(sizeof(Address) == 24);

enum class Memory : std::uint32_t { automatic = 0, hugepages = 1, ordinary = 2 };

// What the operator decided of a source. Each but `allow` restricts.
enum class Access : std::uint8_t { allow = 0, deny = 1, require_nts = 2 };

struct AccessRule {
  std::uint8_t family;       // 4 or 6
  std::uint8_t prefix_bits;  // the longest prefix decides
  Access access;
  std::uint8_t reserved[5];
  std::uint8_t octets[16];  // network order, zeros behind the prefix; IPv4 uses the first four
};
static_assert(sizeof(AccessRule) == 24);
inline constexpr std::uint32_t access_rules_max = 128;

// How much one source may ask for, on each core.
struct RateLimit {
  std::uint32_t requests_per_s;  // 0: no limit
  std::uint32_t burst;           // 1 or more: that may come at once
  std::uint32_t leak;            // of so many requests beyond it one is served, by chance; 0: none
  std::uint32_t
      network_factor;          // an IPv6 /56 may have so many times as much as a /64; 0: it is not looked at
  std::uint32_t sources;       // that are remembered; read once at start
  std::uint32_t kisses_per_s;  // kisses of death of all kinds; 0: no bound
};
static_assert(sizeof(RateLimit) == 24);

// Which ports leave the kernel its share through a twin (host_twin.h): each pci: device that would leave it
// nothing, vdev: devices as well, or none.
enum class HostTwin : std::uint32_t { automatic = 0, all = 1, none = 2 };

struct Settings {
  std::uint64_t revision;  // rises with every change; 0 = none yet
  std::uint32_t address_count;
  std::uint32_t device_count;
  std::uint32_t core_count;
  Memory memory;
  std::uint16_t ntp_port;
  std::uint8_t answer_plain;
  std::uint8_t answer_nts;
  std::uint32_t departure_ns;                    // how long after the stamp a burst is expected to leave
  char siv_tier[32];                             // empty: the best one
  std::uint32_t cores[cores_max];                // CPU numbers, one worker each
  char devices[devices_max][device_name_bytes];  // "af_packet:eth0", "vdev:net_ring0,..." as in the config
  Address addresses[addresses_max];              // served; already resolved when the config says auto
  std::uint32_t vlan_count;                      // 0: every VLAN, and frames without a tag
  HostTwin host_twin;
  std::uint16_t vlans[vlans_max];  // ids 0 to 4094; 0 stands for frames without a tag or with a priority only
  std::uint8_t reply_gateways[devices_max][8];  // by device: a MAC address in the first six octets that all
                                                // answers go to; zeros: to whom the request came from
  RateLimit rate_limit;
  std::uint32_t access_rule_count;
  std::uint8_t kiss_limited;  // what is beyond the rate limit gets the kiss RATE, instead of nothing
  std::uint8_t kiss_refused;  // what the access rules refuse gets the kiss DENY, instead of nothing
  std::uint8_t reserved[2];
  AccessRule access_rules[access_rules_max];
  // Which workers the operator has taken out of service, as bits by number in the stats page, and of which
  // dataplane: another one's instance id means none.
  std::uint64_t drained_instance;
  std::uint64_t drained_workers;
};
static_assert(cores_max <= 64);  // the bits of drained_workers
static_assert(offsetof(Settings, ntp_port) == 24 && offsetof(Settings, siv_tier) == 32);
static_assert(offsetof(Settings, cores) == 64 && offsetof(Settings, devices) == 320);
static_assert(offsetof(Settings, addresses) == 2368 && offsetof(Settings, host_twin) == 3908);
static_assert(offsetof(Settings, vlans) == 3912);
static_assert(offsetof(Settings, reply_gateways) == 4040 && offsetof(Settings, rate_limit) == 4104);
static_assert(offsetof(Settings, access_rules) == 4136 && offsetof(Settings, drained_instance) == 7208);
static_assert(sizeof(Settings) == 7224);

// admin -> dataplane. Addresses, VLANs, gateways, port, limits, drained cores and who is answered may change
// while the dataplane runs; devices, cores, memory, tier and the number of sources are read once at its
// start.
struct SettingsPage {
  PageHeader header;
  Published<Settings> settings;
};
static_assert(offsetof(SettingsPage, settings) == 24 && sizeof(SettingsPage) == page_bytes(sizeof(Settings)));

// One worker's line. Only that worker writes it; counters only rise. Relaxed atomics: each is true by itself,
// and the sums agree once the worker is idle.
struct alignas(64) CoreStats {
  std::atomic<std::uint64_t> instance_id;        // of the process this worker belongs to
  std::atomic<std::uint64_t> acknowledged_keys;  // KeyRing.generation this core opens cookies with
  std::atomic<std::uint64_t> heartbeat_tsc;      // last commit
  std::atomic<std::uint64_t> cpu;
  std::atomic<std::uint64_t>
      is_drained;                     // 1: it polls nothing and acknowledges nothing until it has read anew
  std::atomic<std::uint64_t> queues;  // that it polls
  std::atomic<std::uint64_t> bursts;
  std::atomic<std::uint64_t> received_packets;
  std::atomic<std::uint64_t> received_octets;  // of frames
  std::atomic<std::uint64_t> sent_packets;
  std::atomic<std::uint64_t> sent_octets;
  std::atomic<std::uint64_t> cookies_issued;
  std::atomic<std::uint64_t> kernel_sent_packets;  // from the kernel over a twin, sent on; none of `sent_`
  std::atomic<std::uint64_t> kernel_sent_octets;
  std::atomic<std::uint64_t> kernel_unsent_packets;  // the same, too long or no room
  std::atomic<std::uint64_t> frame[frame_verdict_count];
  std::atomic<std::uint64_t> verdict[nts::verdict_count];
};
static_assert(offsetof(CoreStats, frame) == 120 &&
              sizeof(CoreStats) % 64 == 0);  // no line is shared by cores

// One port. The report is written once, before `serving`; the link is looked at about once a second.
struct PortState {
  PortReport report;
  std::atomic<std::uint32_t> link_is_up;
  std::atomic<std::uint32_t> link_mbps;  // 0: not known
};
static_assert(offsetof(PortState, link_is_up) == 344 && sizeof(PortState) == 352);

// Who computes the sessions under one AEAD.
struct AeadTier {
  char name[32];
  char instruction_sets[96];
};

// dataplane -> keeper (acknowledgements), admin (everything).
struct StatsPage {
  PageHeader header;
  std::atomic<std::uint64_t> instance_id;  // random, new with each start; 0 = no dataplane has run
  std::atomic<std::uint64_t> pid;
  std::atomic<std::uint64_t> started_unix_s;
  std::atomic<std::uint64_t> tsc_hz;
  std::atomic<std::uint64_t> core_count;
  std::atomic<std::uint64_t> serving;  // 1 from the first poll of the workers, 0 after a clean stop
  char tier_name[32];                  // of AES-SIV, for cookies and AEAD 15; written before `serving`
  char tier_instruction_sets[64];
  PortState ports[devices_max];
  CoreStats cores[cores_max];
  AeadTier aead_tiers[nts::aeads_count];  // by nts::AeadRow; written before `serving`
};
static_assert(offsetof(StatsPage, instance_id) == 24 && offsetof(StatsPage, tier_name) == 72);
static_assert(offsetof(StatsPage, ports) == 168 && offsetof(StatsPage, cores) == 3008);

}  // namespace shm
