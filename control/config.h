// The one parser of configuration text: TOML in, a Config out, or an error with file, line, column and what
// to do. Unknown keys, duplicates, wrong types and numbers out of range are refused, never guessed.
//
// Each role reads the same root-owned file at start; it holds no secrets, only paths to them. The dataplane
// reads no text at all: admin turns this into the settings page.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/shm/pages.h"

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

enum class ClockSource : std::uint8_t { system, local };

// Member by member the TOML key of the same name, [server] name = ... and so on. Defaults stand here and,
// explained, in configs/appliance.toml.
struct Config {
  struct Server {
    std::string name;                 // what clients ask for; goes into messages and the Server record
    bool addresses_automatic = true;  // addresses = "auto": all global addresses of the devices' interfaces
    std::vector<shm::Address> addresses;  // addresses = ["192.0.2.1/24", "2001:db8::1/64"]
    std::uint16_t ntp_port = 123;
    bool answer_plain = true;
    bool answer_nts = true;
  } server;

  struct Dataplane {
    std::vector<std::string> devices;             // "af_packet:eth0", "vdev:net_null0", ...
    std::vector<std::uint32_t> cores;             // empty ("auto"): the last CPU this process may use
    shm::Memory memory = shm::Memory::automatic;  // "auto", "hugepages", "ordinary"
    std::string siv_tier;                         // empty: the best this CPU has
    std::uint32_t departure_ns = 0;               // the constant the first departure model predicts
  } dataplane;

  struct NtsKe {
    std::vector<std::string> listen = {"0.0.0.0", "::"};
    std::uint16_t port = 4460;
    std::filesystem::path certificate;  // PEM, chain included
    std::filesystem::path private_key;  // PEM, readable by the ke role only
    std::string ntp_server;             // sent as Server record when set: an address or a name of this server
    std::vector<std::string> ntp_servers_ours;  // what a client may wish for with a Server record (P08)
    std::uint32_t workers = 1;
    std::uint32_t connections_max = 2048;
    std::uint32_t connections_per_source_max = 64;  // per IPv4 address and per IPv6 /64
    std::uint32_t deadline_ms = 5000;               // of a whole connection, from accept to close
  } nts_ke;

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
  } clock;

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
