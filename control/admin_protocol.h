// The operator's socket, admin/socket in the page directory: SOCK_SEQPACKET, one JSON object per packet.
//
// Request:  {"command": "status" | "counters" | "keys" | "rotate"}
// Reply:    {"ok": true, "result": ...} or {"ok": false, "error": "one sentence that says what to do"}
// A request is at most request_bytes_max octets, a reply at most reply_bytes_max. Anyone may read; "rotate"
// takes root or the admin uid (SO_PEERCRED). A client gets at most client_deadline_ms per request and at most
// clients_max are served at once; the rest of the machine never notices a bad one.
//
// Results, field by field (numbers unless shown otherwise; a part that cannot be had says "running": false):
//   status    {"server": name, "version": "0.1.0", "ntp_port", "addresses": ["10.123.0.1", ...],
//              "dataplane": {"running": bool, "pid", "uptime_s", "tier": name, "instruction_sets": text,
//                            "cores": [{"cpu", "heartbeat_age_ms", "acknowledged_keys"}], "ports": [text]},
//              "clock": {"running": bool, "synchronised": bool, "state": "local" | "locked" | ..., "source":
//              text,
//                        "stratum", "leap", "reference_id": text, "root_delay_us", "root_dispersion_us",
//                        "valid_for_s", "age_ms"},
//              "keys": {"running": bool, "generation", "current_id", "accepting", "rotation_pending": bool,
//                       "alarm": text or ""},
//              "nts_ke": {"port", "workers": [{"worker", "running": bool, "served", "open_now", ...}]},
//              "upstream": {"sources": 0}}
//   counters  {"dataplane": {"received_packets", "received_octets", "sent_packets", "sent_octets",
//                            "cookies_issued", "frame": {verdict: n}, "nts": {verdict: n},
//                            "verdicts": sum of both, "cores": [{"cpu", the same fields}]},
//              "nts_ke": {each field of KeCounters, summed over the workers that answer}}
//   keys      {"generation", "current_id", "rotation_pending": bool, "alarm": text,
//              "keys": [{"id", "state": "accepting" | "current" | "retired", "created_unix_s"}]}
//   rotate    {"new_key_id", "text": what happens next}
#pragma once

#include <cstddef>
#include <cstdint>

namespace control {

inline constexpr std::size_t request_bytes_max = 4096;
inline constexpr std::size_t reply_bytes_max = 128 * 1024;
inline constexpr std::uint32_t client_deadline_ms = 2000;
inline constexpr std::uint32_t clients_max = 32;

}  // namespace control
