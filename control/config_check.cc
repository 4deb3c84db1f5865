#include "control/config_check.h"

#include <cerrno>
#include <ctime>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config.h"
#include "control/directories.h"
#include "control/file_check.h"
#include "control/roles.h"
#include "control/settings.h"
#include "control/tls.h"
#include "dataplane/shm/host_twin.h"
#include "dataplane/shm/segment.h"
#include "nts/gcm_siv/gcm_siv.h"
#include "nts/siv/siv.h"

namespace control {
namespace {

using nlohmann::json;

constexpr std::int64_t day_s = 86400;
constexpr std::int64_t expiry_warning_s = 14 * day_s;

const char* name_of(ClockSource source) {
  switch (source) {
    case ClockSource::local:
      return "local";
    case ClockSource::gnss:
      return "gnss";
    case ClockSource::upstream:
      return "upstream";
    case ClockSource::system:
      break;
  }
  return "system";
}

class Check {
 public:
  Check(const std::filesystem::path& file, ConfigCheck& report)
      : place_(file.native() + ":0:0: "), report_(report) {}

  void look_at(const Config& config) {
    summarise(config);
    try {
      require_address_source(config);
    } catch (const ConfigError& wrong) {
      report_.errors.push_back(place_ + wrong.what());
    }
    if (config.ke_workers() != 0) look_at_certificate(config);
    look_at_directory("[keys] file", config.keys.file.parent_path(), require_keys_directory);
    if (!config.gnss.memory.empty())
      look_at_directory("[gnss] memory", config.gnss.memory.parent_path(), require_memory_directory);
    for (const Upstream& upstream : config.upstreams) {
      if (!upstream.ca.empty()) look_at_authorities(upstream.ca);
    }
    look_at_machine(config);
  }

  // Every role reads the configuration as the user it is.
  void look_at_readers(const std::filesystem::path& file) {
    try {
      for (const Identity& identity : identities) {
        if (identity.role != Role::dataplane) require_readable_by(file, identity.uid, identity.gid);
      }
    } catch (const FileError& wrong) {
      report_.errors.push_back(file.native() + ":0:0: " + wrong.what());
    }
  }

 private:
  void refuse(const std::string& key, const std::filesystem::path& path, const std::string& what) {
    report_.errors.push_back(place_ + key + " " + path.native() + ": " + what);
  }
  void warn(const std::string& key, const std::filesystem::path& path, const std::string& what) {
    report_.warnings.push_back(place_ + key + " " + path.native() + ": " + what);
  }

  // True when this user, not the file, is why it cannot be looked at.
  static bool is_out_of_sight(const std::filesystem::path& path) {
    return ::geteuid() != 0 && ::access(path.c_str(), R_OK) != 0 && errno == EACCES;
  }

  void summarise(const Config& config) {
    json addresses = "auto";
    if (!config.server.addresses_automatic) {
      addresses = json::array();
      for (const shm::Address& address : config.server.addresses) addresses.push_back(text_of(address));
    }
    report_.summary = {{"server", config.server.name},        {"addresses", std::move(addresses)},
                       {"devices", config.dataplane.devices}, {"ntp_port", config.server.ntp_port},
                       {"ke_port", config.nts_ke.port},       {"clock_source", name_of(config.clock.source)},
                       {"pages", config.paths.pages.native()}};
    if (config.clock.source == ClockSource::local) report_.summary["stratum"] = config.clock.stratum;
  }

  void look_at_certificate(const Config& config) {
    const auto& [certificate, key] = std::tie(config.nts_ke.certificate, config.nts_ke.private_key);
    if (is_out_of_sight(certificate) || is_out_of_sight(key)) {
      warn("[nts_ke] private_key", key, "this user may not read it, so it was not looked at; check as root");
      return;
    }
    const Identity& ke = identity_of(Role::ke);
    bool is_readable = true;
    try {
      require_secret_file(key, ke.uid, ke.gid);
      require_readable_by(key, ke.uid, ke.gid);
    } catch (const FileError& wrong) {
      refuse("[nts_ke] private_key", key, wrong.what());
      is_readable = std::filesystem::is_regular_file(key);
    }
    try {
      static_cast<void>(read_checked_file(certificate, certificate_bytes_max));
      require_readable_by(certificate, ke.uid, ke.gid);
    } catch (const FileError& wrong) {
      refuse("[nts_ke] certificate", certificate, wrong.what());
      is_readable = false;
    }
    if (!is_readable) return;
    try {
      const std::int64_t expires_s = TlsContext::for_server(certificate, key).expires_unix_s();
      report_.summary["certificate_expires_unix_s"] = expires_s;
      warn_of_expiry(certificate, expires_s);
    } catch (const TlsError& wrong) {
      report_.errors.push_back(place_ + "[nts_ke] " + wrong.what());
    }
  }

  // What an upstream's certificate is to be believed for.
  void look_at_authorities(const std::filesystem::path& ca) {
    const std::string key = "[[upstream]] ca";
    if (is_out_of_sight(ca)) {
      return warn(key, ca, "this user may not read it, so it was not looked at; check as root");
    }
    const Identity& upstream = identity_of(Role::upstream);
    try {
      static_cast<void>(read_checked_file(ca, certificate_bytes_max));
      require_readable_by(ca, upstream.uid, upstream.gid);
      static_cast<void>(TlsContext::for_client(ca));
    } catch (const FileError& wrong) {
      refuse(key, ca, wrong.what());
    } catch (const TlsError& wrong) {
      report_.errors.push_back(place_ + key + " " + wrong.what());
    }
  }

  void warn_of_expiry(const std::filesystem::path& certificate, std::int64_t expires_s) {
    const std::int64_t left_s = expires_s - std::time(nullptr);
    if (left_s < 0) {
      warn("[nts_ke] certificate", certificate,
           "it has expired by this machine's clock, and clients will refuse it; renew it");
    } else if (left_s < expiry_warning_s) {
      warn("[nts_ke] certificate", certificate,
           "it expires in " + std::to_string(left_s / day_s) + " days; renew it");
    }
  }

  void look_at_directory(const std::string& key, const std::filesystem::path& directory,
                         void (*require)(const std::filesystem::path&)) {
    struct stat status {};
    if (::lstat(directory.c_str(), &status) != 0 && errno == EACCES) {
      warn(key, directory, "this user may not look at it; check as root");
      return;
    }
    try {
      require(directory);
    } catch (const DirectoryError& wrong) {
      report_.errors.push_back(place_ + key + " " + wrong.what());
    }
  }

  // What the roles will meet here. Only warnings: a configuration may be checked elsewhere than it runs.
  void look_at_machine(const Config& config) {
    for (const std::string& device : config.dataplane.devices) look_at_card(device);
    for (const std::string& interface : interfaces_of(config)) {
      if (shm::is_twin_name(interface)) continue;  // the dataplane makes it
      if (::if_nametoindex(interface.c_str()) != 0) continue;
      report_.warnings.push_back(place_ + "[dataplane] devices: interface " + interface +
                                 " is not in this network namespace; `ip link` lists those that are");
    }
    const long cpus = ::sysconf(_SC_NPROCESSORS_CONF);
    for (const std::uint32_t core : config.dataplane.cores) {
      if (cpus <= 0 || core < static_cast<std::uint32_t>(cpus)) continue;
      report_.warnings.push_back(place_ + "[dataplane] cores: this machine has no CPU " +
                                 std::to_string(core) + "; its CPUs are 0 to " + std::to_string(cpus - 1));
    }
    // AEAD 30 goes through the tier of the same name (dataplane/machine.cc), which may need more.
    look_at_tier(config.dataplane.siv_tier, config.dataplane.siv_tier, nts::siv::all_tiers());
    look_at_tier(config.dataplane.siv_tier, "gcm_siv_" + config.dataplane.siv_tier,
                 nts::gcm_siv::all_tiers());
    std::filesystem::path there = config.paths.pages;
    std::error_code none;
    while (!std::filesystem::exists(there, none) && there.has_relative_path()) there = there.parent_path();
    try {
      shm::require_tmpfs(there);
    } catch (const shm::SegmentError& wrong) {
      report_.warnings.push_back(place_ + "[paths] pages: " + wrong.what());
    }
  }

  template <class Tiers>
  void look_at_tier(const std::string& forced, const std::string& name, const Tiers& tiers) {
    for (const auto* tier : tiers) {
      if (name != tier->name || tier->cpu_can_run() != 0) continue;
      report_.warnings.push_back(place_ + "[dataplane] siv_tier: this CPU does not run " + forced + ": " +
                                 name + " needs " + tier->instruction_sets +
                                 "; \"auto\" takes the best that it runs");
    }
  }

  void look_at_card(const std::string& device) {
    constexpr std::string_view kind = "pci:";
    shm::PciName name;
    if (!device.starts_with(kind) ||
        !shm::read_pci_name(std::string_view(device).substr(kind.size()), name)) {
      return;
    }
    // Whether it may be opened is for the dataplane's user to find out, who is another one than this.
    const std::string trouble = shm::pci_trouble(name.address, shm::Permission::not_asked);
    if (!trouble.empty()) report_.warnings.push_back(place_ + "[dataplane] devices: " + trouble);
  }

  std::string place_;
  ConfigCheck& report_;
};

}  // namespace

ConfigCheck check_config(const std::filesystem::path& file, std::span<const std::filesystem::path> overlays) {
  ConfigCheck report;
  try {
    const Config config = read_config(file, overlays);
    Check check(file, report);
    check.look_at_readers(file);
    for (const std::filesystem::path& overlay : overlays) check.look_at_readers(overlay);
    check.look_at(config);
  } catch (const ConfigError& wrong) {
    report.errors.emplace_back(wrong.what());
  }
  return report;
}

}  // namespace control
