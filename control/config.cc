// The table of every option: section, key, and how its value is read. The order is that of config.h.

#include "control/config.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <functional>
#include <string_view>

#include "control/config_access.h"
#include "control/config_gnss.h"
#include "control/config_upstream.h"
#include "control/config_value.h"
#include "control/file_check.h"
#include "nts/cookie.h"

namespace shm {

// For duplicates in a list: the same address with another prefix is still the same address.
static bool operator==(const Address& left, const Address& right) {
  return left.family == right.family && std::memcmp(left.octets, right.octets, sizeof left.octets) == 0;
}

static bool operator==(const AccessRule& left, const AccessRule& right) {
  return left.family == right.family && left.prefix_bits == right.prefix_bits &&
         std::memcmp(left.octets, right.octets, sizeof left.octets) == 0;
}

}  // namespace shm

namespace control {
namespace {

constexpr std::size_t file_bytes_max = 1 << 20;
constexpr std::size_t names_max = 64;
constexpr std::size_t listen_max = 16;
constexpr std::uint32_t cpu_max = 1023;
constexpr std::uint32_t ten_years_s = 3653 * 86400U;

struct Field {
  std::string_view key;
  std::function<void(const ConfigValue&)> read;
};
struct Section {
  std::string_view name;
  std::vector<Field> fields;
};

std::vector<Section> sections_of(Config& config) {
  using V = const ConfigValue&;
  Config::Server& server = config.server;
  Config::Dataplane& dataplane = config.dataplane;
  Config::NtsKe& nts_ke = config.nts_ke;
  Config::Access& access = config.access;
  Config::RateLimit& limit = config.rate_limit;
  Config::Keys& keys = config.keys;
  Config::Clock& clock = config.clock;
  Config::Gnss& gnss = config.gnss;
  const auto read_rules = [](V value, shm::Access rule) {
    return read_array<shm::AccessRule>(value, 0, shm::access_rules_max,
                                       [rule](V one) { return read_access_rule(one, rule); });
  };
  const auto read_requests_per_s = [&](V value) {
    const auto* text = value.node.as_string();
    config.rate_limit.requests_per_s =
        text != nullptr && text->get() == "off" ? 0 : read_number(value, 1, 1'000'000);
  };
  const auto read_addresses = [&](V value) {
    server.addresses_automatic = is_auto(value);
    server.addresses.clear();
    if (server.addresses_automatic) return;
    server.addresses = read_array<shm::Address>(value, 1, shm::addresses_max, read_interface_address);
  };
  const auto read_cores = [&](V value) {
    dataplane.cores.clear();
    if (is_auto(value)) return;
    dataplane.cores = read_array<std::uint32_t>(value, 1, shm::cores_max,
                                                [](V one) { return read_number(one, 0, cpu_max); });
  };
  const auto read_vlans = [&](V value) {
    dataplane.vlans.clear();
    const auto* text = value.node.as_string();
    if (text != nullptr && text->get() == "any") return;
    dataplane.vlans = read_array<std::uint16_t>(value, 1, shm::vlans_max, read_vlan);
  };
  return {
      {"server",
       {{"name", [&](V v) { server.name = read_host(v); }},
        {"addresses", read_addresses},
        {"smeared_addresses",
         [&](V v) {
           server.smeared_addresses = read_array<shm::Address>(v, 0, shm::addresses_max, read_own_address);
         }},
        {"ntp_port", [&](V v) { server.ntp_port = read_port(v); }},
        {"answer_plain", [&](V v) { server.answer_plain = read_boolean(v); }},
        {"answer_nts", [&](V v) { server.answer_nts = read_boolean(v); }}}},
      {"dataplane",
       {{"devices",
         [&](V v) { dataplane.devices = read_array<std::string>(v, 1, shm::devices_max, read_device); }},
        {"vlans", read_vlans},
        {"reply_gateways",
         [&](V v) {
           dataplane.reply_gateways = read_array<ReplyGateway>(v, 0, shm::devices_max, read_reply_gateway);
         }},
        {"cores", read_cores},
        {"memory",
         [&](V v) {
           dataplane.memory = read_choice<shm::Memory>(v, {{"auto", shm::Memory::automatic},
                                                           {"hugepages", shm::Memory::hugepages},
                                                           {"ordinary", shm::Memory::ordinary}});
         }},
        {"host_twin",
         [&](V v) {
           dataplane.host_twin = read_choice<shm::HostTwin>(v, {{"auto", shm::HostTwin::automatic},
                                                                {"all", shm::HostTwin::all},
                                                                {"none", shm::HostTwin::none}});
         }},
        {"siv_tier", [&](V v) { dataplane.siv_tier = read_tier(v); }},
        {"departure_ns", [&](V v) { dataplane.departure_ns = read_number(v, 0, 10'000'000); }}}},
      {"nts_ke",
       {{"listen",
         [&](V v) { nts_ke.listen = read_array<std::string>(v, 1, listen_max, read_listen_address); }},
        {"port", [&](V v) { nts_ke.port = read_port(v); }},
        {"certificate", [&](V v) { nts_ke.certificate = read_file_path(v); }},
        {"private_key", [&](V v) { nts_ke.private_key = read_file_path(v); }},
        {"ntp_server", [&](V v) { nts_ke.ntp_server = read_host(v); }},
        {"ntp_servers_ours",
         [&](V v) { nts_ke.ntp_servers_ours = read_array<std::string>(v, 0, names_max, read_host); }},
        {"aeads", [&](V v) { nts_ke.aeads = read_array<std::uint16_t>(v, 1, nts::aeads_count, read_aead); }},
        {"gcm_siv_export",
         [&](V v) {
           nts_ke.gcm_siv_export = read_choice<GcmSivExport>(
               v, {{"compat", GcmSivExport::compat}, {"strict", GcmSivExport::strict}});
         }},
        {"workers", [&](V v) { nts_ke.workers = read_number(v, 1, 16); }},
        {"connections_max", [&](V v) { nts_ke.connections_max = read_number(v, 1, 65536); }},
        {"connections_per_source_max",
         [&](V v) { nts_ke.connections_per_source_max = read_number(v, 1, 65536); }},
        {"phase_deadline_ms", [&](V v) { nts_ke.phase_deadline_ms = read_number(v, 100, 60'000); }},
        {"deadline_ms", [&](V v) { nts_ke.deadline_ms = read_number(v, 100, 60'000); }}}},
      {"access",
       {{"allow", [&, read_rules](V v) { access.allow = read_rules(v, shm::Access::allow); }},
        {"deny", [&, read_rules](V v) { access.deny = read_rules(v, shm::Access::deny); }},
        {"require_nts",
         [&, read_rules](V v) { access.require_nts = read_rules(v, shm::Access::require_nts); }},
        {"kiss", [&](V v) { access.kiss = read_boolean(v); }}}},
      {"rate_limit",
       {{"requests_per_s", read_requests_per_s},
        {"burst", [&](V v) { limit.burst = read_number(v, 1, 1'000'000); }},
        {"leak", [&](V v) { limit.leak = read_number(v, 0, 1'000'000); }},
        {"network_factor", [&](V v) { limit.network_factor = read_number(v, 0, 256); }},
        {"sources", [&](V v) { limit.sources = read_number(v, 1024, 1U << 24); }},
        {"kiss", [&](V v) { limit.kiss = read_boolean(v); }},
        {"kisses_per_s", [&](V v) { limit.kisses_per_s = read_number(v, 1, 100'000'000); }}}},
      {"keys",
       {{"file", [&](V v) { keys.file = read_file_path(v); }},
        {"retention_s", [&](V v) { keys.retention_s = read_number(v, 1, ten_years_s); }}}},
      {"clock",
       {{"source",
         [&](V v) {
           clock.source = read_choice<ClockSource>(v, {{"system", ClockSource::system},
                                                       {"local", ClockSource::local},
                                                       {"gnss", ClockSource::gnss},
                                                       {"upstream", ClockSource::upstream}});
         }},
        {"stratum", [&](V v) { clock.stratum = read_number(v, 1, 15); }},
        {"reference_id", [&](V v) { clock.reference_id = read_reference_id(v); }},
        {"smear",
         [&](V v) {
           clock.smear = read_choice<hwclock::SmearKind>(v, {{"none", hwclock::SmearKind::none},
                                                             {"linear", hwclock::SmearKind::linear},
                                                             {"quadratic", hwclock::SmearKind::quadratic}});
         }},
        {"holdover_max_error_us", [&](V v) { clock.holdover_max_error_us = read_number(v, 1, 16'000'000); }},
        {"drift_ppb", [&](V v) { clock.drift_ppb = read_number(v, 1, 500'000); }},
        {"upstream_max_error_us", [&](V v) { clock.upstream_max_error_us = read_number(v, 1, 1'500'000); }},
        {"upstream_quorum", [&](V v) { clock.upstream_quorum = read_number(v, 1, 16); }},
        {"unauthenticated_date", [&](V v) { clock.unauthenticated_date = read_boolean(v); }}}},
      {"gnss",
       {{"receiver", [&](V v) { gnss.receiver = read_file_path(v); }},
        {"baud", [&](V v) { gnss.baud = read_baud(v); }},
        {"gpsd", [&](V v) { gnss.gpsd = read_gpsd_address(v); }},
        {"gpsd_over_network", [&](V v) { gnss.gpsd_over_network = read_boolean(v); }},
        {"pulse", [&](V v) { gnss.pulse = read_pulse_input(v); }},
        {"pulse_delay_ns", [&](V v) { gnss.pulse_delay_ns = read_signed(v, -500'000'000, 500'000'000); }},
        {"antenna_delay_ns", [&](V v) { gnss.antenna_delay_ns = read_signed(v, 0, 1'000'000); }},
        {"pulse_sigma_ns", [&](V v) { gnss.pulse_sigma_ns = read_number(v, 1, 100'000'000); }},
        {"reference_error_ns", [&](V v) { gnss.reference_error_ns = read_number(v, 1, 1'000'000'000); }},
        {"lock_error_max_us", [&](V v) { gnss.lock_error_max_us = read_number(v, 1, 1'000'000); }},
        {"holdover_max_s", [&](V v) { gnss.holdover_max_s = read_number(v, 10, ten_years_s); }},
        {"reference_id", [&](V v) { gnss.reference_id = read_gnss_reference_id(v); }},
        {"leap_seconds", [&](V v) { gnss.leap_seconds = read_file_path(v); }},
        {"stands_within_m", [&](V v) { gnss.stands_within_m = read_number(v, 0, 100'000); }},
        {"memory", [&](V v) { gnss.memory = read_file_path(v); }}}},
      {"paths", {{"pages", [&](V v) { config.paths.pages = read_path(v, pages_path_bytes_max); }}}},
  };
}

bool equal_but_for_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

// What to write instead of `wrong`: the same word in lower case if it is that, else all that there is.
template <class Known>
std::string instead_of(std::string_view wrong, const Known& known,
                       std::string_view Known::value_type::*name) {
  std::string all;
  for (const auto& one : known) {
    if (equal_but_for_case(wrong, one.*name)) return "write it as " + std::string(one.*name);
    all += (all.empty() ? "" : ", ") + std::string(one.*name);
  }
  return "there are only " + all;
}

void apply_section(const Section& section, const toml::table& table, const std::string& file) {
  for (const auto& [key, node] : table) {
    const auto field = std::find_if(section.fields.begin(), section.fields.end(),
                                    [name = key.str()](const Field& one) { return one.key == name; });
    const std::string path = "[" + std::string(section.name) + "] " + std::string(key.str());
    if (field == section.fields.end()) {
      refuse_at(file, key.source().begin, path + " is not an option",
                instead_of(key.str(), section.fields, &Field::key));
    }
    field->read({node, file, path});
  }
}

// What an editor or a half-finished copy leaves behind. TOML would allow some of it; we would rather ask than
// serve from a file that was cut short or came from another system.
void require_plain_text(std::string_view text, const std::string& file) {
  const auto place_of = [&](std::size_t offset) {
    toml::source_position place{1, 1};
    for (const char c : text.substr(0, offset)) {
      ++place.column;
      if (c == '\n') place = {place.line + 1, 1};
    }
    return place;
  };
  if (text.empty()) refuse_at(file, {1, 1}, "the file is empty", "start from configs/appliance.toml");
  if (text.substr(0, 3) == "\xef\xbb\xbf") {
    refuse_at(file, {1, 1}, "the file starts with a byte order mark", "save it as UTF-8 without one");
  }
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    refuse_at(file, place_of(nul), "there is a NUL octet", "this is no text file; restore it");
  }
  if (const auto cr = text.find('\r'); cr != std::string_view::npos) {
    refuse_at(file, place_of(cr), "there is a carriage return", "save it with Unix line ends");
  }
  if (text.back() != '\n') {
    refuse_at(file, place_of(text.size()), "the last line has no end, so the file may be cut short",
              "check the end and finish it with a newline");
  }
}

void apply_text(std::string_view text, const std::string& file, Config& config) {
  require_plain_text(text, file);
  toml::table document;
  try {
    document = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    refuse_at(file, error.source().begin, std::string(error.description()), "correct this line");
  }
  const std::vector<Section> sections = sections_of(config);
  for (const auto& [key, node] : document) {
    if (key.str() == upstream_section) {
      config.upstreams = read_upstreams(node, file);
      continue;
    }
    const auto section = std::find_if(sections.begin(), sections.end(),
                                      [name = key.str()](const Section& one) { return one.name == name; });
    if (section == sections.end()) {
      refuse_at(file, key.source().begin, "[" + std::string(key.str()) + "] is not a section",
                instead_of(key.str(), sections, &Section::name));
    }
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      refuse_at(file, node.source().begin, std::string(key.str()) + " is a section",
                "write [" + std::string(key.str()) + "] on a line of its own, the options below");
    }
    apply_section(*section, *table, file);
  }
}

void require_smear_agrees(const Config& config, const std::string& file) {
  const auto& ours = config.server.addresses;
  const bool is_smear = config.clock.smear != hwclock::SmearKind::none;
  if (config.server.smeared_addresses.empty()) {
    if (!is_smear) return;
    refuse_at(file, {0, 0}, "[clock] smear is set, but nobody is served smeared time",
              "name the addresses for it in [server] smeared_addresses");
  }
  if (!is_smear) {
    refuse_at(file, {0, 0}, "[server] smeared_addresses are set, but [clock] smear is \"none\"",
              "write [clock] smear = \"linear\" or \"quadratic\"");
  }
  if (config.clock.source != ClockSource::gnss) {
    refuse_at(file, {0, 0}, "[clock] smear needs to know leap seconds before they come",
              "write [clock] source = \"gnss\", or smear in the daemon that sets the kernel's clock");
  }
  for (const shm::Address& smeared : config.server.smeared_addresses) {
    if (config.server.addresses_automatic || std::find(ours.begin(), ours.end(), smeared) != ours.end())
      continue;
    refuse_at(file, {0, 0}, "[server] smeared_addresses holds one that is not in [server] addresses",
              "write them as they stand there, without the prefix length");
  }
}

// Whatever dots and slashes there are too many.
bool is_below(const std::filesystem::path& file, const std::filesystem::path& directory) {
  const std::filesystem::path wanted = (directory / "").lexically_normal().parent_path();
  std::filesystem::path above = file.lexically_normal().parent_path();
  while (above != wanted && above.has_relative_path()) above = above.parent_path();
  return above == wanted;
}

// What only the whole can tell: options without which nothing can be served, and options at odds.
void require_complete(const Config& config, const std::string& file) {
  const auto missing = [&](const std::string& key, const std::string& what_to_do) {
    refuse_at(file, {0, 0}, key + " is missing", what_to_do);
  };
  if (config.server.name.empty()) missing("[server] name", "write the name that clients ask for");
  if (config.dataplane.devices.empty()) missing("[dataplane] devices", "write one like [\"af_packet:eth0\"]");
  require_access_agrees(config.access, file);
  for (const ReplyGateway& gateway : config.dataplane.reply_gateways) {
    const auto& devices = config.dataplane.devices;
    if (std::find(devices.begin(), devices.end(), gateway.device) != devices.end()) continue;
    refuse_at(file, {0, 0}, "[dataplane] reply_gateways names \"" + gateway.device + "\", which is no device",
              "write it as it stands in [dataplane] devices");
  }
  require_smear_agrees(config, file);
  if (!config.server.answer_plain && !config.server.answer_nts) {
    refuse_at(file, {0, 0}, "[server] answer_plain and answer_nts are both false", "switch one of them on");
  }
  if (config.server.answer_nts && config.nts_ke.certificate.empty()) {
    missing("[nts_ke] certificate", "write the path of the PEM file, or set [server] answer_nts = false");
  }
  if (config.server.answer_nts && config.nts_ke.private_key.empty()) {
    missing("[nts_ke] private_key", "write the path of the PEM file, or set [server] answer_nts = false");
  }
  require_upstreams_agree(config, file);
  for (const auto& [key, path] :
       {std::pair("[keys] file", config.keys.file), {"[gnss] memory", config.gnss.memory}}) {
    if (path.empty() || !is_below(path, config.paths.pages)) continue;
    refuse_at(file, {0, 0}, std::string(key) + " is in the page directory, which ends with the machine",
              "keep it on a disk, in a directory of its own under /var/lib");
  }
  if (!config.gnss.memory.empty() && config.gnss.memory.parent_path() == config.keys.file.parent_path()) {
    refuse_at(file, {0, 0}, "[gnss] memory is in the directory of [keys] file, which is the keeper's alone",
              "give it a directory of its own, like \"/var/lib/noonmark/clock/oscillator\"");
  }
  require_gpsd_agrees(config, file);
  if (config.clock.source == ClockSource::gnss) {
    const PulseKind kind = config.gnss.pulse.kind;
    const bool is_numbered = kind == PulseKind::shm || kind == PulseKind::sock ||
                             kind == PulseKind::phc_tai || kind == PulseKind::phc_utc;
    if (config.gnss.pulse.kind == PulseKind::none) {
      missing("[gnss] pulse", "write where the pulses come from, like \"pps:/dev/pps0\"");
    }
    if (!config.gnss.has_receiver() && !is_numbered && !has_date(config)) {
      missing("[gnss] receiver",
              "write the receiver's serial line: it says which second a pulse begins; or let [gnss] gpsd say "
              "it, an [[upstream]] with nts = true, or, with [clock] unauthenticated_date = true, any "
              "[[upstream]]");
    }
  }
  const auto& aeads = config.nts_ke.aeads;
  if (std::find(aeads.begin(), aeads.end(), nts::aead_aes_siv_cmac_256) == aeads.end()) {
    refuse_at(file, {0, 0}, "[nts_ke] aeads is without 15",
              "add 15: it is the one that every client must know (RFC 8915 section 5.1)");
  }
  if (config.nts_ke.connections_per_source_max > config.nts_ke.connections_max) {
    refuse_at(file, {0, 0}, "[nts_ke] connections_per_source_max is larger than connections_max",
              "lower the first or raise the second");
  }
}

}  // namespace

Config read_config(const std::filesystem::path& file, std::span<const std::filesystem::path> overlays) {
  Config config;
  const auto apply_file = [&](const std::filesystem::path& path) {
    std::string text;
    try {
      text = read_checked_file(path, file_bytes_max);
    } catch (const FileError& error) {
      throw ConfigError(path.native() + ":0:0: " + error.what());
    }
    apply_text(text, path.native(), config);
  };
  apply_file(file);
  for (const std::filesystem::path& overlay : overlays) apply_file(overlay);
  require_complete(config, file.native());
  return config;
}

Config parse_config(std::string_view text, const std::string& name) {
  Config config;
  apply_text(text, name, config);
  require_complete(config, name);
  return config;
}

}  // namespace control
