// The operator's socket, admin/socket in the page directory: SOCK_SEQPACKET, one JSON object per packet.
//
// Request:  {"command": "status" | "counters" | "keys" | "rotate"}
// Reply:    {"ok": true, "result": ...} or
//           {"ok": false, "code": text, "error": "one sentence that says what to do"}
//           where code is "bad_request", "not_allowed", "busy", "too_long" or "failed"
// A request is at most request_bytes_max octets, a reply at most reply_bytes_max. Anyone may read; "rotate"
// takes root or the admin uid (SO_PEERCRED). A client sends its next request within client_deadline_ms or is
// closed; at most clients_max are served at once, and the last places_for_operators of them are for root and
// the admin uid, so that no other user can lock the operator out. The rest of the machine never notices a bad
// one.
//
// Results, field by field (numbers unless shown otherwise; null where the number cannot be known). A part
// that cannot be had says "running": false and may lack the rest.
//   status    {"server": name, "version": "0.1.0", "ntp_port", "addresses": ["10.123.0.1", ...],
//              "dataplane": {"running": bool, "pid", "uptime_s", "tier": name, "instruction_sets": text,
//                            "cores": [{"cpu", "heartbeat_age_ms", "acknowledged_keys"}], "ports": [text]},
//              "clock": {"running": bool, "synchronised": bool, "state": "local" | "locked" | ...,
//                        "source": text, "stratum", "leap", "reference_id": text, "root_delay_us",
//                        "root_dispersion_us", "valid_for_s", "age_ms"},
//              "keys": {"running": bool, "generation", "current_id", "accepting", "rotation_pending": bool,
//                       "alarm": text or ""},
//              "nts_ke": {"port", "workers": [{"worker", "running": bool, each field of KeCounters}]},
//              "upstream": {"sources": 0}}
//             stratum and leap are those that clients are told now; "running" of the clock is the role, and a
//             dead one's last state is shown for as long as it is served.
//   counters  {"dataplane": {"running": bool, "received_packets", "received_octets", "sent_packets",
//                            "sent_octets", "cookies_issued", "bursts", "frame": {verdict: n},
//                            "nts": {verdict: n}, "verdicts": sum of both, "cores": [{"cpu", the same}]},
//              "nts_ke": {"running": bool, "workers_answering", each field of KeCounters, summed}}
//             of a dataplane that has ended: its last ones.
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
inline constexpr std::uint32_t places_for_operators = 4;

}  // namespace control
