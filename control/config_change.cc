#include "control/config_change.h"

#include <algorithm>
#include <cstring>

namespace control {
namespace {

enum class Taken : std::uint8_t {
  at_restart,
  live,
  with_smear,  // live, but never without the [clock] smear that it is for, which waits for a restart
};

struct Row {
  const char* name;
  Taken taken;
  bool (*is_same)(const Config& one, const Config& other);
  void (*copy)(const Config& from, Config& to);
};

bool same(const auto& one, const auto& other) { return one == other; }
bool same(const shm::Address& one, const shm::Address& other) {
  return one.family == other.family && one.prefix_bits == other.prefix_bits &&
         std::equal(std::begin(one.octets), std::end(one.octets), std::begin(other.octets));
}
bool same(const std::vector<shm::Address>& one, const std::vector<shm::Address>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const shm::Address& left, const shm::Address& right) { return same(left, right); });
}
bool same(const std::vector<shm::AccessRule>& one, const std::vector<shm::AccessRule>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const shm::AccessRule& left, const shm::AccessRule& right) {
                      return std::memcmp(&left, &right, sizeof left) == 0;  // no padding, and made from zeros
                    });
}
// Two gateways of one device are equal in a list; here the address counts as well.
bool same(const std::vector<ReplyGateway>& one, const std::vector<ReplyGateway>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const ReplyGateway& left, const ReplyGateway& right) {
                      return left.device == right.device && left.mac == right.mac;
                    });
}

template <auto Section, auto... Members>
constexpr Row row(const char* name, Taken taken) {
  return {name, taken,
          [](const Config& one, const Config& other) {
            return (same((one.*Section).*Members, (other.*Section).*Members) && ...);
          },
          [](const Config& from, Config& to) { (((to.*Section).*Members = (from.*Section).*Members), ...); }};
}

// One key of all [[upstream]] sections. The role asks whom it was started with, so they wait for a restart.
template <auto Member>
constexpr Row upstream_row(const char* name) {
  return {name, Taken::at_restart,
          [](const Config& one, const Config& other) {
            return std::equal(
                one.upstreams.begin(), one.upstreams.end(), other.upstreams.begin(), other.upstreams.end(),
                [](const Upstream& left, const Upstream& right) { return left.*Member == right.*Member; });
          },
          [](const Config&, Config&) {}};
}

using Server = Config::Server;
using Dataplane = Config::Dataplane;
using NtsKe = Config::NtsKe;
using Access = Config::Access;
using RateLimit = Config::RateLimit;
using Keys = Config::Keys;
using Clock = Config::Clock;
using Gnss = Config::Gnss;
using Paths = Config::Paths;

// Sections and keys in the order of configs/appliance.toml.
constexpr Row rows[] = {
    row<&Config::server, &Server::name>("[server] name", Taken::live),
    row<&Config::server, &Server::addresses_automatic, &Server::addresses>("[server] addresses", Taken::live),
    row<&Config::server, &Server::smeared_addresses>("[server] smeared_addresses", Taken::with_smear),
    row<&Config::server, &Server::ntp_port>("[server] ntp_port", Taken::at_restart),
    row<&Config::server, &Server::answer_plain>("[server] answer_plain", Taken::live),
    row<&Config::server, &Server::answer_nts>("[server] answer_nts", Taken::at_restart),
    row<&Config::dataplane, &Dataplane::devices>("[dataplane] devices", Taken::at_restart),
    row<&Config::dataplane, &Dataplane::vlans>("[dataplane] vlans", Taken::live),
    row<&Config::dataplane, &Dataplane::reply_gateways>("[dataplane] reply_gateways", Taken::live),
    row<&Config::dataplane, &Dataplane::host_twin>("[dataplane] host_twin", Taken::at_restart),
    row<&Config::dataplane, &Dataplane::cores>("[dataplane] cores", Taken::at_restart),
    row<&Config::dataplane, &Dataplane::memory>("[dataplane] memory", Taken::at_restart),
    row<&Config::dataplane, &Dataplane::siv_tier>("[dataplane] siv_tier", Taken::at_restart),
    row<&Config::dataplane, &Dataplane::departure_ns>("[dataplane] departure_ns", Taken::live),
    row<&Config::nts_ke, &NtsKe::listen>("[nts_ke] listen", Taken::at_restart),
    row<&Config::nts_ke, &NtsKe::port>("[nts_ke] port", Taken::at_restart),
    row<&Config::nts_ke, &NtsKe::certificate>("[nts_ke] certificate", Taken::live),
    row<&Config::nts_ke, &NtsKe::private_key>("[nts_ke] private_key", Taken::live),
    row<&Config::nts_ke, &NtsKe::ntp_server>("[nts_ke] ntp_server", Taken::live),
    row<&Config::nts_ke, &NtsKe::ntp_servers_ours>("[nts_ke] ntp_servers_ours", Taken::live),
    row<&Config::nts_ke, &NtsKe::aeads>("[nts_ke] aeads", Taken::live),
    row<&Config::nts_ke, &NtsKe::gcm_siv_export>("[nts_ke] gcm_siv_export", Taken::live),
    row<&Config::nts_ke, &NtsKe::workers>("[nts_ke] workers", Taken::at_restart),
    // The launcher gave each worker descriptors for so many.
    row<&Config::nts_ke, &NtsKe::connections_max>("[nts_ke] connections_max", Taken::at_restart),
    row<&Config::nts_ke, &NtsKe::connections_per_source_max>("[nts_ke] connections_per_source_max",
                                                             Taken::live),
    row<&Config::nts_ke, &NtsKe::phase_deadline_ms>("[nts_ke] phase_deadline_ms", Taken::live),
    row<&Config::nts_ke, &NtsKe::deadline_ms>("[nts_ke] deadline_ms", Taken::live),
    row<&Config::access, &Access::allow>("[access] allow", Taken::live),
    row<&Config::access, &Access::deny>("[access] deny", Taken::live),
    row<&Config::access, &Access::require_nts>("[access] require_nts", Taken::live),
    row<&Config::access, &Access::kiss>("[access] kiss", Taken::live),
    row<&Config::rate_limit, &RateLimit::requests_per_s>("[rate_limit] requests_per_s", Taken::live),
    row<&Config::rate_limit, &RateLimit::burst>("[rate_limit] burst", Taken::live),
    row<&Config::rate_limit, &RateLimit::leak>("[rate_limit] leak", Taken::live),
    row<&Config::rate_limit, &RateLimit::network_factor>("[rate_limit] network_factor", Taken::live),
    row<&Config::rate_limit, &RateLimit::sources>("[rate_limit] sources", Taken::at_restart),
    row<&Config::rate_limit, &RateLimit::kiss>("[rate_limit] kiss", Taken::live),
    row<&Config::rate_limit, &RateLimit::kisses_per_s>("[rate_limit] kisses_per_s", Taken::live),
    row<&Config::keys, &Keys::file>("[keys] file", Taken::at_restart),
    row<&Config::keys, &Keys::retention_s>("[keys] retention_s", Taken::live),
    row<&Config::clock, &Clock::source>("[clock] source", Taken::at_restart),
    row<&Config::clock, &Clock::stratum>("[clock] stratum", Taken::at_restart),
    row<&Config::clock, &Clock::reference_id>("[clock] reference_id", Taken::at_restart),
    row<&Config::clock, &Clock::holdover_max_error_us>("[clock] holdover_max_error_us", Taken::at_restart),
    row<&Config::clock, &Clock::smear>("[clock] smear", Taken::at_restart),
    row<&Config::clock, &Clock::drift_ppb>("[clock] drift_ppb", Taken::at_restart),
    row<&Config::clock, &Clock::upstream_max_error_us>("[clock] upstream_max_error_us", Taken::at_restart),
    row<&Config::clock, &Clock::upstream_quorum>("[clock] upstream_quorum", Taken::at_restart),
    row<&Config::clock, &Clock::unauthenticated_date>("[clock] unauthenticated_date", Taken::at_restart),
    row<&Config::gnss, &Gnss::receiver>("[gnss] receiver", Taken::at_restart),
    row<&Config::gnss, &Gnss::baud>("[gnss] baud", Taken::at_restart),
    row<&Config::gnss, &Gnss::gpsd>("[gnss] gpsd", Taken::at_restart),
    row<&Config::gnss, &Gnss::gpsd_over_network>("[gnss] gpsd_over_network", Taken::at_restart),
    row<&Config::gnss, &Gnss::pulse>("[gnss] pulse", Taken::at_restart),
    row<&Config::gnss, &Gnss::pulse_delay_ns>("[gnss] pulse_delay_ns", Taken::at_restart),
    row<&Config::gnss, &Gnss::antenna_delay_ns>("[gnss] antenna_delay_ns", Taken::at_restart),
    row<&Config::gnss, &Gnss::pulse_sigma_ns>("[gnss] pulse_sigma_ns", Taken::at_restart),
    row<&Config::gnss, &Gnss::reference_error_ns>("[gnss] reference_error_ns", Taken::at_restart),
    row<&Config::gnss, &Gnss::reference_id>("[gnss] reference_id", Taken::at_restart),
    row<&Config::gnss, &Gnss::lock_error_max_us>("[gnss] lock_error_max_us", Taken::at_restart),
    row<&Config::gnss, &Gnss::holdover_max_s>("[gnss] holdover_max_s", Taken::at_restart),
    row<&Config::gnss, &Gnss::leap_seconds>("[gnss] leap_seconds", Taken::at_restart),
    row<&Config::gnss, &Gnss::stands_within_m>("[gnss] stands_within_m", Taken::at_restart),
    row<&Config::gnss, &Gnss::memory>("[gnss] memory", Taken::at_restart),
    upstream_row<&Upstream::host>("[[upstream]] host"),
    upstream_row<&Upstream::port>("[[upstream]] port"),
    upstream_row<&Upstream::nts>("[[upstream]] nts"),
    upstream_row<&Upstream::ca>("[[upstream]] ca"),
    upstream_row<&Upstream::minpoll>("[[upstream]] minpoll"),
    upstream_row<&Upstream::maxpoll>("[[upstream]] maxpoll"),
    upstream_row<&Upstream::iburst>("[[upstream]] iburst"),
    upstream_row<&Upstream::trust>("[[upstream]] trust"),
    row<&Config::paths, &Paths::pages>("[paths] pages", Taken::at_restart),
};

bool is_live(const Row& row, const Config& running, const Config& fresh) {
  return row.taken == Taken::live ||
         (row.taken == Taken::with_smear && running.clock.smear == fresh.clock.smear);
}

}  // namespace

ConfigChange change_between(const Config& running, const Config& fresh) {
  ConfigChange change;
  for (const Row& row : rows) {
    if (row.is_same(running, fresh)) continue;
    (is_live(row, running, fresh) ? change.live : change.at_restart).emplace_back(row.name);
  }
  return change;
}

Config with_live_keys(const Config& running, const Config& fresh) {
  Config taken = running;
  for (const Row& row : rows) {
    if (is_live(row, running, fresh)) row.copy(fresh, taken);
  }
  if (!taken.server.answer_plain && !taken.server.answer_nts) {
    throw ConfigError(
        "[server] answer_plain = false would leave nobody answered until a restart brings answer_nts = true; "
        "restart Noonmark, or reload without the first");
  }
  return taken;
}

std::vector<std::string> all_config_keys() {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}

}  // namespace control
