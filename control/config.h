// The one parser of configuration text: TOML in, a Config out, or an error with file, line, column and what
// to do. Unknown keys, duplicates, wrong types and numbers out of range are refused, never guessed.
//
// Each role reads the same root-owned file at start; it holds no secrets, only paths to them. The dataplane
// reads no text at all: admin turns this into the settings page.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/shm/pages.h"
#include "hwclock/smear.h"

namespace control {

// what() is one line: "FILE:LINE:COLUMN: what is wrong; what to do". Line and column 0 when it is not one
// place.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// sun_path holds 108 octets, and "/keeper/socket" and its like still have to fit behind the directory.
inline constexpr std::size_t pages_path_bytes_max = 80;
inline constexpr std::uint16_t unprivileged_port_min = 1024;  // below it, binding takes CAP_NET_BIND_SERVICE

// Where the answers of one device go: "af_packet:eth0=02:00:00:00:00:09".
struct ReplyGateway {
  std::string device;  // as it stands in `devices`
  std::array<std::uint8_t, 6> mac{};
  friend bool operator==(const ReplyGateway& left, const ReplyGateway& right) {
    return left.device == right.device;  // for duplicates in a list: one device has one gateway
  }
};

enum class ClockSource : std::uint8_t { system, local, gnss, upstream };

// What an upstream may do: contradict us only, or also give the time when there is none better.
enum class UpstreamTrust : std::uint8_t { witness, fallback };

// Another server that is asked for the time: one [[upstream]] section.
struct Upstream {
  std::string host;        // name or address; with NTS the certificate must be for it
  std::uint16_t port = 0;  // 0: 123, or with NTS 4460 (of NTS-KE, which tells the other)
  bool nts = false;
  std::filesystem::path ca;   // PEM of the authorities to believe; empty: the system's
  std::uint32_t minpoll = 6;  // log2 of seconds between polls, at least ...
  std::uint32_t maxpoll = 10;
  bool iburst = true;  // eight polls 2 s apart once it can be reached
  UpstreamTrust trust = UpstreamTrust::fallback;
};
inline constexpr std::uint32_t poll_exponent_max = 17;  // RFC 5905 MAXPOLL: 36 hours

// Where pulses, or whole samples of time, come from.
enum class PulseKind : std::uint8_t {
  none,
  kernel_pps_assert,
  kernel_pps_clear,
  sock,
  shm,
  phc_tai,  // a NIC's clock that somebody else steers, in TAI
  phc_utc,
  extts_rising,  // edges on a pin of a NIC's clock
  extts_falling,
  gpsd,          // the edges that it sees
  gpsd_messages  // no edges: when its receiver's messages come
};

struct PulseInput {
  PulseKind kind = PulseKind::none;
  std::filesystem::path path;  // of a device or socket
  std::uint32_t unit = 0;      // of NTP's shared memory
  std::uint32_t pin = 0;       // of a NIC's clock
  std::uint32_t channel = 0;   // what that pin is read through
  friend bool operator==(const PulseInput&, const PulseInput&) = default;
};

// Where gpsd listens.
struct GpsdAddress {
  std::string host;  // an address literal
  std::uint16_t port = 2947;
  [[nodiscard]] bool is_ipv6() const noexcept { return host.find(':') != std::string::npos; }
  // As the configuration has it.
  [[nodiscard]] std::string text() const {
    return (is_ipv6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
  friend bool operator==(const GpsdAddress&, const GpsdAddress&) = default;
};

// How keys of AEAD 30 are exported for a client that does not send record 1024: as chrony 4.4 to 4.6.0 does,
// or as RFC 8915 says.
enum class GcmSivExport : std::uint8_t { compat, strict };

// Member by member the TOML key of the same name, [server] name = ... and so on. Defaults stand here and,
// explained, in configs/appliance.toml.
struct Config {
  struct Server {
    std::string name;                 // what clients ask for; goes into messages and the Server record
    bool addresses_automatic = true;  // addresses = "auto": all global addresses of the devices' interfaces
    std::vector<shm::Address> addresses;          // addresses = ["192.0.2.1/24", "2001:db8::1/64"]
    std::vector<shm::Address> smeared_addresses;  // of ours, without a prefix: never told of a leap second
    std::uint16_t ntp_port = 123;
    bool answer_plain = true;
    bool answer_nts = true;
  } server;

  struct Dataplane {
    std::vector<std::string> devices;                    // "af_packet:eth0", "pci:0000:3b:00.0", ...
    std::vector<std::uint16_t> vlans;                    // empty ("any"): all; 0: frames without a VLAN
    std::vector<ReplyGateway> reply_gateways;            // none: back to the MAC address that asked
    std::vector<std::uint32_t> cores;                    // empty ("auto"): the last CPU this process may use
    shm::Memory memory = shm::Memory::automatic;         // "auto", "hugepages", "ordinary"
    shm::HostTwin host_twin = shm::HostTwin::automatic;  // "auto", "all", "none"
    std::string siv_tier;                                // empty: the best this CPU has
    std::uint32_t departure_ns = 0;                      // the constant the first departure model predicts
  } dataplane;

  struct NtsKe {
    std::vector<std::string> listen = {"0.0.0.0", "::"};
    std::uint16_t port = 4460;
    std::filesystem::path certificate;  // PEM, chain included
    std::filesystem::path private_key;  // PEM, readable by the ke role only
    std::string ntp_server;             // sent as Server record when set: an address or a name of this server
    // IANA numbers of the AEADs offered, the one taken first where a client knows several; 15 is among them.
    std::vector<std::uint16_t> aeads = {30, 15};
    GcmSivExport gcm_siv_export = GcmSivExport::compat;
    std::vector<std::string> ntp_servers_ours;  // what a client may wish for with a Server record (P08)
    std::uint32_t workers = 1;
    std::uint32_t connections_max = 2048;
    std::uint32_t connections_per_source_max = 64;  // per IPv4 address and per IPv6 /64
    std::uint32_t phase_deadline_ms = 2000;         // of each phase of a connection (control/ke_limits.h)
    std::uint32_t deadline_ms = 5000;               // of a whole connection, from accept to close
  } nts_ke;

  // Who is answered, by source address: the longest prefix decides.
  struct Access {
    std::vector<shm::AccessRule> allow;  // out of a denied prefix
    std::vector<shm::AccessRule> deny;
    std::vector<shm::AccessRule> require_nts;  // gets no plain answer
    bool kiss = false;                         // DENY instead of silence
  } access;

  // How much one source may ask for on each core (dataplane/source_limit.h).
  struct RateLimit {
    std::uint32_t requests_per_s = 0;  // 0 ("off"): no limit
    std::uint32_t burst = 16;
    std::uint32_t leak = 4;
    std::uint32_t network_factor = 16;
    std::uint32_t sources = 65536;
    bool kiss = false;  // RATE instead of silence
    std::uint32_t kisses_per_s = 10'000;
  } rate_limit;

  struct Keys {
    std::filesystem::path file = "/var/lib/noonmark/keeper/keys";
    std::uint32_t retention_s = 14 * 86400;  // a rotation that would evict a younger key is refused
  } keys;

  struct Clock {
    ClockSource source = ClockSource::system;
    std::uint32_t stratum = 10;                  // declared: no kernel knows the stratum of its clock
    std::string reference_id = "LOCL";           // of source "local", and of a "system" at stratum 1
    std::uint32_t holdover_max_error_us = 1000;  // beyond this root dispersion the clock says unsynchronised
    std::uint32_t drift_ppb = 15000;             // how fast the error grows without news (RFC 5905: 15 ppm)
    hwclock::SmearKind smear = hwclock::SmearKind::none;  // how [server] smeared_addresses meet a leap second
    std::uint32_t upstream_max_error_us = 1'000'000;      // beyond this, time from upstreams is none
    std::uint32_t upstream_quorum = 2;  // so many authenticated ones may contradict a receiver
    bool unauthenticated_date = false;  // upstreams without NTS may name the second of pulses too
  } clock;

  // Of source "gnss": a receiver, its pulses, and what is known of both.
  struct Gnss {
    std::filesystem::path receiver;  // a serial line with NMEA or UBX; empty: pulses name their seconds
    std::uint32_t baud = 9600;
    std::optional<GpsdAddress> gpsd;        // in the receiver's place
    bool gpsd_over_network = false;         // it may be another machine's
    PulseInput pulse;                       // "pps:/dev/pps0", "sock:/run/noonmark/clock/pulse", "shm:2"
    std::int32_t pulse_delay_ns = 0;        // how late a pulse is seen: interrupt, input
    std::int32_t antenna_delay_ns = 0;      // how late it leaves the receiver: antenna and cable
    std::uint32_t pulse_sigma_ns = 0;       // how unsteady a pulse is; 0: what is usual for its input
    std::uint32_t reference_error_ns = 0;   // what may be constantly wrong; 0: what is usual, not calibrated
    std::uint32_t lock_error_max_us = 100;  // LOCKED only below this error
    std::uint32_t holdover_max_s = 86'400;
    std::string reference_id = "GPS";
    std::filesystem::path leap_seconds = "/usr/share/zoneinfo/leap-seconds.list";
    std::filesystem::path memory;         // what was learned of the oscillator; empty: nothing is kept
    std::uint32_t stands_within_m = 100;  // a receiver that jumps further is not believed; 0: it travels

    // Somebody says which second a pulse begins, and whether to believe it.
    [[nodiscard]] bool has_receiver() const noexcept { return !receiver.empty() || gpsd.has_value(); }
  } gnss;

  std::vector<Upstream> upstreams;  // [[upstream]], one section each

  struct Paths {
    std::filesystem::path pages = "/run/noonmark";
  } paths;

  // How many `ke` roles run: none where NTS is not answered.
  [[nodiscard]] std::uint32_t ke_workers() const { return server.answer_nts ? nts_ke.workers : 0; }
};

// Reads `file`; later files of `overlays` win key by key. Refuses what is no regular file, larger than 1 MiB,
// relative, or writable by others. Throws ConfigError.
[[nodiscard]] Config read_config(const std::filesystem::path& file,
                                 std::span<const std::filesystem::path> overlays = {});

// The same for text, for tests and fuzzers. `name` stands in messages where the file would.
[[nodiscard]] Config parse_config(std::string_view text, const std::string& name);

}  // namespace control
