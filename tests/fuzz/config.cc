// Any text as a configuration: a Config whose settings the dataplane accepts, or one line that says where and
// what to do.
#include "control/config.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "control/settings.h"
#include "dataplane/service.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

const std::string name = "/etc/noonmark.toml";

void run(Input input) {
  const std::string text(input.begin(), input.end());
  try {
    const control::Config config = control::parse_config(text, name);
    shm::Settings settings = control::settings_from(config, {}, 0);
    settings.revision = 1;
    require(dataplane::is_valid(settings), "the dataplane accepts what the parser accepted");
    require(control::interfaces_of(config).size() <= config.dataplane.devices.size(),
            "an interface per device");
    require(config.nts_ke.port != 0 && config.server.ntp_port != 0, "ports are ports");
    require(config.clock.stratum >= 1 && config.clock.stratum <= 15, "a stratum is 1 to 15");
  } catch (const control::ConfigError& error) {
    const std::string what = error.what();
    require(what.starts_with(name + ":"), "an error begins with its file");
    require(std::all_of(what.begin(), what.end(),
                        [](char letter) { return static_cast<unsigned char>(letter) >= ' '; }),
            "an error is one line without control characters");
    require(what.find("; ") != std::string::npos, "an error says what to do");
  }
}

std::vector<Octets> seeds() {
  std::ifstream file(std::string(NOONMARK_ROOT) + "/configs/appliance.toml");
  std::string text;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("#")) text += line + "\n";  // explanations would only be in the way
  }
  std::vector<Octets> all;
  const std::string lab =
      "[server]\nname = \"a.example\"\naddresses = [\"192.0.2.1/24\", \"2001:db8::1/64\"]\nntp_port = 4123\n"
      "[dataplane]\ndevices = [\"af_packet:eth0\", \"vdev:net_null0\"]\ncores = [0, 1]\nmemory = "
      "\"ordinary\"\n"
      "[nts_ke]\nlisten = [\"::\"]\ncertificate = \"/c\"\nprivate_key = \"/k\"\n"
      "ntp_servers_ours = [\"a.example\"]\n[clock]\nsource = \"local\"\nstratum = 3\nreference_id = "
      "\"GPS\"\n";
  for (const std::string& one : {text, lab, std::string("[server\n"), std::string("name = 1.5e9\n\x01")}) {
    all.emplace_back(one.begin(), one.end());
  }
  return all;
}

const Registration registration({"config", run, seeds});

}  // namespace
}  // namespace fuzz
