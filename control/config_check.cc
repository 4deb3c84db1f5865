#include "control/config_check.h"

#include <cerrno>
#include <ctime>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config.h"
#include "control/file_check.h"
#include "control/roles.h"
#include "control/settings.h"
#include "control/tls.h"

namespace control {
namespace {

using nlohmann::json;

constexpr std::int64_t day_s = 86400;
constexpr std::int64_t expiry_warning_s = 14 * day_s;

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
    if (config.server.answer_nts) {
      look_at_certificate(config);
      look_at_key_directory(config.keys.file.parent_path());
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
    report_.summary = {{"server", config.server.name},
                       {"addresses", std::move(addresses)},
                       {"devices", config.dataplane.devices},
                       {"ntp_port", config.server.ntp_port},
                       {"ke_port", config.nts_ke.port},
                       {"clock_source", config.clock.source == ClockSource::local ? "local" : "system"},
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
    } catch (const FileError& wrong) {
      refuse("[nts_ke] private_key", key, wrong.what());
      is_readable = std::filesystem::is_regular_file(key);
    }
    try {
      static_cast<void>(read_checked_file(certificate, certificate_bytes_max));
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

  void look_at_key_directory(const std::filesystem::path& directory) {
    const Identity& keeper = identity_of(Role::keeper);
    const std::string owner = std::to_string(keeper.uid);
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) {
      if (errno == EACCES) {
        warn("[keys] file", directory, "this user may not look at it; check as root");
        return;
      }
      refuse("[keys] file", directory,
             "there is no such directory; make it with install -d -m 0700 -o " + owner + " -g " +
                 std::to_string(keeper.gid) + " " + directory.native());
    } else if (!S_ISDIR(status.st_mode)) {
      refuse("[keys] file", directory, "it is no directory; name a file in one");
    } else if (status.st_uid != keeper.uid) {
      refuse("[keys] file", directory,
             "it belongs to uid " + std::to_string(status.st_uid) + "; chown it to uid " + owner);
    } else if ((status.st_mode & 0077) != 0) {
      refuse("[keys] file", directory, "others than the keeper may look into it; chmod it to 0700");
    }
  }

  std::string place_;
  ConfigCheck& report_;
};

}  // namespace

ConfigCheck check_config(const std::filesystem::path& file, std::span<const std::filesystem::path> overlays) {
  ConfigCheck report;
  try {
    const Config config = read_config(file, overlays);
    Check(file, report).look_at(config);
  } catch (const ConfigError& wrong) {
    report.errors.emplace_back(wrong.what());
  }
  return report;
}

}  // namespace control
