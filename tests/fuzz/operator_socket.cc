// Any octets on the operator's socket: as a request that the admin reads, and as the reply that `noonmark`
// prints for a person.
#include <algorithm>
#include <string>

#include "control/admin_client.h"
#include "control/admin_request.h"
#include "control/cli_text.h"
#include "control/upstream_status.h"
#include "tests/fuzz/target.h"

namespace fuzz {
namespace {

void run(Input input) {
  const std::string text(input.begin(), input.end());
  const control::AdminRequest request = control::read_admin_request(text);
  require(request.command.has_value() == request.fault.empty(), "a command, or what is wrong");

  const control::AdminAnswer answer = control::read_admin_reply(text);
  require(answer.kind != control::AdminAnswer::Kind::nobody, "somebody has answered");
  if (answer.kind != control::AdminAnswer::Kind::result) return;
  constexpr std::int64_t now_s = 1'800'000'000;
  for (const std::string& shown :
       {control::status_text(answer.result), control::counters_text(answer.result),
        control::keys_text(answer.result, now_s), control::rotate_text(answer.result),
        control::drain_text(answer.result), control::check_text(answer.result, now_s),
        control::upstreams_text(answer.result)}) {
    require(shown.empty() || shown.back() == '\n', "a report ends with its last line");
  }
}

std::vector<Octets> seeds() {
  std::vector<Octets> all;
  for (
      const std::string text :
      {R"({"command": "status"})", R"({"command": "drain", "cpu": 3})",
       R"({"command": "undrain", "cpu": -1})", R"({"command": "rotate", "x": [1, {"y": null}]})",
       R"({"ok": false, "code": "not_allowed", "error": "no"})",
       R"({"ok": true, "result": {"server": "a", "version": "1", "ntp_port": 123, "addresses": ["10.0.0.1"],
"dataplane": {"running": true, "pid": 1, "uptime_s": 3700, "tier": "x", "cores": [{"cpu": 1, "heartbeat_age_ms": 2,
"acknowledged_keys": 3}], "ports": ["p"]}, "clock": {"running": true, "synchronised": false, "state": "local",
"source": "s", "stratum": 1, "leap": 0, "valid_for_s": 90000}, "keys": {"running": true, "current_id": 1,
"alarm": "a"}, "nts_ke": {"port": 4460, "workers": [{"worker": 0, "running": true, "served": 1}]},
"upstream": {"sources": 0}}})",
       R"({"ok": true, "result": {"running": true, "upstreams": [{"host": "a", "nts": true, "reach": 255, "poll": 6,
"cookies": 8, "stratum": 1, "age_s": 2, "offset_ns": -5, "distance_ns": 9, "delay_ns": 1, "text": "t"}]}})",
       R"({"ok": true, "result": {"dataplane": {"running": true, "received_packets": 9, "frame": {"drop_vlan": 1,
"pass_other": 2}, "nts": {"answer_nts": 6}}, "nts_ke": {"running": true, "served": 4}}})",
       R"({"ok": true, "result": {"generation": 2, "keys": [{"id": 1, "state": "current", "created_unix_s": 1}],
"new_key_id": 2, "text": "t", "certificate_expires_unix_s": 5}})",
       R"({"ok": true, "result": {"keys": [{"created_unix_s": -9223372036854775808}], "dataplane": {"uptime_s": 1e300,
"received_packets": -1e300, "running": true}, "certificate_expires_unix_s": -9223372036854775808}})"}) {
    all.emplace_back(text.begin(), text.end());
  }
  return all;
}

const Registration registration({"operator_socket", run, seeds});

}  // namespace
}  // namespace fuzz
